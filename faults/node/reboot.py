"""Nodes that go down and come back with nothing running on them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.control_plane.changes import ContainersEnd, Edit, node, pod
from pytest_knav.faults.base import FaultCard
from pytest_knav.faults.node.crash import NodeCrash
from pytest_knav.faults.node.states import told_by_kubelet


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

# What a container runtime says of containers that it finds dead after a boot
# (containerd, pkg/cri: exit code 255, reason Unknown).
_DEAD_AFTER_BOOT: Final = 255


@dataclass(frozen=True, slots=True)
class NodeReboot(NodeCrash):
    """
    Nodes go down, and come back with every container of theirs dead.

    Changes: as NodeCrash, until it is cleared; `for_("60s", NodeReboot(...))` says how
    long it takes. Then the nodes have another boot id, an Event says so, and the
    pods that were still bound to them end (exit code 255): those that may restart do so
    in place, the others are Failed.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="node",
        layer="node",
        signals=("lease", "condition", "taint", "pod status", "event"),
        stands_for="a kernel update, a reset after an XID, a watchdog",
        source="Kubernetes, pkg/kubelet (bootID); containerd, pkg/cri (exit code 255)",
        certifies=(
            "that work comes back when its node was away for a while, wherever it is "
            "restarted"
        ),
        does_not_certify="what is lost in memory and on local disks",
        undone="the kubelets are back; what ran there has ended",
    )

    def aftermath(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the new boot ids, and the ends of the pods that ran there."""
        boots = [
            Edit(
                ref=node(name),
                way=("status", "nodeInfo", "bootID"),
                value=str(uuid.uuid4()),
                subresource="status",
                signal="condition",
            )
            for name in targets
        ]
        wanted = set(targets)
        ends = [
            ContainersEnd(
                ref=pod(found["metadata"]["namespace"], found["metadata"]["name"]),
                uid=found["metadata"]["uid"],
                exit_code=_DEAD_AFTER_BOOT,
                reason="Unknown",
                signal="pod status",
            )
            for found in world.history.latest("Pod").values()
            if found.get("spec", {}).get("nodeName") in wanted
            and found.get("status", {}).get("phase") == "Running"
        ]
        told = [
            one
            for boot, name in zip(boots, targets, strict=True)
            for one in told_by_kubelet(
                [name],
                "Rebooted",
                f"Node {name} has been rebooted, boot id: {boot.value}",
                warning=True,
            )
        ]
        return [*boots, *ends, *told]
