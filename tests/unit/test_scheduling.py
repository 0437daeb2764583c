"""Which worker takes which test: everything once, few changes of cluster, none idle."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_knav.needs import Needs
from pytest_knav.scheduling import Group, Shares, read_groups, write_groups
from pytest_knav.topology import make_topology


if TYPE_CHECKING:
    from pathlib import Path

# As in xdist: the test that runs, and the one that must be known before it begins.
AHEAD = 2
P1, P2 = Group(plane="p", topology="1"), Group(plane="p", topology="2")
Q1, Q2 = Group(plane="q", topology="1"), Group(plane="q", topology="2")
GROUPS = st.lists(st.sampled_from([None, P1, P2, Q1, Q2]), max_size=60)


class Floor:
    """Workers that take tests, run them at any pace, and die."""

    def __init__(self, groups: list[Group | None], workers: int) -> None:
        self.groups = groups
        self.shares = Shares(groups)
        self.queues: dict[int, list[int]] = {number: [] for number in range(workers)}
        self.ran: list[tuple[int, int]] = []
        self.taken: list[tuple[int, int]] = []
        for worker in self.queues:
            self.fill(worker)

    def fill(self, worker: int) -> None:
        """Give a worker as much as xdist gives it."""
        queue = self.queues[worker]
        while len(queue) < AHEAD:
            test = self.shares.take(worker)
            if test is None:
                return
            queue.append(test)
            self.taken.append((worker, test))

    @property
    def busy(self) -> list[int]:
        """Return who has something to run."""
        return [worker for worker, queue in self.queues.items() if queue]

    def finish(self, worker: int) -> None:
        """Let a worker end the test that it runs."""
        self.ran.append((worker, self.queues[worker].pop(0)))
        self.fill(worker)

    def die(self, worker: int) -> None:
        """Kill a worker in the middle of a test; another comes in its place."""
        crashed, *unrun = self.queues.pop(worker)
        self.ran.append((worker, crashed))
        self.shares.leave(worker, unrun)
        for other in self.queues:
            self.fill(other)
        fresh = 1 + max([worker, *self.queues])
        self.queues[fresh] = []
        self.fill(fresh)

    def run(self) -> list[tuple[int, int]]:
        """Let all workers run at one pace until nothing is left."""
        while self.busy:
            for worker in self.busy:
                self.finish(worker)
        return self.ran

    def changes(self) -> int:
        """Return how often a worker got a cluster, its first one counted."""
        last: dict[int, Group] = {}
        count = 0
        for worker, test in self.taken:
            group = self.groups[test]
            if group is not None and last.get(worker) != group:
                last[worker] = group
                count += 1
        return count

    def of(self, worker: int) -> list[int]:
        """Return the tests that a worker took, in order."""
        return [test for taker, test in self.taken if taker == worker]


class TestAnyRun:
    """What holds whatever the tests need and however long they take."""

    @settings(max_examples=200, deadline=None)
    @given(GROUPS, st.integers(1, 5), st.data())
    def test_all_once_and_nobody_idle(
        self, groups: list[Group | None], workers: int, data: st.DataObject
    ) -> None:
        """Every test runs once, and no worker waits while a test can be had."""
        floor = Floor(groups, workers)

        while floor.busy:
            if any(len(queue) < AHEAD for queue in floor.queues.values()):
                assert len(floor.taken) == len(groups)
            floor.finish(data.draw(st.sampled_from(floor.busy)))

        assert sorted(test for _, test in floor.ran) == list(range(len(groups)))

    @settings(max_examples=200, deadline=None)
    @given(GROUPS, st.integers(1, 5), st.data())
    def test_few_changes(
        self, groups: list[Group | None], workers: int, data: st.DataObject
    ) -> None:
        """One for each group, and what halving takes to spread the last ones."""
        floor = Floor(groups, workers)

        while floor.busy:
            floor.finish(data.draw(st.sampled_from(floor.busy)))

        halvings = workers * (math.ceil(math.log2(len(groups) or 1)) + 2)
        assert floor.changes() <= len(set(groups)) + halvings

    @settings(max_examples=200, deadline=None)
    @given(GROUPS, st.integers(1, 5), st.data())
    def test_all_once_though_workers_die(
        self, groups: list[Group | None], workers: int, data: st.DataObject
    ) -> None:
        """What a dead worker had taken and not begun is run by others."""
        floor = Floor(groups, workers)

        while floor.busy:
            worker = data.draw(st.sampled_from(floor.busy))
            if data.draw(st.integers(0, 4)):
                floor.finish(worker)
            else:
                floor.die(worker)

        assert sorted(test for _, test in floor.ran) == list(range(len(groups)))

    @given(GROUPS)
    def test_alone_a_worker_changes_once_a_group(
        self, groups: list[Group | None]
    ) -> None:
        """Without others there is nothing to split."""
        floor = Floor(groups, 1)

        floor.run()

        assert floor.changes() == len(set(groups) - {None})


class TestShares:
    """One rule at a time."""

    def test_one_group_is_halved(self) -> None:
        """Two workers share what all tests want; each runs its half in order."""
        floor = Floor([P1] * 20, 2)

        floor.run()

        taken = Counter(worker for worker, _ in floor.taken)
        assert taken == {0: 10, 1: 10}
        # The second begins at the middle of what was left when it came.
        assert floor.of(0)[:9] == list(range(9))
        assert floor.of(1)[:9] == list(range(11, 20))

    def test_a_worker_stays_with_its_group(self) -> None:
        """With as many groups as workers nobody changes, wherever the tests stand."""
        floor = Floor([P1, Q1] * 10, 2)

        floor.run()

        assert floor.changes() == 2

    def test_own_control_plane_comes_before_a_larger_group(self) -> None:
        """Another topology is a reset, another control plane a new cluster."""
        shares = Shares([P1, P1, P2, Q1])
        order = [shares.take("a") for _ in range(4)]

        assert order == [0, 1, 2, 3]

        shares = Shares([P1, P1, P1, Q1, Q1, P2])
        order = [shares.take("a") for _ in range(6)]

        assert order == [0, 1, 2, 5, 3, 4]

    def test_a_second_worker_begins_another_control_plane(self) -> None:
        """So that each can go on with the groups of its own."""
        floor = Floor([P1] * 4 + [P2] * 4 + [Q1] * 4 + [Q2] * 4, 2)

        floor.run()

        planes = {(worker, floor.groups[test].plane) for worker, test in floor.taken}
        assert planes == {(0, "p"), (1, "q")}

    def test_largest_group_is_begun_first(self) -> None:
        """Long work that begins late ends late."""
        shares = Shares([P1, Q1, Q1])

        assert shares.take("a") == 1

    def test_tests_without_cluster_fill_in(self) -> None:
        """They come before a split, which costs a cluster, and after whole groups."""
        shares = Shares([None, P1, P1, P1, Q1])
        assert shares.take("a") == 1
        assert shares.take("b") == 4

        assert shares.take("b") == 0
        assert shares.take("b") == 3

    def test_tests_without_cluster_change_none(self) -> None:
        """Who runs one goes on with its control plane afterwards."""
        shares = Shares([P1, P1, None])
        assert [shares.take("a"), shares.take("b")] == [0, 2]
        shares.put_back(0)

        assert [shares.take("b"), shares.take("b")] == [0, 1]

    def test_what_a_dead_worker_leaves(self) -> None:
        """Its part and the tests that it had taken go on, in their order."""
        shares = Shares([P1] * 4 + [Q1] * 2)
        assert [shares.take("a") for _ in range(2)] == [0, 1]

        shares.leave("a", [1])

        assert [shares.take("b") for _ in range(6)] == [1, 2, 3, 4, 5, None]

    def test_a_test_is_run_again(self) -> None:
        """A test that was put back is the next of its group."""
        shares = Shares([P1, P1])
        first = shares.take("a")
        assert first is not None

        shares.put_back(first)

        assert [shares.take("b"), shares.take("b"), shares.take("b")] == [0, 1, None]

    def test_nothing_to_share(self) -> None:
        """Who asks gets nothing, and who was never seen may leave."""
        shares = Shares([])

        shares.leave("a", [])

        assert shares.take("a") is None


class TestGroupsFile:
    """What workers tell the controller."""

    TESTS = ("a.py::test", "b.py::test[\udcff]", "c.py::test")

    def test_round_trip(self, tmp_path: Path) -> None:
        """The controller reads what a worker wrote, and nothing else is left."""
        write_groups(tmp_path, self.TESTS, [P1, None, Q2])

        assert read_groups(tmp_path, self.TESTS) == [P1, None, Q2]
        assert [path.name for path in tmp_path.iterdir()] == ["groups.json"]

    def test_of_another_collection(self, tmp_path: Path) -> None:
        """Numbers that mean other tests are not believed."""
        write_groups(tmp_path, self.TESTS, [P1, None, Q2])

        assert read_groups(tmp_path, self.TESTS[::-1]) is None

    def test_nowhere_to_write(self, tmp_path: Path) -> None:
        """Then nobody complains, and nobody knows."""
        write_groups(tmp_path / "none", self.TESTS, [P1, None, Q2])

        assert read_groups(tmp_path / "none", self.TESTS) is None

    def test_half_a_file(self, tmp_path: Path) -> None:
        """What cannot be read is as good as nothing."""
        (tmp_path / "groups.json").write_text('{"collection":')

        assert read_groups(tmp_path, self.TESTS) is None


class TestNeeds:
    """What makes two tests neighbours."""

    def needs(self, nodes: int, time_profile: str = "fast", **gates: bool) -> Needs:
        """Return needs for a number of nodes."""
        return Needs(
            topology=make_topology("dgx-h100", nodes),
            feature_gates=tuple(sorted(gates.items())),
            time_profile=time_profile,
        )

    def test_small_clusters_share_a_control_plane(self) -> None:
        """Nodes are state, until the lease has to grow with them."""
        assert self.needs(2).plane == self.needs(200).plane
        assert self.needs(2).group != self.needs(200).group
        assert self.needs(2).plane != self.needs(1000).plane

    def test_real_time_does_not_depend_on_nodes(self) -> None:
        """The profile `real` has one lease for all."""
        real = self.needs(2, "real")

        assert real.plane == self.needs(1000, "real").plane
        assert real.plane != self.needs(2).plane

    def test_gates_shape_the_control_plane(self) -> None:
        """Other gates, other cluster; a default one written out changes nothing."""
        assert self.needs(2).plane != self.needs(2, InPlace=True).plane
        assert self.needs(2).plane == self.needs(2, GangScheduling=True).plane

    def test_order_is_by_control_plane_first(self) -> None:
        """Sorted, tests of one control plane stand together, then those of one size."""
        small, gated, large = self.needs(2), self.needs(2, A=True), self.needs(200)

        ordered = sorted([large, gated, small], key=lambda needs: needs.order)

        planes = [needs.plane for needs in ordered]
        assert sorted(planes) == planes
        assert ordered.index(small) < ordered.index(large)
