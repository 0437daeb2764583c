"""`-n`: tests of one cluster stay together, all work, a dead worker loses none."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from xdist.remote import Producer

from pytest_knav.distribution import AHEAD, ClusterScheduling
from pytest_knav.scheduling import Group, write_groups


if TYPE_CHECKING:
    from pathlib import Path

# Stands in for a cluster, and writes down who asked for which.
CONFTEST = """
import json
import pytest
from pytest_knav.session import KEY

@pytest.fixture
def knav_cluster(request):
    session = request.config.stash[KEY]
    group = session.needs(request.node).group
    with open(f"{session.worker}.jsonl", "a") as file:
        print(json.dumps([group.plane, group.topology]), file=file)
"""
# In an order that changes the cluster with every test.
FOUR_GROUPS = """
import pytest

def test_plain(): pass

@pytest.mark.parametrize("number", range(10))
class TestAll:
    @pytest.mark.knav(nodes=2)
    def test_p_small(self, cluster, number): pass

    @pytest.mark.knav(nodes=2, feature_gates={"Other": True})
    def test_q_small(self, cluster, number): pass

    @pytest.mark.knav(nodes=8)
    def test_p_large(self, cluster, number): pass

    @pytest.mark.knav(nodes=8, feature_gates={"Other": True})
    def test_q_large(self, cluster, number): pass
"""
ONE_GROUP = """
import os
import pytest

@pytest.mark.parametrize("number", range(12))
def test_it(cluster, number):
    {body}
