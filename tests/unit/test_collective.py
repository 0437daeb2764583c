"""Collectives: what ranks do to each other, what checks make of it, what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_knav import Gang
from pytest_knav.checks.recovery import Recovery, judge_recovery
from pytest_knav.errors import BadInput
from pytest_knav.history.record import COLLECTIVE, FAULT
from pytest_knav.history.view import View, latest_view
from pytest_knav.workloads.collective import Ranks, Turn, out_of_reach
from pytest_knav.workloads.handle import Handle


GPUS = 8
NODES = ("a", "b", "c")


def gang(loss: Any = "fail", **how: Any) -> Gang:
    """Return a gang of three called w."""
    return Gang("w", replicas=3, gpus_per_pod=GPUS, on_member_loss=loss, **how)


class Scene:
    """A history made by hand, and the ranks of the gang in it."""

    def __init__(self, seen: Any, workload: Gang) -> None:
        self.seen = seen
        self.handle = Handle(workload, seen.history)
        collective = self.handle.subject.collective
        assert collective is not None
        self.ranks = Ranks(collective)
        self.now_s = 0.0

    def up(self, at: float, generation: str, nodes: tuple[str, ...] = NODES) -> None:
        """Put a member on each node."""
        for index, node in enumerate(nodes):
            self.seen.pod(at, f"w-{index}-{generation}", node=node)

    def cut(self, at: float, **fabric: str | None) -> Any:
        """Break links and return the fault."""
        data = {"nodes": [], "fabric": fabric}
        self.seen._add(at, "INJECTED", FAULT, "f1", "", data=data)
        return self.seen.span(at)

    def look(self, at: float) -> Turn | None:
        """Let the ranks look, and record what has happened to them."""
        view = latest_view(self.seen.history, {"Pod", "Job"})
        turn = self.ranks.look(self.handle.subject.members(view), at)
        if turn is not None:
            key = self.handle.subject.key
            data = dict(turn.data)
            self.seen._add(at, turn.verb, COLLECTIVE, key, "", data=data)
        return turn

    def to_end(self) -> list[str]:
        """Return the names of the pods that the time-out ends."""
        view = latest_view(self.seen.history, {"Pod", "Job"})
        members = self.handle.subject.members(view)
        return [pod.name for pod in self.ranks.to_end(members)]

    @property
    def degraded(self) -> bool:
        """Return the condition as it is now."""
        condition = self.handle.degraded
        return condition.holds(latest_view(self.seen.history, condition.kinds))

    def judged(self, fault: Any, now: float) -> Recovery:
        """Judge the gang."""
        return judge_recovery(
            self.seen.history,
            self.handle.subject,
            self.handle.running,
            fault,
            within_s=60.0,
            now_s=now,
        )


@pytest.fixture
def scene(seen: Any, request: Any) -> Scene:
    """Return a gang of three that has run since second 1; `fail`, or as marked."""
    made = Scene(seen, gang(getattr(request, "param", "fail")))
    made.up(1.0, "x")
    turn = made.look(1.0)
    assert turn is not None
    assert turn.verb == "WHOLE"
    return made


class TestReach:
    """Which nodes a loss of links takes out of a collective."""

    def test_a_node_without_a_link_is_out(self) -> None:
        """The others still reach each other."""
        assert out_of_reach({"a", "b", "c"}, {"b": None, "z": None}) == {"b"}

    def test_ranks_of_one_node_need_no_fabric(self) -> None:
        """They speak over NVLink."""
        assert out_of_reach({"a"}, {"a": None}) == set()

    def test_the_smaller_part_is_out(self) -> None:
        """Whichever side the spine switches were on."""
        assert out_of_reach({"a", "b", "c"}, {"a": "leaf-0"}) == {"a"}
        assert out_of_reach({"a", "b", "c"}, {"a": "leaf-0", "b": "leaf-0"}) == {"c"}

    def test_behind_one_leaf_switch_all_reach_each_other(self) -> None:
        """Cut off together is not cut off from each other."""
        assert out_of_reach({"a", "b"}, {"a": "leaf-0", "b": "leaf-0"}) == set()

    @pytest.mark.parametrize("first", ["island", "dead"])
    def test_of_two_faults_the_worse_counts(self, first: str) -> None:
        """A node that is cut off and has no link has no link."""
        faults: list[dict[str, str | None]] = [{"a": "leaf-0"}, {"a": None}]
        ordered = faults if first == "island" else faults[::-1]

        view = View(cut={str(i): fault for i, fault in enumerate(ordered)})

        assert view.fabric_loss == {"a": None}


class TestFail:
    """All end after the time-out and begin again."""

    def test_those_that_wait_end_after_the_timeout(self, scene: Scene) -> None:
        """The one without a link as well: its process lives, and gives up too."""
        scene.cut(10.0, b=None)
        turn = scene.look(10.0)

        assert turn is not None
        assert turn.data["unable"] == ["w-1-x"]
        assert not scene.ranks.due(19.9, 10.0)
        assert scene.ranks.due(20.0, 10.0)
        assert scene.to_end() == ["w-0-x", "w-1-x", "w-2-x"]

    def test_a_dead_node_ends_nothing(self, scene: Scene) -> None:
        """Nobody is left there who could."""
        scene.seen.inject(10.0, "b")
        scene.look(10.0)

        assert scene.to_end() == ["w-0-x", "w-2-x"]

    def test_a_replacement_alone_makes_nothing_whole(self, scene: Scene) -> None:
        """The others wait for the rank that they had."""
        fault = scene.seen.inject(10.0, "b")
        scene.look(10.0)
        scene.seen.gone(15.0, "w-1-x")
        scene.seen.pod(16.0, "w-1-y", node="d")

        turn = scene.look(16.0)

        assert turn is None
        assert scene.degraded
        assert scene.judged(fault, 18.0).outcome == "lost"

    def test_a_new_generation_is_whole(self, scene: Scene) -> None:
        """Each rank was made again, on nodes that have links."""
        fault = scene.cut(10.0, b=None)
        fault = scene.seen.span(10.0, pods={"w-1-x"}, revision=fault.started_revision)
        scene.look(10.0)
        for index in range(3):
            scene.seen.pod(20.0, f"w-{index}-x", node=NODES[index], phase="Failed")
        scene.up(31.0, "y", ("a", "c", "d"))
        turn = scene.look(31.0)
        scene.seen.node(40.0, "a")

        recovery = scene.judged(fault, 40.0)

        assert turn is not None
        assert turn.verb == "WHOLE"
        assert not scene.degraded
        assert recovery.outcome == "recovered"
        assert recovery.seconds == 21.0

    def test_made_again_on_the_same_node_it_breaks_again(self, scene: Scene) -> None:
        """Who cannot take part is found when all try to begin."""
        scene.cut(10.0, b=None)
        scene.look(10.0)
        for index in range(3):
            scene.seen.gone(20.0, f"w-{index}-x")
        scene.up(31.0, "y")

        turn = scene.look(31.0)

        assert turn is not None
        assert turn.verb == "BROKEN"
        assert scene.ranks.due(41.0, 10.0)

    def test_with_its_links_back_a_node_takes_part_again(self, scene: Scene) -> None:
        """A cleared fault keeps no new generation from beginning."""
        scene.cut(10.0, b=None)
        scene.look(10.0)
        for index in range(3):
            scene.seen.gone(20.0, f"w-{index}-x")
        scene.seen.clear(25.0)
        scene.up(31.0, "y")

        turn = scene.look(31.0)

        assert turn is not None
        assert turn.verb == "WHOLE"

    def test_ranks_that_succeed_one_by_one_lose_nobody(self, scene: Scene) -> None:
        """The end of the work is no loss."""
        scene.seen.pod(10.0, "w-0-x", node="a", phase="Succeeded")

        assert scene.look(10.0) is None


@pytest.mark.parametrize("scene", ["hang"], indirect=True)
class TestHang:
    """All wait, and the API says Running."""

    def test_it_is_degraded_and_blind(self, scene: Scene) -> None:
        """Nothing ends, nothing is made again, nothing is green."""
        scene.cut(10.0, b=None)
        fault = scene.seen.span(10.0, pods={"w-1-x"})
        scene.look(10.0)
        view = latest_view(scene.seen.history, {"Pod", "Job"})

        recovery = scene.judged(fault, 100.0)

        assert not scene.ranks.due(1e9, 10.0)
        assert scene.handle.running.holds(view)
        assert scene.degraded
        assert recovery.outcome == "blind"
        assert recovery.lost_gpu_s == (90.0 + 9.0) * 3 * GPUS

    def test_a_link_that_comes_back_mends_nothing(self, scene: Scene) -> None:
        """Its connections are in error."""
        scene.cut(10.0, b=None)
        scene.look(10.0)
        scene.seen.clear(11.0)

        assert scene.look(11.0) is None
        assert scene.degraded


@pytest.mark.parametrize("scene", ["elastic"], indirect=True)
class TestElastic:
    """The rest goes on."""

    def test_only_what_is_missing_is_lost(self, scene: Scene) -> None:
        """GPUs of one of three members, until another takes its place."""
        scene.cut(10.0, b=None)
        fault = scene.seen.span(10.0, pods={"w-1-x"})
        scene.look(10.0)
        ends = scene.to_end()
        scene.seen.gone(20.0, "w-1-x")
        scene.seen.pod(30.0, "w-1-y", node="d")
        turn = scene.look(30.0)

        recovery = scene.judged(fault, 40.0)

        assert ends == ["w-1-x"]
        assert turn is not None
        assert turn.verb == "WHOLE"
        assert recovery.outcome == "recovered"
        assert recovery.lost_gpu_s == 20.0 * GPUS


class TestLostWork:
    """GPU-seconds, checkpoints and spans."""

    def test_work_since_the_last_checkpoint_is_done_again(self, seen: Any) -> None:
        """Of 25 s with a checkpoint every ten, five; and the time in which it waits."""
        scene = Scene(seen, gang(checkpoint_every="10s"))
        scene.up(1.0, "x")
        scene.look(1.0)
        fault = scene.seen.inject(26.0, "b")
        scene.look(26.0)

        assert scene.judged(fault, 30.0).lost_gpu_s == (5.0 + 4.0) * 3 * GPUS

    def test_what_was_lost_before_the_fault_is_not_its_doing(
        self, scene: Scene
    ) -> None:
        """The span begins with the fault."""
        scene.seen.gone(5.0, "w-0-x")
        scene.look(5.0)
        fault = scene.seen.inject(10.0, "b")

        assert scene.judged(fault, 12.0).lost_gpu_s == 2.0 * 3 * GPUS

    def test_members_on_their_own_lose_no_work_of_others(self, seen: Any) -> None:
        """Without on_member_loss nothing is said of it."""
        handle = Handle(Gang("w", replicas=1), seen.history)
        fault = seen.inject(1.0, "a")

        recovery = judge_recovery(
            seen.history, handle.subject, handle.running, fault, within_s=1, now_s=9.0
        )

        assert recovery.lost_gpu_hours is None


def test_what_a_deleted_workload_does_is_over(scene: Scene) -> None:
    """Its pods end on purpose."""
    job = {"name": "w", "namespace": "default", "uid": "w"}
    scene.seen._put(2.0, "Job", {"metadata": job})
    scene.look(2.0)
    scene.seen.gone(3.0, "w", kind="Job")
    scene.seen.gone(3.0, "w-0-x")

    turn = scene.look(3.0)

    assert turn is not None
    assert turn.verb == "OVER"
    assert scene.look(4.0) is None


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: gang("wait"), "on_member_loss='wait': use one of fail, hang, elastic"),
        (
            lambda: gang(None, collective_timeout="1s"),
            "collective_timeout='1s': it needs on_member_loss, one of fail",
        ),
        (lambda: gang(None, checkpoint_every="1s"), "'1s': it needs on_"),
        (lambda: gang("hang", checkpoint_every=0), "checkpoint_every=0: more than 0"),
        (lambda: gang("fail", collective_timeout="soon"), "collective_timeout='soon'"),
    ],
)
def test_a_wrong_collective_is_refused(make: Any, shown: str) -> None:
    """At its own line, with the value."""
    with pytest.raises(BadInput, match=r".") as caught:
        make()

    assert shown in str(caught.value)
