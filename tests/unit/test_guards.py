"""What is refused before anything changes: overlaps, and more than was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_knav import node_of
from pytest_knav.control_plane.changes import Delete, Edit, ObjectRef, node
from pytest_knav.control_plane.changes.objects import label_node
from pytest_knav.control_plane.kwokctl import KUBELET_LABEL
from pytest_knav.control_plane.profiles import fast_profile
from pytest_knav.errors import BadInput
from pytest_knav.faults import (
    Fault,
    GpuEccError,
    GpuLost,
    GpuRowRemap,
    GpuXid,
    ImagePullFailure,
    LemonNode,
    NicDown,
    NodeCordon,
    NodeCrash,
    NodeDrain,
    NodeFlapping,
    NodeNotReady,
    NodePressure,
    PlaceLoss,
    PowerLoss,
    SlowHeartbeats,
)
from pytest_knav.faults.gpu.reports import conditions
from pytest_knav.plans.guards import (
    check_overlap,
    check_reach,
    claims_of,
    limit_of,
)
from pytest_knav.topology import Topology, make_topology


NODE, OTHER = "dgx-h100-0001", "dgx-h100-0002"
RACK = {f"dgx-h100-000{i}" for i in range(4)}


def machine(
    name: str, ready: str = "True", label: str | None = "running"
) -> dict[str, Any]:
    """Return a Node object."""
    labels = {} if label is None else {KUBELET_LABEL: label}
    resources = {"nvidia.com/gpu": "8"}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": labels},
        "spec": {},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "allocatable": resources,
        },
    }


class Objects:
    """Just enough of a history: the nodes that are there now."""

    def __init__(self, *nodes: dict[str, Any]) -> None:
        self._nodes = {found["metadata"]["name"]: found for found in nodes}

    def get(self, kind: str, _: str, name: str) -> dict[str, Any] | None:
        """Return a node."""
        return self._nodes.get(name) if kind == "Node" else None

    def latest(self, kind: str) -> dict[str, Any]:
        """Return what there is of a kind."""
        return self._nodes if kind == "Node" else {}


@dataclass
class Here:
    """Just enough of a cluster: its topology, its nodes, its times."""

    topology: Topology = field(default_factory=lambda: make_topology("dgx-h100", 8))
    history: Any = None
    profile: Any = field(default_factory=lambda: fast_profile(8))
    plane: Any = None

    def __post_init__(self) -> None:
        if self.history is None:
            self.history = Objects(*(machine(n.name) for n in self.topology.nodes))


def world(*nodes: dict[str, Any]) -> Any:
    """Return a cluster with some nodes; by default all, and all Ready."""
    return Here(history=Objects(*nodes) if nodes else None)


def broken(fault: Fault, *targets: str) -> Any:
    """Return everything that a fault breaks."""
    here = world()
    return claims_of(fault, here, targets, fault.changes(here, targets))


class TestOverlap:
    """What may come together, and what may not."""

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (NodeCrash(NODE), NodeCrash(NODE)),
            (NodeCrash(NODE), NodeNotReady(NODE)),
            (NodeCrash(NODE), NodePressure(NODE)),
            (NodeFlapping(NODE), SlowHeartbeats(NODE)),
            (NodeCordon(NODE), NodeDrain(NODE)),
        ],
    )
    def test_two_faults_of_one_node_are_refused(
        self, first: Fault, second: Fault
    ) -> None:
        """The message names both, and what both break."""
        with pytest.raises(BadInput, match=f"both break .*{NODE}.*clear that one"):
            check_overlap(
                second, broken(second, NODE), [(first.name, broken(first, NODE))]
            )

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (NodeCordon(NODE), NodeCrash(NODE)),
            (NodeCrash(NODE), NodeDrain(NODE)),
            (NodeCordon(NODE), NodePressure(NODE)),
        ],
    )
    def test_what_operators_do_comes_on_top_of_what_fails(
        self, first: Fault, second: Fault
    ) -> None:
        """A node that is cordoned may crash, and one that crashed be drained."""
        check_overlap(second, broken(second, NODE), [(first.name, broken(first, NODE))])

    def test_other_nodes_are_no_overlap(self) -> None:
        """Each fault has its own."""
        first, second = NodeCrash(NODE), NodeCrash(OTHER)

        check_overlap(second, broken(second, OTHER), [("", broken(first, NODE))])

    def test_a_wider_fault_overlaps_by_its_nodes(self) -> None:
        """A rack that is lost has the node in it, whatever the targets are called."""
        rack = world().topology.node(NODE).rack
        wide, narrow = PlaceLoss(rack), NodeNotReady(NODE)

        with pytest.raises(BadInput, match=f"both break node {NODE}"):
            check_overlap(
                wide, broken(wide, rack), [(narrow.name, broken(narrow, NODE))]
            )

    def test_an_object_overlaps_with_every_value_in_it(self) -> None:
        """Deleting a node that is cordoned would keep the cordon for good."""
        cordon = Edit(ref=node(NODE), way=("spec", "unschedulable"), value=True)
        whole = Delete(ref=node(NODE))
        fault = NodeCordon(NODE)

        with pytest.raises(BadInput, match=f"Node {NODE} spec.unschedulable"):
            check_overlap(fault, cordon.claims, [("other", whole.claims)])
        with pytest.raises(BadInput, match=f"Node {NODE} spec.unschedulable"):
            check_overlap(fault, whole.claims, [("other", cordon.claims)])

    def test_values_of_one_object_are_no_overlap(self) -> None:
        """A cordon is one field, the label of the kubelet another."""
        cordon = Edit(ref=node(NODE), way=("spec", "unschedulable"), value=True)
        crash = label_node(NODE, KUBELET_LABEL, None, "running")

        check_overlap(NodeCordon(NODE), cordon.claims, [("", crash.claims)])

    def test_a_gpu_and_its_node_are_no_overlap(self) -> None:
        """First an XID, then a cordon, then the crash: three faults of one machine."""
        gpu = GpuLost(f"{NODE}/gpu-0")
        here = world()
        lost = gpu.claims(here, [f"{NODE}/gpu-0"])

        for other in (NodeCordon(NODE), NodeCrash(NODE)):
            check_overlap(other, broken(other, NODE), [(gpu.name, lost)])


class TestLimit:
    """How much may break at a time."""

    @pytest.mark.parametrize(
        ("given", "touched", "there_are", "allowed"),
        [
            (3, 3, 10, True),
            ("3", 4, 10, False),
            ("10%", 100, 1000, True),
            ("10%", 101, 1000, False),
            ("12.5%", 1, 8, True),
            ("12%", 1, 8, False),
        ],
    )
    def test_counts_nodes_or_their_share(
        self, given: int | str, touched: int, there_are: int, *, allowed: bool
    ) -> None:
        """A share is not rounded in anybody's favour."""
        limit = limit_of(given)

        assert limit is not None
        assert limit.allows(touched, there_are) is allowed

    @pytest.mark.parametrize("given", [0, -1, "0%", "101%", "many", True, 1.5, "%"])
    def test_refuses_what_is_no_limit(self, given: Any) -> None:
        """With the value and what is allowed."""
        with pytest.raises(BadInput, match="a number of nodes from 1, or a share"):
            limit_of(given)

    def test_says_both_numbers(self) -> None:
        """What would be touched, and what may be."""
        with pytest.raises(BadInput, match=r"4 of 8 nodes .* at most 25% may be"):
            check_reach(NodeCrash(NODE), list("abcd"), [], 8, [limit_of("25%")])

    def test_counts_what_is_broken_already(self) -> None:
        """Two small faults are a large one."""
        limits = [limit_of(3)]
        check_reach(NodeCrash(NODE), ["a"], ["b", "c"], 8, limits)

        with pytest.raises(BadInput, match=r"4 of 8 nodes .* 2 of them by faults"):
            check_reach(NodeCrash(NODE), ["a", "d"], ["b", "c"], 8, limits)

    @pytest.mark.parametrize(
        ("fault", "targets", "nodes"),
        [
            (NodeCordon(NODE), [NODE], {NODE}),
            (SlowHeartbeats(NODE), [NODE], {NODE}),
            (GpuXid(f"{NODE}/gpu-3"), [f"{NODE}/gpu-3", f"{NODE}/gpu-4"], {NODE}),
            (PlaceLoss("rack-000"), ["rack-000"], RACK),
        ],
    )
    def test_counts_nodes_that_are_touched_at_all(
        self, fault: Fault, targets: list[str], nodes: set[str]
    ) -> None:
        """Whether or not their work is lost."""
        assert fault.reach(world(), targets) == nodes


