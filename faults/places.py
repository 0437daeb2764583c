"""Targets that are places, and what lies together in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.errors import BadInput
from pytest_knav.faults.pools import gpus_on
from pytest_knav.faults.targets import Submitted, Target, around
from pytest_knav.topology import Level


if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind, Placed
    from pytest_knav.topology import NodeSpec, Topology


def place_of(where: Placed | str, level: Level | str | Submitted = "rack") -> Target:
    """
    Return the place of a node, or of one of a workload's nodes: for PlaceLoss.

    Args:
        where: The name of a node, or a handle: then one of its nodes is chosen by the
            seed.
        level: `rack`, `leaf`, `zone` or another level of the topology.

    """
    at = _level("place_of", level)

    def places(_: Topology, node: NodeSpec) -> Sequence[str]:
        place = node.place(at)
        return () if place is None else (place,)

    found = around(where, "place_of", "place", places)
    text = f"{found.text.removesuffix(')')}, level={at})"
    return Target(text=text, kind="place", resolver=found.resolver)


def correlated(share: float, level: Level | str | Submitted = "rack") -> Target:
    """
    Return a share that fails together: what lies in as few places as can be.

    Places are drawn by the seed, and each is taken whole but the last. For PlaceLoss it
    is that share of the places.

    Args:
        share: In percent of all nodes, GPUs or places there are; at least one.
        level: What fails together: `rack`, `leaf`, `zone` or another level.

    """
    number = isinstance(share, int | float) and not isinstance(share, bool)
    if not number or not 0 < share <= 100:
        raise BadInput(f"correlated({share!r}): give a number above 0, at most 100")
    at = _level("correlated", level)
    text = f"correlated({share:g}, level={at})"

    def resolver(world: World, choose: random.Random, kind: Kind) -> Sequence[str]:
        groups = _groups(world, kind, at, text)
        count = max(1, round(sum(map(len, groups)) * share / 100))
        chosen: list[str] = []
        for group in choose.sample(groups, len(groups)):
            left = count - len(chosen)
            chosen += group if len(group) <= left else choose.sample(group, left)
        return chosen

    return Target(text=text, resolver=resolver)


def _level(word: str, level: object) -> Level:
    text = level.name if isinstance(level, Submitted) else str(level)
    try:
        return Level(text)
    except ValueError:
        raise BadInput(
            f"{word}(…, level={text!r}): use one of {', '.join(Level)}"
        ) from None


def _groups(world: World, kind: Kind, level: Level, text: str) -> list[list[str]]:
    """Return the names of a kind, those of one place of a level together."""
    topology = world.topology
    places = topology.places(level)
    if not places:
        levels = ", ".join(topology.levels) or "none"
        raise BadInput(f"{text}: {topology.name} has no {level}: it has {levels}")
    if kind == "place":
        return [[place] for place in places]
    if kind == "node":
        return [list(nodes) for nodes in places.values()]
    if kind != "gpu":
        raise BadInput(f"{text} is for nodes, GPUs and places, and not for a {kind}")
    groups = (
        [gpu.name for node in nodes for gpu in gpus_on(topology.node(node))]
        for nodes in places.values()
    )
    return [group for group in groups if group]
