"""What operators and autoscalers do to nodes: cordon, drain, delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_knav.control_plane.changes import (
    Delete,
    Edit,
    Evict,
    ObjectRef,
    Withdraw,
    node,
    pod,
)
from pytest_knav.control_plane.kwokctl import KUBELET_LABEL
from pytest_knav.control_plane.nodes import node_info
from pytest_knav.durations import Duration, seconds
from pytest_knav.faults.base import Fault, FaultCard, Signal
from pytest_knav.faults.node.states import all_tainted, check_there


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.control_plane.changes.base import Claim
    from pytest_knav.faults.base import World

_ENDED = {"Succeeded", "Failed"}
# Put on cordoned nodes by node lifecycle (pkg/controller/nodelifecycle).
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


@dataclass(frozen=True, slots=True)
class NodeCordon(Fault):
    """
    Nodes are closed for new pods; what runs on them stays.

    Changes: `spec.unschedulable`; the control plane adds the taint
    `node.kubernetes.io/unschedulable`.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="node",
        layer="node",
        signals=("cordon",),
        stands_for="an operator, an autoscaler or a health agent cordons the node",
        source="Kubernetes, kubectl cordon; NVSentinel, fault-quarantine",
        certifies="that nothing new is put onto a cordoned node",
        does_not_certify="what becomes of the work that runs there",
        undone="uncordoned, if it was not cordoned before",
    )

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: work goes on."""
        del world, targets
        return frozenset()

    def claims(self, world: World, targets: Sequence[str]) -> frozenset[Claim]:
        """Return nothing but the cordon: what is cordoned may fail, and the reverse."""
        del world, targets
        return frozenset()

    def check(self, world: World, targets: Sequence[str]) -> None:
        """Return when every target is there; else as `Fault.check`."""
        check_there(self.name, world, targets)

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the cordon of each node."""
        del world
        return [_cordon(name) for name in targets]

    def detected(self, world: World, targets: Sequence[str]) -> Signal | None:
        """Return that every target carries the taint."""
        return all_tainted(world, targets, _UNSCHEDULABLE, tainted=True)

    def cleared(
        self, world: World, targets: Sequence[str], cleared_s: float
    ) -> Signal | None:
        """Return that no target carries the taint."""
        del cleared_s
        return all_tainted(world, targets, _UNSCHEDULABLE, tainted=False)


