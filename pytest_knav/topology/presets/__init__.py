"""Topologies by name, for any number of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.dialects import labelled
from pytest_knav.topology.presets.superpod import DGX_H100


if TYPE_CHECKING:
    from pytest_knav.topology.model import Topology
    from pytest_knav.topology.presets.preset import Preset


MAX_NODES: Final = 20_000
DEFAULT_PRESET: Final = "dgx-h100"
PRESETS: Final[dict[str, Preset]] = {preset.name: preset for preset in (DGX_H100,)}


def make_topology(name: str, nodes: int | None = None) -> Topology:
    """
    Return a preset at a size.

    Args:
        name: The preset.
        nodes: How many nodes, from 1 to 20,000; by default the preset's own number.

    Raises:
        BadInput: There is no such preset, or the number is out of range.

    """
    preset = PRESETS.get(name)
    if preset is None:
        raise BadInput(
            f"topology {name!r} is unknown: use one of {', '.join(sorted(PRESETS))}"
        )
    count = preset.default_nodes if nodes is None else nodes
    if isinstance(count, bool) or not isinstance(count, int):
        raise BadInput(f"nodes={count!r} is not a whole number")
    if not 1 <= count <= MAX_NODES:
        raise BadInput(f"nodes={count!r} is out of range: use 1 to {MAX_NODES}")
    return labelled(preset.make(count))
