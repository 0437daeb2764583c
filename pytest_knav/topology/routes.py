"""Ways through the fabric: how far apart, and how well connected."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from pytest_knav.errors import BadInput
from pytest_knav.topology.graph import Kind


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pytest_knav.topology.graph import Component, Failed, Graph
    from pytest_knav.topology.model import NodeSpec


class Meets(IntEnum):
    """Where two nodes or GPUs meet, the nearest first."""

    SELF = 0
    NVLINK = 1
    PCIE = 2
    NUMA = 3
    NODE = 4
    LEAF = 5
    SPINE = 6
    CORE = 7
    NOWHERE = 8


# Links on the shortest way: up and down again.
_HOPS = {
    Meets.SELF: 0,
    Meets.NVLINK: 2,
    Meets.PCIE: 2,
    Meets.NUMA: 4,
    Meets.NODE: 5,
    Meets.LEAF: 2,
    Meets.SPINE: 4,
    Meets.CORE: 6,
    Meets.NOWHERE: 0,
}


@dataclass(frozen=True, slots=True, order=True)
class Distance:
    """
    How far two nodes or GPUs are from each other; nearer is less.

    Attributes:
        meets: Where the shortest way turns.
        hops: How many links it has; 0 for the same thing, and where there is no way.

    """

    meets: Meets
    hops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """
    What is left of the fabric for some nodes.

    Attributes:
        connected: Whether each of them runs and still reaches all the others.
        fraction: The bandwidth that the worst of them has to the others, as a share of
            what it has when all is well: from 0, where they are not connected, to 1.
        parts: The nodes that still reach each other, the largest part first; a node
            that is down is in none.

    """

    connected: bool
    fraction: float
    parts: tuple[tuple[str, ...], ...]


class Routes:
    """
    Questions about ways.

    Args:
        graph: The indexed topology.

    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._topology = graph.topology
        self._above: dict[str, frozenset[str]] = {}

    def distance(self, a: str, b: str) -> Distance:
        """
        Return how far two nodes or two GPUs are from each other.

        Args:
            a: The name of a node or of a GPU.
            b: The same of the other.

        Raises:
            BadInput: One of them is neither.

        """
        ends = self._graph.component(a), self._graph.component(b)
        for end in ends:
            if end.kind not in {Kind.NODE, Kind.GPU}:
                raise BadInput(
                    f"distance({a!r}, {b!r}): {end.name} is a {end.kind.value}: "
                    "give nodes or GPUs"
                )
        meets = self._meets(*ends)
        return Distance(meets, _HOPS[meets])

    def fabric(self, nodes: Collection[str], without: Sequence[str] = ()) -> Fabric:
        """
        Return whether nodes still reach each other, and with how much bandwidth.

        A leaf switch's uplinks count as far as the nodes need them: not where all of
        them hang on the same leaf switch, else as much as their NICs can send.

        Args:
            nodes: Names of nodes.
            without: Components that are down.

        Raises:
            BadInput: A node or a component does not exist.

        """
        specs = [self._spec(name) for name in dict.fromkeys(nodes)]
        failed = self._graph.failed(*without)
        down = self._graph.blast_radius(*without).nodes
        alive = [node for node in specs if node.name not in down]
        parts = self._parts_of(alive, failed)
        connected = len(alive) == len(specs) and len(parts) <= 1
        fraction = 0.0
        if connected:
            load = _Load(specs)
            fraction = min(
                (self._fraction(node, load, failed) for node in specs), default=1.0
            )
        return Fabric(connected=connected, fraction=fraction, parts=parts)

    def _spec(self, name: str) -> NodeSpec:
        component = self._graph.component(name)
        if component.kind is not Kind.NODE:
            raise BadInput(f"{name} is a {component.kind.value}: give a node")
        return self._topology.node(name)

    def _meets(self, a: Component, b: Component) -> Meets:
        if a.name == b.name:
            return Meets.SELF
        first, second = self._topology.node(a.node), self._topology.node(b.node)
        both_gpus = a.kind is Kind.GPU and b.kind is Kind.GPU
        same_domain = first.nvlink_domain == second.nvlink_domain != ""
        if same_domain and (both_gpus or first is not second):
            return Meets.NVLINK
        if first is second:
            return _inside(first, a, b) if both_gpus else Meets.NODE
        sides = _leaves(first, a), _leaves(second, b)
        for meets in (Meets.LEAF, Meets.SPINE, Meets.CORE):
            if sides[0] & sides[1]:
                return meets
            sides = self._wider(sides[0]), self._wider(sides[1])
        return Meets.NOWHERE

    def _wider(self, switches: Iterable[str]) -> frozenset[str]:
        return frozenset().union(*(self._uplinks(switch) for switch in switches))

    def _uplinks(self, switch: str) -> frozenset[str]:
        if switch not in self._above:
            found = self._topology.switch(switch).uplinks
            self._above[switch] = frozenset(wider for wider, _ in found)
        return self._above[switch]

    def _parts_of(
        self,
        nodes: Sequence[NodeSpec],
        failed: Failed,
    ) -> tuple[tuple[str, ...], ...]:
        """Return the nodes that reach each other, by what hangs together."""
        joined = _Joined()
        switches: set[str] = set()
        for node in nodes:
            joined.root(node.name)
            if node.nvlink_domain and node.nvlink_domain not in failed.domains:
                joined.join(node.name, f"domain {node.nvlink_domain}")
            for index, leaf in enumerate(node.uplinks):
                if leaf is not None and self._graph.nic_works(node, index, failed):
                    joined.join(node.name, f"switch {leaf}")
                    switches.add(leaf)
        while switches:
            ways = [(s, wider) for s in switches for wider in self._uplinks(s)]
            working = [
                way
                for way in ways
                if way[1] not in failed.switches and frozenset(way) not in failed.links
            ]
            for name, wider in working:
                joined.join(f"switch {name}", f"switch {wider}")
            switches = {wider for _, wider in working}
        parts: dict[str, list[str]] = {}
        for node in nodes:
            parts.setdefault(joined.root(node.name), []).append(node.name)
        return tuple(sorted(map(tuple, parts.values()), key=lambda p: (-len(p), p)))

    def _fraction(self, node: NodeSpec, load: _Load, failed: Failed) -> float:
        whole = left = 0.0
        for index, nic in enumerate(node.machine.nics):
            leaf = node.uplinks[index] if index < len(node.uplinks) else None
            if leaf is None:
                continue
            whole += nic.gbps * self._room(leaf, load, 1.0)
            if self._graph.nic_works(node, index, failed):
                share = self._graph.links_of(leaf, failed)
                left += nic.gbps * self._room(leaf, load, share)
        return min(1.0, left / whole) if whole else 1.0

    def _room(self, leaf: str, load: _Load, share: float) -> float:
        """Return how much of what nodes send through a leaf its uplinks can take."""
        if load.is_local(leaf):
            return 1.0
        uplinks = sum(gbps for _, gbps in self._topology.switch(leaf).uplinks)
        return min(1.0, uplinks * share / load.gbps[leaf])


