"""Each standing invariant: stories that it passes, fails and cannot judge."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_knav.checks.standing import judge_standing, usual
from pytest_knav.history import History, Record
from pytest_knav.history.record import WATCH
from pytest_knav.selfbench.histories import make_records
from pytest_knav.selfbench.judging import Judging, promised


RACK = "topology.kubernetes.io/rack"
UNREACHABLE = "node.kubernetes.io/unreachable"
TOLERATES = {"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute"}


def gang(story: Any, *bound: float) -> None:
    """Tell of a gang of three, whose members are bound at these times."""
    story.submit(expected=3, gang=True)
    for number in range(3):
        story.node(0, f"n{number}")
        story.pod(1, f"w-{number}-a")
    for number, at in enumerate(bound):
        story.pod(at, f"w-{number}-a", f"n{number}")


class TestGang:
    """All members are bound together."""

    def test_bound_at_once(self, story: Any) -> None:
        """Members within a moment of each other are fine."""
        gang(story, 2.0, 2.1, 2.2)

        assert story.status("gang", until=60) == "pass"

    def test_bound_in_part(self, story: Any) -> None:
        """Two of three bound, and the third waits: broken, with the one that waits."""
        gang(story, 2.0, 2.1)

        found = story.judge("gang", until=30)

        assert found.verdict.status == "fail"
        assert "2 of 3 members" in found.verdict.evidence[0]
        assert "w-2-a" in found.verdict.evidence[0]
        assert found.verdict.moments == (2.0,)

    def test_bound_late(self, story: Any) -> None:
        """The last member came after the limit, and it is too late to be sorry."""
        gang(story, 2.0, 2.1, 14.0)

        assert story.status("gang", until=60) == "fail"

    def test_after_a_loss_only_a_limit_of_the_users_own_counts(
        self, story: Any
    ) -> None:
        """What a gang waits for after a loss is not the scheduler's part alone."""
        gang(story, 2.0, 2.1, 2.2)
        story.pod(10, "w-0-a", "n0", deleting=True)
        story.pod(11, "w-0-b")
        story.pod(40, "w-0-b", "n1", gpus=0)

        assert story.status("gang", until=60) == "pass"
        assert story.status("gang", 10.0, until=60) == "fail"
        assert story.status("gang", 35.0, until=60) == "pass"

    def test_broken_control_plane_is_no_excuse_for_later(self, story: Any) -> None:
        """The clock runs again once the control plane is well."""
        gang(story, 2.0, 2.1)
        story.component(3, "KILL")
        story.component(20, "RESTART")

        assert story.status("gang", until=25) == "pass"
        assert story.status("gang", until=31) == "fail"

    def test_no_gang(self, story: Any) -> None:
        """Who asks for it by name is told that there was nothing to judge."""
        assert story.judge("gang").looked_at == 0
        assert story.status("gang") == "inconclusive"

    def test_gap(self, story: Any) -> None:
        """A gap in the pods could hide it."""
        gang(story, 2.0, 2.1, 2.2)
        story.seen.gap(3, "Pod")

        assert story.status("gang") == "inconclusive"

    def test_close_to_the_limit_while_the_recorder_was_late(self, story: Any) -> None:
        """9.5 s of 10 s by a recorder that was 2 s late may be 11.5 s."""
        gang(story, 2.0, 2.1)
        story.late(11, 2.0)
        story.pod(11.5, "w-2-a", "n2")

        found = story.judge("gang")

        assert found.verdict.status == "inconclusive"
        assert "2.0s late" in str(found.verdict)


