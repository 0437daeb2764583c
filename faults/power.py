"""
Power feeds that fail, and whole places that are gone.

Which nodes that are is asked at each look at the history, with thousands of nodes, and
a topology never changes: so it is worked out once.
"""

from __future__ import annotations

import functools
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
    from pytest_knav.topology.graph import BlastRadius, Graph


@dataclass(frozen=True, slots=True)
class _Wider(NodeCrash):
    """What takes nodes along: as NodeCrash, for those that the topology says."""

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return the nodes that are lost with the targets."""
        return frozenset(self._nodes(world, targets))

    def check(self, world: World, targets: Sequence[str]) -> None:
        """Return when every node of it is alive; else as `Fault.check`."""
        NodeCrash.check(self, world, self._nodes(world, targets))

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the crash of each node."""
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
        return sorted(_lost(world.topology.graph, tuple(targets)).nodes)


@dataclass(frozen=True, slots=True)
class PowerLoss(_Wider):
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

    def _nodes(self, world: World, targets: Sequence[str]) -> list[str]:
        lost = _lost(world.topology.graph, tuple(targets))
        if not lost.nodes:
            spare = len(lost.without_spare)
            raise InjectionNotObserved(
                f"{self.name}: no node is without power: {spare} nodes go on with "
                "what feeds they have left, so nothing would break"
            )
        return sorted(lost.nodes)


@dataclass(frozen=True, slots=True)
class PlaceLoss(_Wider):
    """
    Whole places are gone: every node of a rack, a row, a zone, an NVLink domain.

    Changes: as NodeCrash, for every node of the places.

    Args:
        target: A place such as `rack-000`, several, or an expression such as
            `place_of(handle, level="zone")`, `correlated(5, level="rack")`.

    """

    kind: ClassVar[Kind] = "place"
    card: ClassVar[FaultCard] = FaultCard(
        family="power",
        layer="power",
        signals=("lease", "condition", "taint", "pod status"),
        stands_for="a rack without power or cooling, a leak in a row, a zone that is "
        "cut off, maintenance of a whole place",
        source="Kubernetes, pkg/controller/nodelifecycle (zones that are disrupted); "
        "Open Compute Project, rack power and liquid cooling",
        certifies="that work survives the loss of everything in a place at once",
        does_not_certify="switches and storage in that place; partial failures of it",
        undone="the nodes are back, and end what was to be deleted",
    )

    def _nodes(self, world: World, targets: Sequence[str]) -> list[str]:
        return list(_members(world.topology.graph, tuple(targets)))


@functools.lru_cache(maxsize=16)
def _lost(graph: Graph, targets: tuple[str, ...]) -> BlastRadius:
    return graph.blast_radius(*targets)


@functools.lru_cache(maxsize=16)
def _members(graph: Graph, places: tuple[str, ...]) -> tuple[str, ...]:
    """Return the nodes of places; where a name is one at several levels, of all."""
    topology = graph.topology
    return tuple(
        sorted(
            {
                node
                for level in topology.levels
                for place in places
                for node in topology.places(level).get(place, ())
            }
        )
    )
