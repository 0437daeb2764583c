"""What a health agent writes of the links that a node has lost."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane.changes import Edit, Findings, NicMetrics, node
from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault
from pytest_knav.faults.gpu.reports import later


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

#: Names of NVSentinel's NIC health monitor (pkg/checks), by kind of fabric: a lost link
#: is fatal and a condition of the node; less than full speed is an event of it.
LOST: Final = {"infiniband": "InfiniBandStateCheck", "ethernet": "EthernetStateCheck"}
DEGRADED: Final = {
    "infiniband": "InfiniBandDegradationCheck",
    "ethernet": "EthernetDegradationCheck",
}
EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_KEY = r"(?:[a-z0-9.-]+/)?[A-Za-z0-9][A-Za-z0-9_.-]*"
_VALUE = r"[A-Za-z0-9]?[A-Za-z0-9_.-]*"
_TAINT: Final = re.compile(rf"({_KEY})(?:=({_VALUE}))?:({'|'.join(EFFECTS)})")
_LABEL: Final = re.compile(rf"({_KEY})=({_VALUE})")


@dataclass(frozen=True, slots=True)
class OfFabric(Fault):
    """
    What faults of the compute fabric share: their nodes run and stay Ready.

    The kubelet speaks over the management network, which goes on.

    Attributes:
        fabric: `infiniband` or `ethernet`: by which name the health agent reports it.
        taint: What the health agent taints the nodes with, such as
            `nvidia.com/nic-down=true:NoSchedule`; by default nothing.
        label: What the health agent labels the nodes with, such as `nic-health=bad`;
            by default nothing.
        detect_after: How long it takes the health agent; by default as the time
            profile says.

    """

    _: KW_ONLY
    fabric: str = "infiniband"
    taint: str = ""
    label: str = ""
    detect_after: Duration | None = None

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        name = type(self).__name__
        if self.fabric not in LOST:
            raise BadInput(
                f"{name}(fabric={self.fabric!r}): use one of {', '.join(LOST)}"
            )
        if self.taint and not _TAINT.fullmatch(str(self.taint)):
            raise BadInput(
                f"{name}(taint={self.taint!r}): give key=value:EFFECT or key:EFFECT "
                f"with one of {', '.join(EFFECTS)}"
            )
        if self.label and not _LABEL.fullmatch(str(self.label)):
            raise BadInput(f"{name}(label={self.label!r}): give key=value")
        if self.detect_after is not None:
            seconds(self.detect_after, name=f"{name}(detect_after)")

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: what does not use the fabric goes on."""
        del world, targets
        return frozenset()

    def pods_hit(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return the members of collectives that cannot take part any more."""
        return hit_by(world, self.fabric_loss(world, targets))

    def marks(self, nodes: Iterable[str]) -> list[Change]:
        """Return the taint and the label of each node, where they were asked for."""
        made: list[Change] = []
        for name in nodes:
            if found := _TAINT.fullmatch(self.taint):
                key, value, effect = found.groups()
                taint = {"key": key, "effect": effect}
                made.append(
                    Edit(
                        ref=node(name),
                        way=("spec", "taints", taint),
                        value={**taint, "value": value} if value else taint,
                        signal="taint",
                    )
                )
            if found := _LABEL.fullmatch(self.label):
                made.append(
                    Edit(
                        ref=node(name),
                        way=("metadata", "labels", found[1]),
                        value=found[2],
                        signal="label",
                    )
                )
        return made

    def lost_links(self, world: World, nics: Mapping[str, str]) -> list[Change]:
        """
        Return what tells of NICs without a link: series and, later, conditions.

        Args:
            world: The cluster.
            nics: Names of NICs, and for what each has lost its link.

        """
        by_node = nics_by_node(nics)
        made: list[Change] = [
            NicMetrics(
                node=owner,
                nic=index,
                cause=nics[f"{owner}/nic-{index}"],
                down=True,
                signal="metric",
            )
            for owner, indices in by_node.items()
            for index in indices
        ]
        told: list[Change] = [
            findings(owner, LOST[self.fabric], map(_lost, indices))
            for owner, indices in by_node.items()
        ]
        return [*made, *self.told(world, [*told, *self.marks(by_node)])]

    def told(self, world: World, changes: Iterable[Change]) -> list[Change]:
        """Return changes as the health agent makes them: after its time."""
        return later(world, changes, self.detect_after)


def hit_by(world: World, fabric_loss: Mapping[str, str | None]) -> frozenset[str]:
    """Return the uids of all pods that a loss of links takes out of a collective."""
    handles = world.handles.values()
    return frozenset().union(*(handle.out_of_reach(fabric_loss) for handle in handles))


def split_nic(name: str) -> tuple[str, int]:
    """Return node and index of a NIC's name."""
    owner, _, index = name.rpartition("/nic-")
    return owner, int(index)


def nics_by_node(nics: Iterable[str]) -> dict[str, list[int]]:
    """Return the indices of NICs by node, both in order."""
    found: dict[str, list[int]] = {}
    for owner, index in sorted(map(split_nic, nics)):
        found.setdefault(owner, []).append(index)
    return found


def findings(owner: str, check: str, found: Iterable[str]) -> Findings:
    """Return what a health agent finds of a node, as one of its conditions."""
    return Findings(
        ref=node(owner), check=check, findings=tuple(found), signal="condition"
    )


def _lost(index: int) -> str:
    return (
        f"NIC:mlx5_{index} NICPort:1 Port mlx5_{index} port 1: state DOWN, "
        "phys_state Polling - no connectivity Recommended Action=REPLACE_VM"
    )