class TestPlacement:
    """Nothing starts on what is known to be bad."""

    @pytest.mark.parametrize(
        "says",
        [
            {"taints": (f"{UNREACHABLE}:NoSchedule",)},
            {"taints": (f"{UNREACHABLE}:NoExecute",)},
            {"cordoned": True},
            {"ready": False},
        ],
    )
    def test_bound_to_a_bad_node(self, story: Any, says: dict[str, Any]) -> None:
        """A taint, a cordon or NotReady that is older than the limit."""
        story.node(0, "n1")
        story.node(5, "n1", *says.pop("taints", ()), **says)
        story.start(20, "w-0-a", "n1")

        found = story.judge("placement")

        assert found.verdict.status == "fail"
        assert "w-0-a was bound to n1" in found.verdict.evidence[0]

    def test_decided_just_before(self, story: Any) -> None:
        """A binding on its way when the taint came is nobody's fault."""
        story.node(0, "n1")
        story.pod(4, "w-0-a")
        story.node(5, "n1", "bad:NoSchedule")
        story.pod(6, "w-0-a", "n1")

        assert story.status("placement") == "pass"

    def test_tolerated(self, story: Any) -> None:
        """A pod that tolerates the taint may go there."""
        story.node(0, "n1", "bad:NoSchedule")
        story.start(20, "w-0-a", "n1", tolerations=[{"operator": "Exists"}])

        assert story.status("placement") == "pass"

    def test_good_again(self, story: Any) -> None:
        """Once the taint is gone the node is as good as any."""
        story.node(0, "n1", "bad:NoSchedule")
        story.node(10, "n1")
        story.start(20, "w-0-a", "n1")

        assert story.status("placement") == "pass"

    @pytest.mark.parametrize(
        ("kind", "status"),
        [("node", "fail"), ("gpu", "fail"), ("component", "pass"), ("object", "pass")],
    )
    def test_only_a_broken_control_plane_is_an_excuse(
        self, story: Any, kind: str, status: str
    ) -> None:
        """A cordon hits no pod that runs; who binds to it meanwhile is to blame."""
        story.node(0, "n1")
        story.inject(4, kind=kind)
        story.node(5, "n1", cordoned=True)
        story.start(20, "w-0-a", "n1")

        assert story.status("placement") == status

    def test_tainted_device(self, story: Any) -> None:
        """A GPU with a taint goes to nobody, and the good one beside it does."""
        story.slice_(1, gpu_0="xid:NoSchedule", gpu_1="")
        story.claim(20, "good", "gpu-1")
        assert story.status("placement") == "pass"

        story.claim(21, "bad", "gpu-0")

        assert "bad was given n1/gpu-0" in str(story.judge("placement").verdict)

    def test_gap(self, story: Any) -> None:
        """A gap in the nodes could hide a taint."""
        story.node(0, "n1")
        story.start(20, "w-0-a", "n1")
        story.seen.gap(21, "Node")

        assert story.status("placement") == "inconclusive"


class TestDevices:
    """A device has one owner."""

    def test_one_after_the_other(self, story: Any) -> None:
        """What one claim gives up another may get."""
        story.claim(1, "a", "gpu-0", "gpu-1")
        story.claim(2, "a", "gpu-1")
        story.claim(3, "b", "gpu-0")

        assert story.status("devices") == "pass"

    def test_given_twice(self, story: Any) -> None:
        """The same GPU in two allocations at once is broken, whoever asks."""
        story.claim(1, "a", "gpu-0")
        story.claim(2, "b", "gpu-0")

        found = story.judge("devices")

        assert found.verdict.status == "fail"
        assert "n1/gpu-0 was given to claim b" in found.verdict.evidence[0]

    def test_no_claims(self, story: Any) -> None:
        """Nothing allocated is nothing judged."""
        assert story.status("devices") == "inconclusive"


class TestCapacity:
    """No node is given more than it has."""

    def test_full_and_no_more(self, story: Any) -> None:
        """Eight of eight GPUs, and eight again once the first are done."""
        story.node(0, "n1")
        story.start(1, "w-0-a", "n1")
        story.pod(5, "w-0-a", "n1", phase="Succeeded")
        story.start(6, "w-1-a", "n1")

        assert story.status("capacity") == "pass"

    def test_too_much(self, story: Any) -> None:
        """A ninth GPU of eight."""
        story.node(0, "n1")
        story.start(1, "w-0-a", "n1")
        story.start(6, "v-0-a", "n1", gpus=1)

        found = story.judge("capacity")

        assert found.verdict.status == "fail"
        assert "took 9 of 8 nvidia.com/gpu" in found.verdict.evidence[0]

    def test_terminating_pods_count(self, story: Any) -> None:
        """A pod on its way out has its GPUs still."""
        story.node(0, "n1")
        story.start(1, "w-0-a", "n1")
        story.pod(5, "w-0-a", "n1", deleting=True)
        story.start(6, "v-0-a", "n1")

        assert story.status("capacity") == "fail"

    def test_node_that_shrinks(self, story: Any) -> None:
        """A lost GPU under a pod is no scheduler's doing; the next binding is."""
        story.node(0, "n1")
        story.start(1, "w-0-a", "n1", gpus=7)
        story.node(5, "n1", gpus=6)
        story.start(6, "v-0-a", "n1", gpus=1)
        assert story.status("capacity") == "pass"

        story.start(20, "u-0-a", "n1", gpus=1)

        assert story.status("capacity") == "fail"

    def test_gap(self, story: Any) -> None:
        """A gap in the pods could hide one."""
        story.node(0, "n1")
        story.start(1, "w-0-a", "n1")
        story.seen.gap(21, "Pod")

        assert story.status("capacity") == "inconclusive"


