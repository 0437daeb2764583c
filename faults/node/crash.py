"""Faults of whole nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_knav.control_plane.changes import label_node
from pytest_knav.control_plane.kwokctl import KUBELET_LABEL, KUBELET_RUNNING
from pytest_knav.control_plane.nodes import UNREACHABLE, node_info
from pytest_knav.faults.base import Fault, FaultCard, Signal
from pytest_knav.faults.node.states import check_alive


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

# A renewal may be one interval away; half a one more is late by any measure.
SILENT_INTERVALS = 1.5
_READY_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class NodeCrash(Fault):
    """
    Nodes stop answering: their leases are no longer renewed and nothing reports status.

    Changes: KWOK is told to let go of the nodes. Everything after that is done by the
    control plane: Ready becomes Unknown after the grace period, the taint
    `node.kubernetes.io/unreachable` follows, pods are evicted when their toleration
    ends and stay Terminating, because no kubelet is left to end them. Clearing it
    brings the kubelets back: leases are renewed, Ready is True, taints are gone, pods
    that were to be deleted are deleted.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="node",
        layer="node",
        # The lease is what is broken; the control plane makes the others of it.
        signals=("lease", "condition", "taint", "pod status"),
        stands_for="kernel panic, power loss, hung kubelet, cut management network",
        source="Kubernetes, pkg/controller/nodelifecycle; KEP-589 (node leases)",
        certifies=(
            "reaction of control plane and scheduler to a node whose lease is lost, "
            "with detection, taint and eviction by the real controllers"
        ),
        does_not_certify=(
            "effects on processes, GPUs and disks; restart of containers after a "
            "reboot; detection by anything but leases"
        ),
        undone="the kubelets renew their leases again, and end what was to be deleted",
    )

    def check(self, world: World, targets: Sequence[str]) -> None:
        """Return when every target is alive; else as `Fault.check`."""
        check_alive(self.name, world, targets)

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the removal of the label by which KWOK takes care of a node."""
        return [
            label_node(name, KUBELET_LABEL, None, KUBELET_RUNNING)
            for name in soonest_renewed(world, targets)
        ]

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return that no lease was renewed for one and a half renew intervals."""
        silent_s = SILENT_INTERVALS * world.profile.renew_interval_s
        renewed = {name: last_renewal_s(world, name) for name in targets}
        if any(now_s - max(at, started_s) < silent_s for at in renewed.values()):
            return None
        return Signal(
            name="silent",
            evidence=f"no lease of {len(targets)} nodes renewed for {silent_s:g}s",
        )

    def detected(self, world: World, targets: Sequence[str]) -> Signal | None:
        """Return that every target is Unknown and carries the unreachable taint."""
        for name in targets:
            node = _node(world, name)
            if node is None:
                continue
            info = node_info(node)
            if info.ready != "Unknown" or (UNREACHABLE, "NoExecute") not in info.taints:
                return None
        return Signal(
            name="detected", evidence=f"{len(targets)} nodes Ready=Unknown and tainted"
        )

    def cleared(
        self, world: World, targets: Sequence[str], cleared_s: float
    ) -> Signal | None:
        """Return that every target renews its lease, is Ready, has no taint of it."""
        for name in targets:
            node = _node(world, name)
            if node is None:
                continue
            info = node_info(node)
            if info.ready != "True" or any(
                key == UNREACHABLE for key, _ in info.taints
            ):
                return None
            if last_renewal_s(world, name) < cleared_s:
                return None
        return Signal(name="ready", evidence=f"{len(targets)} nodes Ready, no taint")

    def timeouts_s(self, world: World) -> Mapping[str, float]:
        """Return generous limits: the machine may be busy, the answer is the same."""
        profile = world.profile
        silent_s = SILENT_INTERVALS * profile.renew_interval_s
        return {
            "signal": 4 * silent_s + 10,
            "detected": 4 * profile.detection_s + 30,
            "cleared": 2 * profile.lease_s + _READY_AGAIN_S,
        }


def last_renewal_s(world: World, node: str) -> float:
    """
    Return when the newest renewal of a node's lease was seen, on the monotonic clock.

    Minus infinity when none was: then there is nothing to miss either.
    """
    lease = world.history.get("Lease", "kube-node-lease", node)
    if lease is None:
        return float("-inf")
    # Nothing but renewals changes a lease of a node.
    last = world.history.last_of(lease["metadata"]["uid"])
    return float("-inf") if last is None else last.monotonic


def soonest_renewed(world: World, nodes: Sequence[str]) -> list[str]:
    """
    Return nodes in the order in which their leases will be renewed.

    Many changes take a while. Those who would renew meanwhile are let go first, so that
    the last renewal does not come with the last change, but soon after the first.
    """
    return sorted(nodes, key=lambda name: (last_renewal_s(world, name), name))


def _node(world: World, name: str) -> Mapping[str, Any] | None:
    return world.history.get("Node", "", name)