"""


@pytest.fixture
def suite(
    inner: pytest.Pytester, broken_binaries: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """Return a place for runs whose tests need clusters and get none."""
    monkeypatch.setenv("KNAV_ASSETS", str(broken_binaries))
    inner.makeconftest(CONFTEST)
    return inner


def clusters(suite: pytest.Pytester) -> list[list[tuple[str, str]]]:
    """Return for each worker the clusters that its tests had, one after the other."""
    return [
        [tuple(json.loads(line)) for line in path.read_text().splitlines()]
        for path in sorted(suite.path.glob("gw*.jsonl"))
    ]


class TestWorkers:
    """Runs with two workers."""

    def test_each_has_a_control_plane(self, suite: pytest.Pytester) -> None:
        """They begin with different ones, and change when a group is exhausted."""
        suite.makepyfile(FOUR_GROUPS)

        result = suite.runpytest_subprocess("-n2", "-v")

        result.assert_outcomes(passed=41)
        result.stdout.fnmatch_lines(["scheduling tests via ClusterScheduling"])
        first, second = clusters(suite)
        assert first[0][0] != second[0][0]
        changes = [
            sum(a != b for a, b in itertools.pairwise(had)) for had in (first, second)
        ]
        # Four groups, and the end of the last ones halved: not one a test.
        assert sum(changes) <= 12

    def test_one_group_keeps_both_busy(self, suite: pytest.Pytester) -> None:
        """Nobody waits although all tests want the same cluster."""
        suite.makepyfile(ONE_GROUP.format(body="pass"))

        result = suite.runpytest_subprocess("-n2")

        result.assert_outcomes(passed=12)
        first, second = clusters(suite)
        assert min(len(first), len(second)) >= AHEAD
        assert len(first) + len(second) == 12

    def test_fewer_tests_than_workers(self, suite: pytest.Pytester) -> None:
        """Whoever has nothing to do ends; the run does too."""
        suite.makepyfile("def test_it(cluster): pass")

        suite.runpytest_subprocess("-n3").assert_outcomes(passed=1)

    @pytest.mark.parametrize("number", [0, 5, 11])
    def test_worker_dies(self, suite: pytest.Pytester, number: int) -> None:
        """Only the test that it was running is lost, wherever that stood."""
        body = f"number == {number} and os._exit(1)"
        suite.makepyfile(ONE_GROUP.format(body=body))

        result = suite.runpytest_subprocess("-n2")

        result.assert_outcomes(passed=11, failed=1)
        result.stdout.fnmatch_lines([f"*crashed while running*test_it?{number}?*"])

    def test_first_failure_ends_it(self, suite: pytest.Pytester) -> None:
        """With `-x` no worker begins another test."""
        suite.makepyfile(ONE_GROUP.format(body="assert False"))

        result = suite.runpytest_subprocess("-n2", "-x")

        assert result.ret == pytest.ExitCode.INTERRUPTED
        assert 1 <= result.parseoutcomes()["failed"] <= 2

    def test_groups_cannot_be_told(self, suite: pytest.Pytester) -> None:
        """Workers elsewhere: xdist's own rules, on tests that are sorted by need."""
        suite.makeconftest(
            CONFTEST
            + """
def pytest_xdist_node_collection_finished(node):
    directory = node.config.stash[KEY].run_directory
    (directory / "groups.json").unlink(missing_ok=True)
"""
        )
        suite.makepyfile(FOUR_GROUPS)

        suite.runpytest_subprocess("-n2").assert_outcomes(passed=41)

    def test_different_collections(self, suite: pytest.Pytester) -> None:
        """They are reported as xdist does, and nothing runs."""
        suite.makepyfile(
            "import os, pytest\n\n"
            "name = os.environ.get('PYTEST_XDIST_WORKER')\n"
            "@pytest.mark.parametrize('worker', [name])\n"
            "def test_it(cluster, worker): pass"
        )

        result = suite.runpytest_subprocess("-n2")

        assert result.ret == 1
        result.stdout.fnmatch_lines(["Different tests were collected between*"])

    @pytest.mark.parametrize(
        ("dist", "scheduler"),
        [("loadfile", "LoadFileScheduling"), ("worksteal", "WorkStealingScheduling")],
    )
    def test_another_way_is_left_alone(
        self, suite: pytest.Pytester, dist: str, scheduler: str
    ) -> None:
        """What the user chose with `--dist` is what he gets."""
        suite.makepyfile(ONE_GROUP.format(body="pass"))

        result = suite.runpytest_subprocess("-n2", f"--dist={dist}", "-v")

        result.assert_outcomes(passed=12)
        result.stdout.fnmatch_lines([f"scheduling tests via {scheduler}"])

    def test_scheduler_of_another_plugin(self, suite: pytest.Pytester) -> None:
        """Who brings one of his own means it."""
        suite.makeconftest(
            CONFTEST
            + """
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import WorkStealingScheduling
    return WorkStealingScheduling(config, log)
"""
        )
        suite.makepyfile(ONE_GROUP.format(body="pass"))

        result = suite.runpytest_subprocess("-n2", "-v")

        result.stdout.fnmatch_lines(["scheduling tests via WorkStealingScheduling"])

    def test_plain_tests(self, suite: pytest.Pytester) -> None:
        """A suite without clusters is shared out by xdist, and leaves nothing."""
        suite.makepyfile(
            "import pytest\n\n"
            "@pytest.mark.parametrize('number', range(9))\n"
            "def test_it(number): pass"
        )

        suite.runpytest_subprocess("-n2").assert_outcomes(passed=9)

        assert not (suite.path / ".knav").exists()