class TestTopology:
    """One place for all, also after a loss."""

    def story_of(self, story: Any, rack: str) -> None:
        """Let a member be replaced in a rack, while another stays in r1."""
        story.submit(expected=2, gang=True, topology_key=RACK)
        story.node(0, "n1")
        story.node(0, "n2")
        story.node(0, "n3", rack=rack)
        story.start(1, "w-0-a", "n1")
        story.start(1, "w-1-a", "n2")
        story.pod(10, "w-1-a", "n2", deleting=True)
        story.start(12, "w-1-b", "n3")

    def test_replaced_in_its_rack(self, story: Any) -> None:
        """The replacement joins the survivor."""
        self.story_of(story, "r1")

        assert story.status("topology") == "pass"

    def test_replaced_elsewhere(self, story: Any) -> None:
        """The replacement is in another rack than the survivor."""
        self.story_of(story, "r2")

        found = story.judge("topology")

        assert found.verdict.status == "fail"
        assert "n3 (topology.kubernetes.io/rack=r2)" in found.verdict.evidence[0]

    def test_no_constraint(self, story: Any) -> None:
        """Without a constraint there is nothing to keep."""
        story.submit()
        story.start(1, "w-0-a", "n1")

        assert story.status("topology") == "inconclusive"


class TestOnce:
    """Nothing lost, nothing twice."""

    def test_each_index_once(self, story: Any) -> None:
        """Two indexes, one of them lost and made again."""
        story.submit()
        story.start(1, "w-0-a", "n1")
        story.start(1, "w-1-a", "n2")
        story.pod(2, "w-1-a", "n2", phase="Failed")
        story.start(3, "w-1-b", "n2")
        story.pod(5, "w-0-a", "n1", phase="Succeeded")
        story.pod(5, "w-1-b", "n2", phase="Succeeded")
        story.job(6, completions=2, conditions=["Complete"])

        assert story.status("once") == "pass"

    def test_lost_index(self, story: Any) -> None:
        """The Job says Complete, and index 1 was never seen to succeed."""
        story.submit()
        story.start(1, "w-0-a", "n1")
        story.pod(5, "w-0-a", "n1", phase="Succeeded")
        story.job(6, completions=2, conditions=["Complete"])

        assert "1 of its indexes were never seen to succeed: 1" in str(
            story.judge("once").verdict
        )

    def test_run_twice(self, story: Any) -> None:
        """Index 0 succeeds a second time."""
        story.submit()
        for name in ("w-0-a", "w-0-b"):
            story.start(1, name, "n1")
            story.pod(5, name, "n1", phase="Succeeded")

        assert "index 0 of Job w succeeded again" in str(story.judge("once").verdict)

    def test_two_at_a_time(self, story: Any) -> None:
        """Two pods of one index run side by side for longer than a moment."""
        story.submit()
        story.start(1, "w-0-a", "n1")
        story.start(2, "w-0-b", "n2")

        assert story.status("once", until=4) == "pass"
        assert story.status("once", until=10) == "fail"

    def test_replacement_beside_a_terminating_pod(self, story: Any) -> None:
        """By default the replacement starts before the old pod is gone."""
        story.submit()
        story.start(1, "w-0-a", "n1")
        story.pod(2, "w-0-a", "n1", deleting=True)
        story.start(3, "w-0-b", "n2")

        assert story.status("once", until=60) == "pass"

    def test_gap(self, story: Any) -> None:
        """What a gap hides may have been a second run."""
        story.submit()
        story.start(1, "w-0-a", "n1")
        story.seen.gap(21, "Pod")

        assert story.status("once") == "inconclusive"


