"""Recovery, on histories made by hand: each outcome, each way to be fooled."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_knav import Deployment, Gang
from pytest_knav.checks.recovery import Recovery, judge_recovery
from pytest_knav.errors import Inconclusive, NotRecovered
from pytest_knav.history.objects import Objects
from pytest_knav.workloads.handle import Handle


UNREACHABLE = "node.kubernetes.io/unreachable"


def judged(seen: Any, fault: Any, *, now: float = 100.0, **how: Any) -> Recovery:
    """Judge a gang of two called w."""
    workload = how.pop("workload", Gang("w", replicas=2, gpus_per_pod=8))
    handle = Handle(workload, seen.history)
    return judge_recovery(
        seen.history,
        handle.subject,
        handle.running,
        fault,
        within_s=how.pop("within_s", 60.0),
        now_s=now,
        **how,
    )


def two_members(seen: Any) -> None:
    """Put two members on nodes a and b."""
    seen.node(0.0, "a")
    seen.node(0.0, "b")
    seen.node(0.0, "c")
    seen.pod(1.0, "w-0-x", node="a")
    seen.pod(1.0, "w-1-x", node="b")


def evict_from_a(seen: Any) -> None:
    """Let the control plane find out about a, and take its pod away."""
    seen.node(19.0, "a", "Unknown")
    seen.node(19.5, "a", "Unknown", UNREACHABLE)
    seen.pod(19.6, "w-0-x", node="a", ready=False)
    seen.pod(24.5, "w-0-x", node="a", ready=False, terminating=True)


class TestRecovered:
    """A workload that came back."""

    def test_phases_add_up_to_the_time_since_the_fault(self, seen: Any) -> None:
        """Each phase has its own seconds, and they sum to the total."""
        two_members(seen)
        fault = seen.inject(10.0, "a")
        evict_from_a(seen)
        seen.pod(25.5, "w-0-y", phase="Pending", ready=False)
        seen.pod(26.0, "w-0-y", phase="Pending", ready=False, unschedulable=True)
        seen.pod(28.0, "w-0-y", node="c", phase="Pending", ready=False)
        seen.pod(30.0, "w-0-y", node="c")

        recovery = judged(seen, fault)

        assert recovery.outcome == "recovered"
        assert recovery.seconds == pytest.approx(20.0)
        assert recovery.nodes == {"b", "c"}
        assert recovery.phases == pytest.approx(
            {
                "detect": 9.0,
                "taint": 0.5,
                "evict": 5.0,
                "recreate": 1.0,
                "queue": 0.5,
                "bind": 2.0,
                "start": 2.0,
            }
        )
        assert sum(recovery.phases.values()) == pytest.approx(recovery.seconds)

    def test_a_break_within_the_stable_time_does_not_count(self, seen: Any) -> None:
        """Whole for half a second, broken, then whole for good: the last counts."""
        two_members(seen)
        fault = seen.inject(10.0, "a")
        evict_from_a(seen)
        seen.pod(30.0, "w-0-y", node="c")
        seen.pod(30.5, "w-0-y", node="c", ready=False)
        seen.pod(33.0, "w-0-y", node="c")

        recovery = judged(seen, fault)

        assert recovery.seconds == pytest.approx(23.0)

    def test_a_later_break_does_not_undo_it(self, seen: Any) -> None:
        """Once whole for the stable time, it has recovered from this fault."""
        two_members(seen)
        fault = seen.inject(10.0, "a")
        evict_from_a(seen)
        seen.pod(30.0, "w-0-y", node="c")
        seen.pod(50.0, "w-0-y", node="c", ready=False)

        recovery = judged(seen, fault)

        assert recovery.seconds == pytest.approx(20.0)

    def test_what_comes_too_late_is_recovered_but_not_in_time(self, seen: Any) -> None:
        """The figures are there, and say that the limit was missed."""
        two_members(seen)
        fault = seen.inject(10.0, "a")
        evict_from_a(seen)
        seen.pod(80.0, "w-0-y", node="c")

        recovery = judged(seen, fault, within_s=60.0)

        assert recovery.outcome == "recovered"
        assert not recovery.in_time

    def test_pods_of_a_deployment_are_paired_in_order(self, seen: Any) -> None:
        """Replicas have no index: the next new one stands for the next lost one."""
        seen.node(0.0, "a")
        seen.pod(1.0, "w-p", node="a")
        seen.pod(1.0, "w-q", node="b")
        fault = seen.inject(10.0, "a")
        seen.node(19.0, "a", "Unknown", UNREACHABLE)
        seen.pod(24.0, "w-p", node="a", ready=False, terminating=True)
        seen.pod(24.1, "w-r", node="c", phase="Pending", ready=False)
        seen.pod(25.0, "w-r", node="c")

        recovery = judged(seen, fault, workload=Deployment("w", replicas=2))

        assert [m.replacement for m in recovery.members] == ["w-r"]
        assert recovery.seconds == pytest.approx(15.0)


class TestNotRecovered:
    """A workload that did not come back, or was never hit."""

    def test_a_stale_running_is_not_recovery(self, seen: Any) -> None:
        """The API says Running for as long as nobody looked: that is blind."""
        two_members(seen)
        fault = seen.inject(10.0, "a")
        seen.node(12.0, "b")

        recovery = judged(seen, fault)

        assert recovery.outcome == "blind"

    def test_an_evicted_member_that_nobody_replaces_is_lost(self, seen: Any) -> None:
        """It reacted, and did not come back."""
        two_members(seen)
        fault = seen.inject(10.0, "a")
        evict_from_a(seen)

        recovery = judged(seen, fault)

        assert recovery.outcome == "lost"
        assert "1 of 2 up" in recovery.last_state

    def test_a_replacement_on_the_broken_node_is_no_recovery(self, seen: Any) -> None:
        """A new pod that the API calls Running on a broken node does not count."""
        two_members(seen)
        fault = seen.inject(10.0, "a")
        evict_from_a(seen)
        seen.pod(30.0, "w-0-y", node="a")

        recovery = judged(seen, fault)

        assert recovery.outcome == "lost"

    def test_whole_for_less_than_the_stable_time_is_lost(self, seen: Any) -> None:
        """What the history does not show to hold has not been shown."""
        two_members(seen)
        fault = seen.inject(10.0, "a")
        evict_from_a(seen)
        seen.pod(30.0, "w-0-y", node="c")

        recovery = judged(seen, fault, now=30.5)

        assert recovery.outcome == "lost"

    def test_a_workload_elsewhere_is_unaffected(self, seen: Any) -> None:
        """No member sat in the blast radius."""
        two_members(seen)
        fault = seen.inject(10.0, "c")

        recovery = judged(seen, fault)

        assert recovery.outcome == "unaffected"

    def test_a_pod_that_came_after_the_fault_was_not_hit_by_it(self, seen: Any) -> None:
        """Affected is who sat there when it happened, not who went there later."""
        two_members(seen)
        fault = seen.inject(10.0, "c")
        seen.pod(12.0, "w-0-y", node="c")

        recovery = judged(seen, fault)

        assert recovery.outcome == "unaffected"

    def test_another_workload_of_the_same_index_is_no_replacement(
        self, seen: Any
    ) -> None:
        """Pods are followed by owner and index, not by any pod that looks alike."""
        two_members(seen)
        fault = seen.inject(10.0, "a")
        evict_from_a(seen)
        seen.pod(30.0, "v-0-y", node="c", workload="v")

        recovery = judged(seen, fault)

        assert recovery.outcome == "lost"

    def test_figures_of_what_did_not_recover_raise(self, seen: Any) -> None:
        """There is no number for what did not happen."""
        two_members(seen)
        fault = seen.inject(10.0, "a")
        evict_from_a(seen)
        recovery = judged(seen, fault)

        with pytest.raises(NotRecovered, match="lost"):
            _ = recovery.seconds

    def test_a_kind_that_was_never_recorded_is_inconclusive(self, seen: Any) -> None:
        """A history without nodes cannot tell."""
        two_members(seen)
        fault = seen.inject(10.0, "a")
        seen.history._known_since.clear()
        seen.history._objects = Objects()

        with pytest.raises(Inconclusive, match="not in this history"):
            judged(seen, fault)