class Node:
    """A worker as the controller sees it."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.sent: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        """Take tests to run."""
        assert not self.shutting_down
        self.sent += indices

    def shutdown(self) -> None:
        """Hear that no more will come."""
        self.shutting_down = True


class TestScheduler:
    """The scheduler alone, call by call as xdist makes them."""

    TESTS = tuple(f"test_it.py::test[{number}]" for number in range(6))

    @pytest.fixture
    def reports(self) -> list[pytest.CollectReport]:
        """Return where reports of failed collections go."""
        return []

    @pytest.fixture
    def scheduler(
        self, inner: pytest.Pytester, reports: list[pytest.CollectReport]
    ) -> ClusterScheduling:
        """Return a scheduler for two workers and six tests of one group."""
        write_groups(inner.path, self.TESTS, [Group(plane="p", topology="t")] * 6)
        config = inner.parseconfig("--tx=2*popen", "--dist=load")

        def pytest_collectreport(report: pytest.CollectReport) -> None:
            reports.append(report)

        ours = SimpleNamespace(pytest_collectreport=pytest_collectreport)
        config.pluginmanager.register(ours)
        log = Producer("test", enabled=False)
        return ClusterScheduling(config, log, inner.path)

    def join(self, scheduler: ClusterScheduling, name: str, tests: Any = TESTS) -> Node:
        """Bring up a worker that has collected."""
        node = Node(name)
        scheduler.add_node(node)
        scheduler.add_node_collection(node, list(tests))
        if scheduler.collection_is_completed:
            scheduler.schedule()
        return node

    def test_two_tests_at_a_time(self, scheduler: ClusterScheduling) -> None:
        """A worker gets the next only when it has ended one."""
        first, second = (self.join(scheduler, name) for name in ("gw0", "gw1"))
        assert (first.sent, second.sent) == ([0, 1], [4, 5])

        scheduler.mark_test_complete(first, 0)

        assert (first.sent, second.sent) == ([0, 1, 2], [4, 5])

    def test_the_last_test_is_run(self, scheduler: ClusterScheduling) -> None:
        """A worker is told that nothing follows: it would wait for that."""
        first, second = (self.join(scheduler, name) for name in ("gw0", "gw1"))

        for test in (4, 5, 3):
            scheduler.mark_test_complete(second, test)

        assert second.sent == [4, 5, 3, 2]
        assert second.shutting_down
        assert not first.shutting_down
        assert not scheduler.tests_finished

    def test_others_go_on_for_a_dead_worker(self, scheduler: ClusterScheduling) -> None:
        """The test that it ran is named, the one behind it is run elsewhere."""
        first, second = (self.join(scheduler, name) for name in ("gw0", "gw1"))

        assert scheduler.remove_node(first) == self.TESTS[0]
        for test in (4, 5, 1, 2, 3):
            scheduler.mark_test_complete(second, test)

        assert sorted(second.sent) == [1, 2, 3, 4, 5]
        assert scheduler.tests_finished

    def test_a_crashed_test_is_run_again(self, scheduler: ClusterScheduling) -> None:
        """Where another plugin wants it so."""
        first, _ = (self.join(scheduler, name) for name in ("gw0", "gw1"))
        scheduler.remove_node(first)

        scheduler.mark_test_pending(self.TESTS[0])
        third = self.join(scheduler, "gw2")

        assert 0 in third.sent

    def test_unknown_worker_is_a_key_error(self, scheduler: ClusterScheduling) -> None:
        """What xdist expects where a worker died early."""
        for name in ("gw0", "gw1"):
            self.join(scheduler, name)

        with pytest.raises(KeyError):
            scheduler.remove_node(Node("gw9"))

    def test_worker_that_is_not_ready_gets_nothing(
        self, scheduler: ClusterScheduling
    ) -> None:
        """It may have collected other tests; it gets some once it has told."""
        self.join(scheduler, "gw0")
        late = Node("gw2")
        scheduler.add_node(late)

        self.join(scheduler, "gw1")
        assert not late.sent

        scheduler.add_node_collection(late, list(self.TESTS))
        scheduler.schedule()
        assert late.sent

    def test_replacement_with_other_tests(
        self, scheduler: ClusterScheduling, reports: list[pytest.CollectReport]
    ) -> None:
        """Numbers would mean other tests there: it gets none, and it is reported."""
        first, _ = (self.join(scheduler, name) for name in ("gw0", "gw1"))
        scheduler.remove_node(first)

        fresh = self.join(scheduler, "gw2", self.TESTS[::-1])

        assert (fresh.sent, fresh.shutting_down) == ([], True)
        assert "Different tests were collected" in str(reports[0].longrepr)
