"""Places as a tree, and racks where nobody said what stands in which."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from pytest_knav.errors import BadInput
from pytest_knav.topology.model import LEVELS, Level


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_knav.topology.model import NodeSpec

Places: TypeAlias = "tuple[tuple[Level, str], ...]"
# As many systems as stand in a rack of an NVIDIA DGX SuperPOD (reference architecture,
# DGX H100).
RACK_SIZE: Final = 4
_FEEDS: Final = ("feed-a", "feed-b")


def tree_of(places: Mapping[str, Mapping[Level, str]]) -> dict[str, Places]:
    """
    Return the places of nodes as a tree, widest first.

    Where one name stands for two places, such as a rack `r1` in each of two zones, the
    wider place's name is put in front.
    """
    names = {node: dict(own) for node, own in places.items()}
    for level in LEVELS:
        above: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        for own in names.values():
            if level in own:
                above[own[level]].add(_wider(own, level))
        for own in names.values():
            if level in own and len(above[own[level]]) > 1:
                wider = _wider(own, level)
                own[level] = ".".join([*wider[-1:], own[level]])
    return {
        node: tuple((level, own[level]) for level in LEVELS if level in own)
        for node, own in names.items()
    }


def with_racks(nodes: Sequence[NodeSpec], size: int) -> tuple[NodeSpec, ...]:
    """
    Return nodes with racks of a size where they have none, in the order given.

    Nodes of one rack share every wider place.

    Raises:
        BadInput: The size is below 1.

    """
    if size < 1:
        raise BadInput(f"--rack-size {size}: give 1 or more")
    taken = {node.rack for node in nodes}
    free = (n for i in range(2 * len(nodes)) if (n := f"rack-{i:03d}") not in taken)
    open_: dict[Places, tuple[str, int]] = {}
    made = []
    for node in nodes:
        if node.rack:
            made.append(node)
            continue
        wider = tuple(p for p in node.places if p[0] not in {Level.RACK, Level.NVLINK})
        narrower = tuple(p for p in node.places if p[0] is Level.NVLINK)
        name, used = open_.get(node.places, ("", size))
        if used >= size:
            name, used = next(free), 0
        open_[node.places] = (name, used + 1)
        made.append(replace(node, places=(*wider, (Level.RACK, name), *narrower)))
    return tuple(made)


def with_feeds(nodes: Iterable[NodeSpec]) -> tuple[NodeSpec, ...]:
    """Return nodes with two power feeds for each rack, of which one is enough."""
    return tuple(
        replace(node, power_feeds=tuple(f"{node.rack}/{feed}" for feed in _FEEDS))
        if node.rack
        else node
        for node in nodes
    )


def _wider(own: Mapping[Level, str], level: Level) -> tuple[str, ...]:
    at = LEVELS.index(level)
    return tuple(own[wider] for wider in LEVELS[:at] if wider in own)
