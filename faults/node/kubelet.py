"""Faults of nodes that their kubelet reports itself: it is alive, the node is not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.control_plane.changes import Edit, Patch, node
from pytest_knav.control_plane.kwokctl import KUBELET_PROBLEM
from pytest_knav.control_plane.nodes import NOT_READY
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, FaultCard, Signal
from pytest_knav.faults.node.states import (
    all_ready,
    all_tainted,
    check_alive,
    told_by_kubelet,
)


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

# The kubelet's own words (pkg/kubelet/nodestatus/setters.go), by condition.
_PRESSURES: Final = {
    "MemoryPressure": (
        "KubeletHasInsufficientMemory",
        "kubelet has insufficient memory available",
        "node.kubernetes.io/memory-pressure",
    ),
    "DiskPressure": (
        "KubeletHasDiskPressure",
        "kubelet has disk pressure",
        "node.kubernetes.io/disk-pressure",
    ),
    "PIDPressure": (
        "KubeletHasInsufficientPID",
        "kubelet has insufficient PID available",
        "node.kubernetes.io/pid-pressure",
    ),
}

_EVENTS: Final = {
    "MemoryPressure": "NodeHasInsufficientMemory",
    "DiskPressure": "NodeHasDiskPressure",
    "PIDPressure": "NodeHasInsufficientPID",
}


@dataclass(frozen=True, slots=True)
class NodeNotReady(Fault):
    """
    Kubelets report that their node is not ready, and go on renewing their leases.

    Changes: the kubelets that KWOK plays write Ready=False with the reason
    KubeletNotReady, and the Event NodeNotReady. The control plane taints the nodes
    `node.kubernetes.io/not-ready` and evicts their pods when the toleration ends; the
    kubelets then end them, since they are alive. No grace period passes first: this is
    seen sooner than a crash.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="node",
        layer="node",
        signals=("condition", "taint", "event"),
        stands_for="container runtime down, network plugin not ready, kubelet unwell",
        source="Kubernetes, pkg/kubelet/nodestatus/setters.go (ReadyCondition)",
        certifies=(
            "reaction to a node whose kubelet says NotReady, with taint and eviction "
            "by the real controllers"
        ),
        does_not_certify="containers that die with the runtime; what the kubelet does",
        undone="the kubelets report Ready again",
    )

    def check(self, world: World, targets: Sequence[str]) -> None:
        """Return when every target is alive; else as `Fault.check`."""
        check_alive(self.name, world, targets)

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the annotation by which the played kubelets are unwell."""
        del world
        unwell = [
            Patch(
                ref=node(name),
                body={"metadata": {"annotations": {KUBELET_PROBLEM: "not-ready"}}},
                undo={"metadata": {"annotations": {KUBELET_PROBLEM: None}}},
                signal="condition",
            )
            for name in targets
        ]
        said = "Node {node} status is now: NodeNotReady"
        return [*unwell, *told_by_kubelet(targets, "NodeNotReady", said)]

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return that every target says Ready=False."""
        del started_s, now_s
        return all_ready(world, targets, "False")

    def detected(self, world: World, targets: Sequence[str]) -> Signal | None:
        """Return that every target carries the not-ready taint."""
        return all_ready(world, targets, "False", taint=NOT_READY)

    def cleared(
        self, world: World, targets: Sequence[str], cleared_s: float
    ) -> Signal | None:
        """Return that every target says Ready=True and has lost the taint."""
        del cleared_s
        return all_ready(world, targets, "True", taint=NOT_READY)


@dataclass(frozen=True, slots=True)
class NodePressure(Fault):
    """
    Nodes run short of memory, disk or process ids, and say so.

    Changes: the condition MemoryPressure, DiskPressure or PIDPressure becomes True; the
    kubelet writes the Event of it, and the control plane adds the taint of the same
    name with the effect NoSchedule. Pods that run stay: a kubelet's own evictions are a
    fault of pods.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.
        condition: `MemoryPressure`, `DiskPressure` or `PIDPressure`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="node",
        layer="node",
        signals=("condition", "taint", "event"),
        stands_for="host memory, disk or process ids used up",
        source="Kubernetes, pkg/kubelet/nodestatus/setters.go; taint by node lifecycle",
        certifies="that nothing new is put onto a node under pressure",
        does_not_certify="evictions by the kubelet, out-of-memory kills",
        undone="the condition is what it was before",
    )

    condition: str = "MemoryPressure"

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if self.condition not in _PRESSURES:
            raise BadInput(
                f"NodePressure(condition={self.condition!r}): use one of "
                f"{', '.join(_PRESSURES)}"
            )

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: work goes on."""
        del world, targets
        return frozenset()

    def check(self, world: World, targets: Sequence[str]) -> None:
        """Return when every target is alive; else as `Fault.check`."""
        check_alive(self.name, world, targets)

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the condition and its Event."""
        del world
        reason, message, _ = _PRESSURES[self.condition]
        value = {
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        way = ("status", "conditions", {"type": self.condition})
        # The names of the Events are not those of the reasons (setters.go, too).
        event, said = _EVENTS[self.condition], "Node {node} status is now: "
        short = [
            Edit(
                ref=node(name),
                way=way,
                value={"type": self.condition, **value},
                subresource="status",
                signal="condition",
            )
            for name in targets
        ]
        return [*short, *told_by_kubelet(targets, event, f"{said}{event}")]

    def detected(self, world: World, targets: Sequence[str]) -> Signal | None:
        """Return that every target carries the taint."""
        return all_tainted(world, targets, self._taint, tainted=True)

    def cleared(
        self, world: World, targets: Sequence[str], cleared_s: float
    ) -> Signal | None:
        """Return that no target carries the taint."""
        del cleared_s
        return all_tainted(world, targets, self._taint, tainted=False)

    @property
    def _taint(self) -> str:
        return _PRESSURES[self.condition][2]