class TestFailedAlready:
    """A target that cannot fail any more."""

    @pytest.mark.parametrize(
        "fault",
        [
            NodeCrash(NODE),
            NodeNotReady(NODE),
            NodePressure(NODE),
            NodeFlapping(NODE),
            SlowHeartbeats(NODE),
        ],
    )
    def test_is_refused(self, fault: Fault) -> None:
        """With what it looks like now."""
        here = world(machine(NODE, ready="Unknown"))

        with pytest.raises(BadInput, match=r"failed already \(Ready=Unknown\)"):
            fault.check(here, [NODE])

    @pytest.mark.parametrize("fault", [NodeCrash(NODE), NodeCordon(NODE)])
    def test_a_node_that_is_gone_is_refused(self, fault: Fault) -> None:
        """It was deleted."""
        with pytest.raises(BadInput, match=f"{NODE} is not in the cluster"):
            fault.check(world(machine(OTHER)), [NODE])

    @pytest.mark.parametrize(
        ("fault", "target"),
        [
            (NicDown(f"{NODE}/nic-3"), f"{NODE}/nic-3"),
            (ImagePullFailure(NODE), NODE),
            (LemonNode(NODE), NODE),
        ],
    )
    def test_what_belongs_to_a_node_that_is_gone_is_refused(
        self, fault: Fault, target: str
    ) -> None:
        """At once, and not by waiting for what nobody will report."""
        with pytest.raises(BadInput, match=f"{NODE} is not in the cluster"):
            fault.check(world(machine(OTHER)), [target])

    def test_a_node_without_a_kubelet_is_refused(self) -> None:
        """Nothing would stop."""
        here = world(machine(NODE, label=None))

        with pytest.raises(BadInput, match="has no kubelet that could fail"):
            NodeCrash(NODE).check(here, [NODE])

    def test_all_nodes_of_a_feed_are_looked_at(self) -> None:
        """Not the feed's own name."""
        feeds = ["rack-000/feed-a", "rack-000/feed-b"]
        here = world(*(machine(n.name, "False") for n in world().topology.nodes))

        with pytest.raises(BadInput, match="dgx-h100-0000 has failed already"):
            PowerLoss(feeds).check(here, feeds)


