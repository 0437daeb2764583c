"""A tree of switches with nodes at its leaves, as SLURM and Topograph describe it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.dialects import labelled
from pytest_knav.topology.importers import fabric
from pytest_knav.topology.importers.gpus import nvswitches_of
from pytest_knav.topology.importers.imported import Imported
from pytest_knav.topology.importers.places import tree_of, with_feeds, with_racks
from pytest_knav.topology.model import Level, NodeSpec, Topology


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.topology.machine import Machine

# By the number of switches below it on the longest way down.
_TIERS: Final = (Level.LEAF, Level.SPINE, Level.CORE, Level.DATACENTER)
# Kubernetes' names of nodes (RFC 1123); SLURM takes more.
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    A switch or a block of the source.

    Attributes:
        at: File and line, for messages: `topology.conf:3`.
        nodes: The nodes that hang on it.
        switches: The switches below it.

    """

    name: str
    at: str
    nodes: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchTree:
    """
    What a file says of switches and nodes.

    Attributes:
        source: What kind of file it was.
        switches: Each with its children.
        blocks: Sets of nodes with a faster network among them.
        loose: Nodes that hang on no switch and are in no block.
        places: Wider places of nodes, such as zones.
        labels: Labels that the file gives to nodes.
        dropped: What the file says and this does not.

    """

    source: str
    switches: tuple[Entry, ...] = ()
    blocks: tuple[Entry, ...] = ()
    loose: tuple[str, ...] = ()
    places: Mapping[str, Mapping[Level, str]] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """Return the names of all nodes, each once, in the order of the file."""
        both = (*self.switches, *self.blocks)
        names = [name for one in both for name in one.nodes]
        return tuple(dict.fromkeys([*names, *self.loose]))


def import_tree(
    tree: SwitchTree, machine: Machine, *, name: str, rack_size: int | None = None
) -> Imported:
    """
    Return the topology that a tree of switches describes.

    Args:
        tree: What was read.
        machine: What its nodes are; the source does not say.
        name: What the topology is called.
        rack_size: How many nodes of a leaf stand in a rack; by default there are no
            racks.

    Raises:
        BadInput: It is no tree, too deep, or a name is one that Kubernetes refuses.

    """
    levels = _levels(tree)
    names = _kubernetes_names(tree.nodes)
    places = tree_of(_places(tree, levels))
    blocks = {node: block.name for block in tree.blocks for node in block.nodes}
    nodes = tuple(
        NodeSpec(
            name=names[node],
            machine=machine,
            places=places[node],
            nvlink_domain=_domain(names[node], machine, blocks.get(node, "")),
            labels=tuple(sorted(tree.labels.get(node, {}).items())),
        )
        for node in tree.nodes
    )
    notes = [
        f"every node is a {machine.name}: {tree.source} does not say what they are"
    ]
    if rack_size is not None:
        nodes = with_feeds(with_racks(nodes, rack_size))
        notes.append(
            f"racks of {rack_size} nodes of one leaf, in the order of the file, with "
            "two power feeds each, of which one is enough"
        )
    nodes, switches = fabric.with_switches(nodes, joined=False)
    if switches:
        notes.append(fabric.NOTE)
    if tree.blocks:
        notes.append("a block is one NVLink domain")
    changed = [node for node in tree.nodes if names[node] != node]
    if changed:
        notes.append(
            f"names in lower case, as Kubernetes wants them: {len(changed)} nodes, "
            f"such as {names[changed[0]]} for {changed[0]}"
        )
    topology = Topology(
        name=name,
        source=tree.source,
        nodes=nodes,
        switches=switches,
        nvswitches=nvswitches_of(nodes),
        notes=tuple(notes),
    )
    origins = tuple(
        (level, "blocks" if level is Level.NVLINK else tree.source)
        for level in topology.levels
        if not (level is Level.RACK and rack_size is not None)
    )
    return Imported(topology=labelled(topology), levels=origins, dropped=tree.dropped)


def check(tree: SwitchTree) -> SwitchTree:
    """
    Return a tree when it is one.

    Raises:
        BadInput: It has no nodes, a switch is defined twice, unknown, below two others
            or below itself, or a node is on two leaf switches or in two blocks.

    """
    for kind, entries in (("switch", tree.switches), ("block", tree.blocks)):
        seen: dict[str, Entry] = {}
        for entry in entries:
            if entry.name in seen:
                raise BadInput(
                    f"{entry.at}: {kind} {entry.name!r} is defined before, at "
                    f"{seen[entry.name].at}"
                )
            seen[entry.name] = entry
        _check_once(entries, kind)
    _check_parents({entry.name: entry for entry in tree.switches})
    _levels(tree)
    if not tree.nodes:
        raise BadInput(f"{tree.source} names no nodes")
    return tree


