"""A topology as nested groups: what is drawn around what, and which switches where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pytest_knav.topology.model import LEVELS, Level


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_knav.topology.model import NodeSpec, Switch, Topology

Path: TypeAlias = tuple[tuple[Level, str], ...]
# Places that are drawn as a column of nodes.
NARROW = frozenset({Level.RACK, Level.NVLINK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """All links between two groups, or two rows of switches, taken together."""

    links: int = 0
    gbps: int = 0

    def with_link(self, gbps: int) -> Trunk:
        """Return it with one more link."""
        return Trunk(links=self.links + 1, gbps=self.gbps + gbps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """
    A place with what is in it; places with nothing beside them are one with it.

    Attributes:
        path: Levels and names of its places from the widest on.
        own: How many of them, from the end, are its own and not its parent's.
        groups: The narrower groups in it.
        nodes: The nodes that are in it and in no narrower group.
        switches: The switches whose nodes are all in it and in no narrower group.
        trunk: Its links to the switches of the group around it.

    """

    path: Path
    own: int
    groups: tuple[Group, ...] = ()
    nodes: tuple[NodeSpec, ...] = ()
    switches: tuple[Switch, ...] = ()
    trunk: Trunk = field(default_factory=Trunk)

    @property
    def level(self) -> Level | None:
        """Return the narrowest of its levels; None for a topology without places."""
        return self.path[-1][0] if self.path else None

    @property
    def name(self) -> str:
        """Return the name of its narrowest place."""
        return self.path[-1][1] if self.path else ""

    @property
    def title(self) -> str:
        """Return the names of all places that are its own, the widest first."""
        return " / ".join(name for _, name in self.path[len(self.path) - self.own :])

    @property
    def narrow(self) -> bool:
        """Return whether it is a rack or the like."""
        return self.level in NARROW

    def all_nodes(self) -> Iterator[NodeSpec]:
        """Return the nodes in it, also those in narrower groups."""
        yield from self.nodes
        for group in self.groups:
            yield from group.all_nodes()

    def rows(self) -> list[tuple[Level, tuple[Switch, ...]]]:
        """Return its switches by level, the widest first."""
        levels = [
            (level, tuple(s for s in self.switches if s.level == level))
            for level in LEVELS
        ]
        return [(level, switches) for level, switches in levels if switches]


def group(topology: Topology) -> Group:
    """Return the group of the whole topology."""
    homes = _homes(topology)
    return _Builder(topology, homes).build((), list(topology.nodes), 0)


class _Builder:
    """Nests nodes by their places and puts switches and links where they belong."""

    def __init__(self, topology: Topology, homes: Mapping[str, Path]) -> None:
        self._homes = homes
        self._switches: dict[Path, list[Switch]] = {}
        for switch in topology.switches:
            self._switches.setdefault(homes[switch.name], []).append(switch)
        self._links: dict[Path, list[tuple[Path, int]]] = {}
        for node in topology.nodes:
            for nic, leaf in enumerate(node.uplinks):
                if leaf is not None:
                    gbps = node.machine.nics[nic].gbps
                    self._link(node.places, homes[leaf], gbps)
        for switch in topology.switches:
            for wider, gbps in switch.uplinks:
                self._link(homes[switch.name], homes[wider], gbps)

    def _link(self, inner: Path, outer: Path, gbps: int) -> None:
        # Kept at the narrowest place below the outer end's own.
        if len(inner) > len(outer):
            below = inner[: len(outer) + 1]
            self._links.setdefault(below, []).append((outer, gbps))

    def build(self, path: Path, nodes: list[NodeSpec], around: int) -> Group:
        """Return the group of a place, `around` being how long its parent's path is."""
        first = path[: around + 1]
        switches = list(self._switches.get(path, ()))
        inner, direct = _split(path, nodes)
        while len(inner) == 1 and not direct and _merges(path, inner):
            path, nodes = next(iter(inner.items()))
            switches += self._switches.get(path, ())
            inner, direct = _split(path, nodes)
        trunk = Trunk()
        for at in range(len(first), len(path) + 1):
            for outer, gbps in self._links.get(path[:at], ()):
                if len(outer) <= around:
                    trunk = trunk.with_link(gbps)
        return Group(
            path=path,
            own=len(path) - around,
            groups=tuple(self.build(p, n, len(path)) for p, n in inner.items()),
            nodes=tuple(direct),
            switches=tuple(switches),
            trunk=trunk,
        )


def _split(
    path: Path, nodes: list[NodeSpec]
) -> tuple[dict[Path, list[NodeSpec]], list[NodeSpec]]:
    inner: dict[Path, list[NodeSpec]] = {}
    direct: list[NodeSpec] = []
    depth = len(path)
    for node in nodes:
        if len(node.places) > depth:
            inner.setdefault(node.places[: depth + 1], []).append(node)
        else:
            direct.append(node)
    return inner, direct


def _merges(path: Path, inner: Mapping[Path, object]) -> bool:
    """Return whether a place and the only one in it are drawn as one."""
    child = next(iter(inner))[-1][0]
    # A leaf switch on top of a rack: the leaf group is the rack.
    around = path[-1][0] if path else None
    return child not in NARROW or around in {*NARROW, Level.LEAF}


def _homes(topology: Topology) -> dict[str, Path]:
    """Return for each switch the narrowest place that all of its nodes are in."""
    homes: dict[str, Path] = {}
    for node in topology.nodes:
        for leaf in node.uplinks:
            if leaf is not None:
                homes[leaf] = _common(homes.get(leaf), node.places)
    # From narrow to wide, so that each is known before what hangs above it; again
    # where switches of one level are chained.
    narrow_first = sorted(topology.switches, key=lambda s: -LEVELS.index(s.level))
    for _ in range(len(LEVELS)):
        before = dict(homes)
        for switch in narrow_first:
            mine = homes.get(switch.name)
            if mine is not None:
                for wider, _gbps in switch.uplinks:
                    homes[wider] = _common(homes.get(wider), mine)
        if homes == before:
            break
    return {switch.name: homes.get(switch.name, ()) for switch in topology.switches}


def _common(known: Path | None, path: Path) -> Path:
    if known is None or known == path:
        return path
    same = 0
    for a, b in zip(known, path, strict=False):
        if a != b:
            break
        same += 1
    return known[:same]