class TestCannotBeExpressed:
    """What this cluster cannot show."""

    @pytest.mark.parametrize(
        "fault", [GpuXid(f"{NODE}/gpu-0", by="rule"), GpuLost("*", by="rule")]
    )
    def test_a_rule_needs_devices(self, fault: Fault) -> None:
        """Where GPUs are amounts, there is nothing to taint."""
        with pytest.raises(BadInput, match=r"mark the test knav\(dra=True\)"):
            fault.check(world(), [f"{NODE}/gpu-0"])

    @pytest.mark.parametrize("every", ["2s", "3s", "9.5s", "60s"])
    def test_heartbeats_are_late_and_not_lost(self, every: str) -> None:
        """With a lease of 8 s, they are renewed each 2 s and lost after 10 s."""
        with pytest.raises(BadInput, match="more than 3s, at most 9s"):
            SlowHeartbeats(NODE, every).check(world(), [NODE])

    def test_a_short_silence_cannot_be_seen(self) -> None:
        """Half of 4 s is less than one and a half renew intervals."""
        with pytest.raises(BadInput, match="silent for 2s of each period"):
            NodeFlapping(NODE, "4s", by="lease").check(world(), [NODE])

        NodeFlapping(NODE, "8s", by="lease").check(world(), [NODE])