class TestEviction:
    """Pods leave when their toleration is over."""

    def story_of(self, story: Any, evicted: float | None) -> None:
        """Taint a node at 10 s under a pod that tolerates that for 5 s."""
        stays = {**TOLERATES, "tolerationSeconds": 5}
        story.node(0, "n1")
        story.start(1, "w-0-a", "n1", tolerations=[stays])
        story.node(10, "n1", f"{UNREACHABLE}:NoExecute")
        if evicted is not None:
            story.pod(
                evicted,
                "w-0-a",
                "n1",
                tolerations=[stays],
                deleting=True,
                reason="DeletionByTaintManager",
            )

    @pytest.mark.parametrize(
        ("evicted", "status"),
        [(15.2, "pass"), (11.0, "fail"), (25.0, "fail"), (None, "fail")],
    )
    def test_in_time(self, story: Any, evicted: float | None, status: str) -> None:
        """At 15 s it is due: then is right; before, long after and never is not."""
        self.story_of(story, evicted)

        assert story.status("eviction", until=60) == status

    def test_taint_taken_back(self, story: Any) -> None:
        """A node that was well again before then lost nobody."""
        self.story_of(story, None)
        story.node(14, "n1")

        assert story.status("eviction", until=60) == "pass"

    def test_tolerated_for_ever(self, story: Any) -> None:
        """Who tolerates it without limit stays."""
        story.node(0, "n1", f"{UNREACHABLE}:NoExecute")
        story.start(1, "w-0-a", "n1", tolerations=[TOLERATES])

        assert story.status("eviction", until=60) == "inconclusive"

    def test_controller_down(self, story: Any) -> None:
        """Without a controller manager nobody can be evicted; after it, in time."""
        self.story_of(story, None)
        story.component(12, "KILL")
        story.component(30, "RESTART")

        assert story.status("eviction", until=39) == "pass"
        assert story.status("eviction", until=45) == "fail"

    def test_late_recorder(self, story: Any) -> None:
        """20.5 s by a recorder that was 2 s late may have been in time."""
        self.story_of(story, 20.5)
        story.late(21, 2.0)

        assert story.status("eviction", until=60) == "inconclusive"


class TestPriority:
    """Who has priority is served first."""

    def story_of(self, story: Any, waits_s: float, **says: Any) -> None:
        """Let a pod of priority 100 wait, and one of priority 0 be bound."""
        story.node(0, "n1")
        story.pod(1, "v-0-a", priority=100, **says)
        story.start(1 + waits_s, "w-0-a", "n1", gpus=1)

    def test_overtaken(self, story: Any) -> None:
        """Forty seconds of waiting beside an empty node are too long."""
        self.story_of(story, 40.0)

        found = story.judge("priority")

        assert found.verdict.status == "fail"
        assert "where v-0-a (priority 100) had fitted" in found.verdict.evidence[0]

    def test_in_back_off(self, story: Any) -> None:
        """A pod may be in its back-off for some seconds."""
        self.story_of(story, 8.0)

        assert story.status("priority") == "pass"

    def test_tied_to_a_volume(self, story: Any) -> None:
        """A volume may be in one zone alone: that is not seen, so nobody is blamed."""
        claim = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
        self.story_of(story, 40.0, volumes=[claim])

        assert story.status("priority") == "pass"

    def test_gang_of_another_scheduler(self, story: Any) -> None:
        """A member of a gang waits for the others, by whatever name it has them."""
        story.submit("v", expected=2, gang=True)
        self.story_of(story, 40.0)

        assert story.status("priority") == "pass"

    def test_does_not_fit(self, story: Any) -> None:
        """What needs 16 GPUs is not overtaken on a node with 8."""
        self.story_of(story, 40.0, gpus=16)

        assert story.status("priority") == "pass"

    def test_place_that_was_just_freed(self, story: Any) -> None:
        """The node was full until a moment ago."""
        story.node(0, "n1")
        story.start(0, "u-0-a", "n1")
        story.pod(1, "v-0-a", priority=100)
        story.pod(40, "u-0-a", "n1", phase="Succeeded")
        story.start(42, "w-0-a", "n1", gpus=1)

        assert story.status("priority") == "pass"

    def test_gap(self, story: Any) -> None:
        """A gap in the pods hides who waits."""
        self.story_of(story, 8.0)
        story.seen.gap(60, "Pod")

        assert story.status("priority") == "inconclusive"


