"""Switches of the compute fabric that fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pytest_knav.errors import InjectionNotObserved
from pytest_knav.faults.base import FaultCard, Signal
from pytest_knav.faults.link.agent import OfFabric, split_nic


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind
    from pytest_knav.topology.graph import BlastRadius


@dataclass(frozen=True, slots=True)
class SwitchDown(OfFabric):
    """
    Leaf or spine switches fail; what is lost follows from the topology.

    Changes: every NIC that hangs on a leaf switch has no link, as with NicDown. Of a
    spine switch nodes notice nothing but less bandwidth, as long as another is left;
    with the last one, nodes behind different leaf switches do not reach each other any
    more: their NICs have links, but collectives across them are broken. Nodes stay
    Ready.

    Args:
        target: A switch such as `leaf-000-rail-3`, or an expression such as
            `leaf_of(handle)`, `spine_of(handle)`, `rail(3)`, which is that rail's leaf
            switches, `rail(3, of=handle)`.
        fabric: `infiniband` or `ethernet`: by which name the agent reports it.
        taint: What the agent taints nodes without links with, `key=value:NoSchedule`;
            by default nothing.
        label: What the agent labels them with, `key=value`; by default nothing.
        detect_after: How long it takes the agent; by default as the time profile says:
            at once in `fast`, 5 minutes in `real`.

    """

    kind: ClassVar[Kind] = "switch"
    card: ClassVar[FaultCard] = FaultCard(
        family="link",
        layer="link",
        signals=("condition", "metric", "taint", "label"),
        stands_for="a switch without power, a crashed switch, a firmware update",
        source="Alibaba HPN (0.051 % of ToR switches a month); Llama 3 (arXiv "
        "2407.21783): switches and cables 35 of 419 interruptions; NVIDIA NVSentinel, "
        "NIC health monitor",
        certifies="that collectives behind a failed switch are moved away, where the "
        "agent marks its nodes, with the topology that they asked for",
        does_not_certify="routing around a spine switch and how long it takes; "
        "congestion; that the loss is detected",
    )

    def fabric_loss(
        self, world: World, targets: Sequence[str]
    ) -> Mapping[str, str | None]:
        """Return the nodes without a link, and those cut off from the rest."""
        lost = world.topology.blast_radius(*targets)
        found: dict[str, str | None] = {}
        for name in sorted(lost.cut_off):
            leaves = {leaf for leaf in world.topology.node(name).uplinks if leaf}
            found[name] = ",".join(sorted(leaves))
        for nic in lost.nics:
            found[split_nic(nic)[0]] = None
        return found

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return series and conditions of the NICs that have lost their link."""
        lost = self._lost(world, targets)
        without = {split_nic(nic)[0] for nic in lost.nics}
        marks = self.marks(sorted(lost.cut_off - without))
        return [
            *self.lost_links(world, {nic: _leaf(world, nic) for nic in lost.nics}),
            *self.told(world, marks),
        ]

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return what the topology says is lost; what is written has been read back."""
        del started_s, now_s
        lost = self._lost(world, targets)
        parts = [f"{len(lost.nics)} NICs without a link"]
        if lost.cut_off:
            parts.append(f"{len(lost.cut_off)} nodes cut off")
        rest = {n: s for n, s in lost.bandwidth.items() if s and n not in lost.cut_off}
        if rest:
            parts.append(
                f"{len(rest)} nodes with {min(rest.values()):.0%} of their bandwidth "
                "or more"
            )
        return Signal(name="links lost", evidence=", ".join(parts))

    def _lost(self, world: World, targets: Sequence[str]) -> BlastRadius:
        lost = world.topology.blast_radius(*targets)
        if not (lost.nics or lost.bandwidth):
            raise InjectionNotObserved(
                f"{self.name}: no node of {world.topology.name} hangs on "
                f"{', '.join(targets[:3])}, so nothing would break"
            )
        return lost


def _leaf(world: World, nic: str) -> str:
    """Return the leaf switch that a NIC hangs on."""
    owner, index = split_nic(nic)
    return world.topology.node(owner).uplinks[index] or ""