class TestArguments:
    """Wrong values fail when the fault is made."""

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: GpuEccError("g", 79), "use one of 48 .* 94 .* 95"),
            (lambda: GpuRowRemap("g", 48), "use one of 63 .* 64"),
            (lambda: GpuXid("g", by="hand"), "use one of slice, rule"),  # type: ignore[arg-type]
            (lambda: GpuLost("g", detect_after="soon"), "detect_after"),
            (lambda: NodeFlapping("n", down=1), "above 0, below 1"),
            (lambda: NodeFlapping("n", "0s"), "period"),
            (lambda: NodeFlapping("n", by="hand"), "condition, lease"),  # type: ignore[arg-type]
            (lambda: SlowHeartbeats("n", "late"), "every"),
        ],
    )
    def test_are_refused(self, make: Any, message: str) -> None:
        """With the value and what is allowed."""
        with pytest.raises(BadInput, match=message):
            make()


class TestDetection:
    """What an agent tells comes later than what happens."""

    def test_only_what_an_agent_tells_waits(self) -> None:
        """The series and the ends of pods are the failure itself."""
        made = GpuXid(f"{NODE}/gpu-0", 79, detect_after="30s").changes(
            world(), [f"{NODE}/gpu-0"]
        )

        late = {change.signal for change in made if change.after_s == 30.0}
        assert late == {"event", "condition", "allocatable"}
        assert {c.signal for c in made if not c.after_s} == {"metric"}

    def test_the_profile_says_how_long(self) -> None:
        """At once where time is compressed."""
        made = GpuLost(f"{NODE}/gpu-0").changes(world(), [f"{NODE}/gpu-0"])

        assert {change.after_s for change in made} == {0.0}

    def test_a_pending_remap_moves_nothing(self) -> None:
        """XID 63 asks for nothing; XID 64 for the GPU."""
        pending = GpuRowRemap(f"{NODE}/gpu-0").changes(world(), [f"{NODE}/gpu-0"])
        failed = GpuRowRemap(f"{NODE}/gpu-0", 64).changes(world(), [f"{NODE}/gpu-0"])

        assert {change.signal for change in pending} == {"metric", "event"}
        assert "allocatable" in {change.signal for change in failed}


def test_two_gpus_of_one_node_may_fail_one_after_the_other() -> None:
    """The agent's condition has a finding for each, and each is taken back alone."""
    first, second = (
        change
        for name in ("gpu-0", "gpu-1")
        for change in conditions([f"{NODE}/{name}"], "SysLogsXIDError", "ErrorCode:79")
    )

    assert not first.claims & second.claims


def test_a_slice_is_claimed_by_its_device() -> None:
    """Two GPUs of one slice can fail one after the other."""
    ref = ObjectRef(kind="ResourceSlice", name="slice")
    first, second = (
        Edit(ref=ref, way=("spec", "devices", {"name": name}, "taints"), value=[])
        for name in ("gpu-0", "gpu-1")
    )

    assert not first.claims & second.claims


def test_a_name_is_kept_in_messages() -> None:
    """What was aimed at is said as it was written."""
    fault = NodeCrash(node_of(type("Handle", (), {"nodes": [NODE], "name": "llama"})()))

    with pytest.raises(BadInput, match=r"NodeCrash\(node_of\(llama\)\)"):
        fault.check(world(machine(NODE, "False")), [NODE])
