"""How nodes look in the history, for the moments of faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.control_plane.nodes import node_info
from pytest_knav.faults.base import Signal


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.faults.base import World


def all_tainted(
    world: World, targets: Sequence[str], key: str, *, tainted: bool
) -> Signal | None:
    """Return that every target that is there carries a taint, or that none does."""
    for name in targets:
        found = world.history.get("Node", "", name)
        if found is None:
            continue
        if any(taint == key for taint, _ in node_info(found).taints) != tainted:
            return None
    word = "with" if tainted else "without"
    return Signal(name="taint", evidence=f"{len(targets)} nodes {word} the taint {key}")


def all_ready(
    world: World, targets: Sequence[str], ready: str, *, taint: str = ""
) -> Signal | None:
    """Return that the Ready condition of every target is so; with the taint or not."""
    for name in targets:
        found = world.history.get("Node", "", name)
        if found is not None and node_info(found).ready != ready:
            return None
    if taint and not all_tainted(world, targets, taint, tainted=ready != "True"):
        return None
    return Signal(name="ready", evidence=f"{len(targets)} nodes Ready={ready}")