def _check_once(entries: tuple[Entry, ...], kind: str) -> None:
    of: dict[str, Entry] = {}
    for entry in entries:
        for node in entry.nodes:
            if node in of:
                raise BadInput(
                    f"{entry.at}: node {node!r} is on {kind} {entry.name!r} and, at "
                    f"{of[node].at}, on {of[node].name!r}: give one {kind} for a node"
                )
            of[node] = entry


def _check_parents(known: Mapping[str, Entry]) -> None:
    parent: dict[str, Entry] = {}
    for entry in known.values():
        for child in entry.switches:
            if child not in known:
                raise BadInput(
                    f"{entry.at}: Switches: {entry.name!r} has the child {child!r}, "
                    "which is defined nowhere"
                )
            if child in parent:
                raise BadInput(
                    f"{entry.at}: Switches: {child!r} is below {entry.name!r} and, at "
                    f"{parent[child].at}, below {parent[child].name!r}: a tree is "
                    "needed"
                )
            parent[child] = entry
    for entry in known.values():
        way = [entry.name]
        while way[-1] in parent:
            way.append(parent[way[-1]].name)
            if way[-1] == entry.name:
                raise BadInput(
                    f"{entry.at}: Switches: {' below '.join(way)}: a tree is needed"
                )
            if len(way) > len(known):
                # It runs into a circle of others, which is found from those.
                break


def _levels(tree: SwitchTree) -> dict[str, Level]:
    """Return the level of each switch: how many there are below it."""
    known = {entry.name: entry for entry in tree.switches}
    heights: dict[str, int] = {}

    def height(entry: Entry, above: int = 0) -> int:
        if above >= len(_TIERS):
            raise BadInput(
                f"{entry.at}: Switches: {entry.name!r} has {above} tiers above it, at "
                f"most {len(_TIERS) - 1} are possible"
            )
        if entry.name not in heights:
            below = [height(known[child], above + 1) for child in entry.switches]
            heights[entry.name] = max(below, default=-1) + 1
        return heights[entry.name]

    for entry in tree.switches:
        if height(entry) >= len(_TIERS):
            raise BadInput(
                f"{entry.at}: Switches: {entry.name!r} has {height(entry)} tiers below "
                f"it, at most {len(_TIERS) - 1} are possible"
            )
    return {name: _TIERS[below] for name, below in heights.items()}


def _places(
    tree: SwitchTree, levels: Mapping[str, Level]
) -> dict[str, dict[Level, str]]:
    parent = {child: one.name for one in tree.switches for child in one.switches}
    places = {node: dict(tree.places.get(node, {})) for node in tree.nodes}
    for entry in tree.switches:
        way = [entry.name]
        while way[-1] in parent:
            way.append(parent[way[-1]])
        for node in entry.nodes:
            places[node] |= {levels[switch]: switch for switch in way}
    for block in tree.blocks:
        for node in block.nodes:
            places[node][Level.NVLINK] = block.name
    return places


def _domain(node: str, machine: Machine, block: str) -> str:
    if machine.gpu is None or not machine.gpu.scale_up_gbps:
        return ""
    return block or f"{node}/nvlink"


def _kubernetes_names(nodes: tuple[str, ...]) -> dict[str, str]:
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for node in nodes:
        name = node.lower().replace("_", "-")
        if not _NAME.fullmatch(name):
            raise BadInput(
                f"node {node!r}: Kubernetes takes letters, digits, '-' and '.' alone, "
                "the first and last a letter or digit"
            )
        if name in taken:
            raise BadInput(
                f"nodes {taken[name]!r} and {node!r} would both be called {name!r}"
            )
        names[node], taken[name] = name, node
    return names


def renamed(tree: SwitchTree, new: Mapping[str, str]) -> SwitchTree:
    """Return a tree with other names; those that are not given stay."""

    def entry(one: Entry) -> Entry:
        return replace(
            one,
            name=new.get(one.name, one.name),
            nodes=tuple(new.get(node, node) for node in one.nodes),
            switches=tuple(new.get(child, child) for child in one.switches),
        )

    return replace(
        tree,
        switches=tuple(map(entry, tree.switches)),
        blocks=tuple(map(entry, tree.blocks)),
        places={
            new.get(node, node): {at: new.get(n, n) for at, n in own.items()}
            for node, own in tree.places.items()
        },
        labels={new.get(node, node): own for node, own in tree.labels.items()},
        loose=tuple(new.get(node, node) for node in tree.loose),
    )
