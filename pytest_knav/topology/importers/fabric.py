"""Switches where the source knows who shares one, and nothing more."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from pytest_knav.topology.model import Level, Switch


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.topology.machine import Machine
    from pytest_knav.topology.model import NodeSpec

# The widest tier is a core switch as well, where there are four.
_TIERS: Final = (Level.LEAF, Level.SPINE, Level.CORE, Level.DATACENTER)
NOTE: Final = (
    "one switch for each place that shares one; all NICs of a node hang on its leaf "
    "switch, and uplinks carry whatever hangs below"
)


def with_switches(
    nodes: Sequence[NodeSpec], *, joined: bool
) -> tuple[tuple[NodeSpec, ...], tuple[Switch, ...]]:
    """
    Return nodes with uplinks, and the switches that their places stand for.

    Args:
        nodes: With places; those without a leaf have no uplink.
        joined: Whether the widest switches are joined by one more, where there are
            several and the source does not know of any above.

    """
    parents: dict[str, tuple[Level, str | None]] = {}
    below: Counter[str] = Counter()
    made = []
    for node in nodes:
        chain = _chain(node)
        made.append(_connected(node, chain[0][1] if chain else None))
        above = [name for _, name in chain[1:]]
        for (level, name), wider in zip_longest(chain, above):
            parents[name] = (level, wider)
            below[name] += node.machine.fabric_gbps
    tops = [name for name, (_, wider) in parents.items() if wider is None]
    if joined and len(tops) > 1:
        widest = max(_TIERS.index(parents[name][0]) for name in tops)
        level = _TIERS[min(widest + 1, _TIERS.index(Level.CORE))]
        top = f"{level}-of-all"
        parents |= {name: (parents[name][0], top) for name in tops}
        parents[top] = (level, None)
    switches = [
        Switch(
            name=name,
            level=Level.CORE if level is Level.DATACENTER else level,
            uplinks=((wider, below[name]),) if wider is not None else (),
        )
        for name, (level, wider) in parents.items()
    ]
    switches.sort(key=lambda switch: _TIERS.index(switch.level))
    return tuple(made), tuple(switches)


def has_leaves(nodes: Sequence[NodeSpec]) -> bool:
    """Return whether any node has a leaf switch."""
    return any(node.place(Level.LEAF) is not None for node in nodes)


def _chain(node: NodeSpec) -> list[tuple[Level, str]]:
    """Return the switches above a node, the nearest first; none without a leaf."""
    places = dict(node.places)
    if Level.LEAF not in places:
        return []
    return [(level, places[level]) for level in _TIERS if level in places]


def _connected(node: NodeSpec, leaf: str | None) -> NodeSpec:
    return replace(node, uplinks=_uplinks(node.machine, leaf))


def _uplinks(machine: Machine, leaf: str | None) -> tuple[str | None, ...]:
    return (leaf,) * len(machine.nics)