class TestCollateral:
    """Who was not hit is left alone."""

    def story_of(self, story: Any, reason: str) -> None:
        """Break n1, and evict a pod of n2 for a reason."""
        story.node(0, "n1")
        story.node(0, "n2")
        story.start(1, "w-0-a", "n2")
        story.inject(10, "n1")
        story.pod(20, "w-0-a", "n2", deleting=True, reason=reason)

    def test_long_after_its_node_was_hit(self, story: Any) -> None:
        """A fault that is over is no excuse for what comes later."""
        story.node(0, "n1")
        story.start(1, "w-0-a", "n1")
        story.inject(10, "n1")
        story.clear(20)
        evicted = {"deleting": True, "reason": "DeletionByTaintManager"}
        story.pod(40, "w-0-a", "n1", **evicted)

        assert story.status("collateral") == "fail"

    def test_evicted_without_a_taint(self, story: Any) -> None:
        """An eviction for a taint that is not there."""
        self.story_of(story, "DeletionByTaintManager")

        assert "w-0-a was evicted for a taint from n2" in str(
            story.judge("collateral").verdict
        )

    def test_evicted_one_after_the_other(self, story: Any) -> None:
        """That another pod has just left the node is no excuse."""
        self.story_of(story, "")
        story.gone(20.5, "w-0-a")
        evicted = {"deleting": True, "reason": "DeletionByTaintManager"}
        story.pod(15, "u-0-a", "n2")
        story.pod(21, "u-0-a", "n2", **evicted)

        assert story.status("collateral") == "fail"

    def test_taint_that_was_just_taken_back(self, story: Any) -> None:
        """What it has caused may come a moment later."""
        self.story_of(story, "")
        story.pod(15, "u-0-a", "n2")
        story.node(21, "n2", f"{UNREACHABLE}:NoExecute")
        story.node(22, "n2")
        evicted = {"deleting": True, "reason": "DeletionByTaintManager"}
        story.pod(23, "u-0-a", "n2", **evicted)

        assert story.status("collateral") == "pass"

    def test_preempted(self, story: Any) -> None:
        """A preemption counts where the test says how many there may be."""
        self.story_of(story, "PreemptionByScheduler")

        assert story.status("collateral") == "pass"
        assert story.status("collateral", 1.0) == "pass"
        assert story.status("collateral", 0.0) == "fail"

    def test_deleted_by_the_test(self, story: Any) -> None:
        """What nobody calls a disruption is the user's own doing."""
        self.story_of(story, "")

        assert story.status("collateral", 0.0) == "pass"

    def test_no_fault(self, story: Any) -> None:
        """Without a fault there is nobody who was not hit."""
        assert story.status("collateral") == "inconclusive"


class TestSettled:
    """Once all is well, nothing starves."""

    def story_of(self, story: Any, **replacement: Any) -> None:
        """Break n1 from 10 s to 30 s under one of two pods."""
        story.submit(expected=2)
        story.job(0, completions=2)
        for number in (1, 2):
            story.node(0, f"n{number}")
            story.start(1, f"w-{number - 1}-a", f"n{number}")
        story.inject(10, "n1")
        story.gone(20, "w-0-a")
        if replacement:
            story.pod(21, "w-0-b", **replacement)
        story.clear(30)

    def test_whole_again(self, story: Any) -> None:
        """The replacement starts soon after the node is back."""
        self.story_of(story, gpus=8)
        story.pod(40, "w-0-b", "n1")

        assert story.status("settled", until=200) == "pass"

    def test_starved(self, story: Any) -> None:
        """It waits, though there is room for it."""
        self.story_of(story, gpus=8)

        found = story.judge("settled", until=200)

        assert found.verdict.status == "fail"
        assert "1 of 2 up" in found.verdict.evidence[0]
        assert "w-0-b" in found.verdict.evidence[0]

    def test_nothing_is_made_again(self, story: Any) -> None:
        """Nobody even makes a new pod."""
        self.story_of(story)

        assert "nothing makes new pods" in str(
            story.judge("settled", until=200).verdict
        )

    def test_place_was_taken(self, story: Any) -> None:
        """Who took its place meanwhile has it: that is no starvation."""
        self.story_of(story, gpus=8)
        story.start(25, "v-0-a", "n1")

        assert story.status("settled", until=200) == "pass"

    def test_back_off_of_its_job(self, story: Any) -> None:
        """After five failures a Job waits 160 s, and so does the invariant."""
        self.story_of(story)
        story.job(31, completions=2, failed=5)

        assert story.status("settled", until=150) == "inconclusive"
        assert story.status("settled", until=300) == "fail"

    def test_given_up(self, story: Any) -> None:
        """A Job that has failed is settled."""
        self.story_of(story)
        story.job(31, completions=2, conditions=["Failed"])

        assert story.status("settled", until=200) == "pass"

    def test_ends_too_early(self, story: Any) -> None:
        """A history that ends a second later cannot tell."""
        self.story_of(story, gpus=8)

        assert story.status("settled", until=31) == "inconclusive"