class _Load:
    """What some nodes can send to each leaf switch, all of them together."""

    def __init__(self, nodes: Sequence[NodeSpec]) -> None:
        self.gbps: Counter[str] = Counter()
        self._nodes: Counter[str] = Counter()
        self._all = len(nodes)
        for node in nodes:
            linked = list(zip(node.uplinks, node.machine.nics, strict=False))
            for leaf, nic in linked:
                if leaf is not None:
                    self.gbps[leaf] += nic.gbps
            self._nodes.update({leaf for leaf, _ in linked if leaf is not None})

    def is_local(self, leaf: str) -> bool:
        """Return whether all of the nodes hang on a leaf switch."""
        return self._nodes[leaf] == self._all


class _Joined:
    """Names that hang together (union-find with path halving)."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def root(self, name: str) -> str:
        """Return the name that stands for all that hang together with this one."""
        above = self._above
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    def join(self, a: str, b: str) -> None:
        """Let two names hang together."""
        self._above[self.root(a)] = self.root(b)


def _inside(node: NodeSpec, a: Component, b: Component) -> Meets:
    first, second = node.machine.gpus[a.index], node.machine.gpus[b.index]
    if first.pcie_root == second.pcie_root:
        return Meets.PCIE
    return Meets.NUMA if first.numa == second.numa else Meets.NODE


def _leaves(node: NodeSpec, end: Component) -> frozenset[str]:
    """Return the leaf switches that a node, or the NIC of a GPU, hangs on."""
    uplinks = node.uplinks
    if end.kind is Kind.GPU:
        nic = node.machine.gpus[end.index].nic
        if nic is not None and nic < len(uplinks) and uplinks[nic] is not None:
            uplinks = (uplinks[nic],)
    return frozenset(leaf for leaf in uplinks if leaf is not None)
