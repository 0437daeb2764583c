"""Power feeds that fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pytest_knav.errors import InjectionNotObserved
from pytest_knav.faults.base import FaultCard, Signal
from pytest_knav.faults.node.crash import NodeCrash


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind


@dataclass(frozen=True, slots=True)
class PowerLoss(NodeCrash):
    """
    Power feeds fail, and with them every node that has too few left.

    Changes: as NodeCrash, for the nodes that the topology says are without power. A
    node with a second feed goes on: then nothing would break, and it is said so.

    Args:
        target: A feed such as `rack-000/feed-a`, several, or an expression such as
            `feed_of(handle)`, which is every feed of one of its nodes.

    """

    kind: ClassVar[Kind] = "feed"
    card: ClassVar[FaultCard] = FaultCard(
        family="power",
        layer="power",
        signals=("lease", "condition", "taint", "pod status"),
        stands_for="a tripped breaker, a failed power supply unit, a dark rack",
        source="NVIDIA DGX SuperPOD, data center design guide (redundant feeds)",
        certifies="that work survives the loss of all nodes behind the same power",
        does_not_certify="switches without power; what the cut does to disks",
        undone="the nodes are back, and end what was to be deleted",
    )

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return the nodes without power."""
        return frozenset(self._nodes(world, targets))

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the crash of each node without power."""
        return NodeCrash.changes(self, world, self._nodes(world, targets))

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return that no lease of them is renewed."""
        nodes = self._nodes(world, targets)
        return NodeCrash.signal(self, world, nodes, started_s, now_s)

    def detected(self, world: World, targets: Sequence[str]) -> Signal | None:
        """Return that each of them is Unknown and tainted."""
        return NodeCrash.detected(self, world, self._nodes(world, targets))

    def cleared(
        self, world: World, targets: Sequence[str], cleared_s: float
    ) -> Signal | None:
        """Return that each of them is Ready again."""
        nodes = self._nodes(world, targets)
        return NodeCrash.cleared(self, world, nodes, cleared_s)

    def _nodes(self, world: World, targets: Sequence[str]) -> list[str]:
        lost = world.topology.blast_radius(*targets)
        if not lost.nodes:
            spare = len(lost.without_spare)
            raise InjectionNotObserved(
                f"{self.name}: no node is without power: {spare} nodes go on with "
                "what feeds they have left, so nothing would break"
            )
        return sorted(lost.nodes)