class TestRecovery:
    """Who was hit comes back in time."""

    def story_of(self, story: Any, back: float | None) -> None:
        """Break n1 at 10 s under one of two pods; its replacement is up later."""
        story.submit(expected=2)
        story.job(0, completions=2)
        for number in (1, 2, 3):
            story.node(0, f"n{number}")
        story.start(1, "w-0-a", "n1")
        story.start(1, "w-1-a", "n2")
        story.inject(10, "n1")
        if back is not None:
            story.pod(20, "w-0-a", "n1", deleting=True)
            story.start(back, "w-0-b", "n3")

    @pytest.mark.parametrize(
        ("back", "limit", "status"),
        [(30.0, 40.0, "pass"), (30.0, 10.0, "fail"), (None, 40.0, "fail")],
    )
    def test_in_time(
        self, story: Any, back: float | None, limit: float, status: str
    ) -> None:
        """In time, late, and blind to it."""
        self.story_of(story, back)

        assert story.status("recovery", limit, until=100) == status

    def test_history_ends(self, story: Any) -> None:
        """Before the limit is over nothing can be said."""
        self.story_of(story, None)

        assert story.status("recovery", 40.0, until=30) == "inconclusive"


def test_a_healthy_cluster_is_judged_healthy() -> None:
    """Twenty thousand records with gangs, crashes and evictions: nothing is red."""
    judging = Judging(20_000, nodes=50, pods=400)
    judging.prepare()

    judging.act()


def test_a_broken_day_is_not() -> None:
    """The same with one binding to a full node: the capacity says so."""
    history = History()
    for record in promised(make_records(5_000, nodes=50, pods=400)):
        history.add(record)
    full = next(
        pod for pod in history.latest("Pod").values() if pod["spec"].get("nodeName")
    )
    last = history.records()[-1]
    greedy = {
        "containers": [{"name": "c", "resources": {"requests": {"cpu": "500"}}}],
    }
    waits = {"metadata": {"name": "greedy", "uid": "greedy"}, "spec": greedy}
    bound = {"spec": {"nodeName": full["spec"]["nodeName"]}}
    for number, what in enumerate(({"data": waits}, {"patch": bound}), 1):
        greedy_record = Record(
            revision=last.revision + number,
            monotonic=last.monotonic + number,
            wall=last.wall,
            verb="ADDED" if "data" in what else "MODIFIED",
            kind="Pod",
            namespace="default",
            name="greedy",
            uid="greedy",
            **what,
        )
        history.add(greedy_record)

    failed = [
        found.name
        for found in judge_standing(history, usual())
        if found.verdict.status == "fail"
    ]

    assert failed == ["capacity"]


def test_a_folded_history_is_a_doubt_and_no_failure(seen: Any, story: Any) -> None:
    """Nodes and pods of before the fold are known; what they did is not."""
    seen.history = History(max_records=16)
    for kind in ("Pod", "Node"):
        seen._add(0.0, "BEGIN", WATCH, kind, "", data={})
    story = type(story)(seen)
    story.node(0, "n1")
    story.start(1, "w-0-a", "n1")
    for at in range(2, 22):
        story.node(at, "n2", gpus=at)
    story.start(30, "w-1-a", "n2")
    assert story.history.truncated_before

    found = {f.name: f.verdict.status for f in judge_standing(story.history, usual())}

    assert found["capacity"] == found["placement"] == "inconclusive"
    assert "fail" not in found.values()