@dataclass(frozen=True, slots=True)
class NodeDrain(Fault):
    """
    Nodes are cordoned and their pods evicted, as `kubectl drain` does it.

    Changes: `spec.unschedulable`, then an Eviction for each pod but those of DaemonSets
    and static ones. Evictions respect PodDisruptionBudgets: what a budget forbids is
    asked for again until `timeout` is over, and then the pod stays, as it does with
    kubectl.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.
        timeout: How long to ask for evictions that a budget forbids.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="node",
        layer="node",
        signals=("cordon", "pod status"),
        stands_for="planned upkeep, an autoscaler's scale-down, remediation of a node",
        source="Kubernetes, kubectl drain; policy/v1 Eviction",
        certifies="that work moves away from drained nodes, within its budgets",
        does_not_certify="how a workload ends; what upkeep does to the node",
        undone="uncordoned, if it was not cordoned before; pods do not come back",
    )

    timeout: Duration = "30s"

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        seconds(self.timeout, name="timeout")

    def claims(self, world: World, targets: Sequence[str]) -> frozenset[Claim]:
        """Return nothing but the cordon: a node that fails is drained, and reverse."""
        del world, targets
        return frozenset()

    def check(self, world: World, targets: Sequence[str]) -> None:
        """Return when every target is there; else as `Fault.check`."""
        check_there(self.name, world, targets)

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the cordon of each node, then the eviction of each pod on it."""
        limit_s = seconds(self.timeout, name="timeout")
        evictions = [
            Evict(
                ref=pod(found["metadata"]["namespace"], found["metadata"]["name"]),
                uid=found["metadata"]["uid"],
                retry_s=limit_s,
                signal="pod status",
            )
            for found in _pods_on(world, targets)
        ]
        return [*(_cordon(name) for name in targets), *evictions]

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return how many pods are still there that a drain would evict."""
        del started_s, now_s
        left = len(_pods_on(world, targets))
        kept = f", {left} pods kept by their budgets" if left else ", no pod left"
        return Signal(name="drained", evidence=f"{len(targets)} nodes cordoned{kept}")

    def cleared(
        self, world: World, targets: Sequence[str], cleared_s: float
    ) -> Signal | None:
        """Return that no target carries the taint."""
        del cleared_s
        return all_tainted(world, targets, _UNSCHEDULABLE, tainted=False)

    def timeouts_s(self, world: World) -> Mapping[str, float]:
        """Return those of every fault, and the time for budgets."""
        limits = Fault.timeouts_s(self, world)
        more_s = seconds(self.timeout, name="timeout")
        return {**limits, "signal": limits["signal"] + more_s}


@dataclass(frozen=True, slots=True)
class NodeDeletion(Fault):
    """
    Node objects are deleted, as when a cloud takes a machine back.

    Changes: the Node is gone, its lease, its device slices and, after the quarantine of
    the pod garbage collector, its pods. Clearing it makes a replacement of the same
    name with a uid of its own, which a kubelet takes up as it does a new machine, and
    which offers the same devices.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="node",
        layer="node",
        signals=("node",),
        stands_for="spot instance taken back, machine replaced, scale-down",
        source="Kubernetes, pkg/controller/podgc (orphans), cloud node lifecycle",
        certifies="that work finds its way when a node vanishes, and uses the new one",
        does_not_certify="warning times of clouds; what is lost on local disks",
        undone="a new Node object with the labels, taints and resources of the old one",
    )

    def check(self, world: World, targets: Sequence[str]) -> None:
        """Return when every target is there; else as `Fault.check`."""
        check_there(self.name, world, targets)

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the deletion of each node, and of the device slices it owns."""
        wanted = set(targets)
        slices = [
            Withdraw(
                ref=ObjectRef(kind="ResourceSlice", name=found["metadata"]["name"]),
                node=found["spec"]["nodeName"],
                signal="node",
            )
            for found in _slices(world)
            if found["spec"].get("nodeName") in wanted
        ]
        # Taken back in the other order: a slice belongs to the node that is there.
        return [*slices, *(Delete(ref=node(name), signal="node") for name in targets)]

    def cleared(
        self, world: World, targets: Sequence[str], cleared_s: float
    ) -> Signal | None:
        """Return that every replacement is Ready and open."""
        del cleared_s
        for name in targets:
            found = world.history.get("Node", "", name)
            if found is None:
                return None
            labelled = KUBELET_LABEL in found["metadata"].get("labels", {})
            if labelled and not node_info(found).usable:
                return None
        return Signal(name="replaced", evidence=f"{len(targets)} nodes Ready")


def _slices(world: World) -> Iterable[Mapping[str, Any]]:
    if not world.topology.dra:
        return ()
    return world.history.latest("ResourceSlice").values()


def _cordon(name: str) -> Change:
    return Edit(
        ref=node(name), way=("spec", "unschedulable"), value=True, signal="cordon"
    )


def _pods_on(world: World, nodes: Sequence[str]) -> list[Mapping[str, Any]]:
    wanted = set(nodes)
    return [
        found
        for found in world.history.latest("Pod").values()
        if found.get("spec", {}).get("nodeName") in wanted and _drained(found)
    ]


def _drained(found: Mapping[str, Any]) -> bool:
    metadata, status = found["metadata"], found.get("status", {})
    owners = {owner.get("kind") for owner in metadata.get("ownerReferences", ())}
    return (
        "DaemonSet" not in owners
        and "kubernetes.io/config.mirror" not in metadata.get("annotations", {})
        and "deletionTimestamp" not in metadata
        and status.get("phase") not in _ENDED
    )
