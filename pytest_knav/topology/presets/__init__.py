"""Topologies by name, for any number of nodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.dialects import labelled
from pytest_knav.topology.presets.catalogue import PRESETS


if TYPE_CHECKING:
    from pytest_knav.topology.model import Topology


__all__ = [
    "DEFAULT_PRESET",
    "FILE_ENDINGS",
    "MAX_NODES",
    "PRESETS",
    "make_preset",
    "make_topology",
]

MAX_NODES: Final = 20_000
DEFAULT_PRESET: Final = "dgx-h100"
FILE_ENDINGS: Final = (".yaml", ".yml")


def make_topology(name: str, nodes: int | None = None) -> Topology:
    """
    Return a topology by name, or from a file.

    Args:
        name: A preset, or the path of a YAML file: it ends in `.yaml` or `.yml`.
        nodes: How many nodes, from 1 to 20,000; by default the preset's own number.

    Raises:
        BadInput: There is no such preset or file, the file is wrong, or the number is
            out of range.

    """
    if name.endswith(FILE_ENDINGS):
        from pytest_knav.topology.file import load_topology  # noqa: PLC0415 - a cycle

        return load_topology(Path(name), _checked(nodes))
    return labelled(make_preset(name, nodes))


def make_preset(name: str, nodes: int | None = None) -> Topology:
    """
    Return a preset at a size, without labels; else as `make_topology`.

    Raises:
        BadInput: There is no such preset, or the number is out of range.

    """
    preset = PRESETS.get(name)
    if preset is None:
        raise BadInput(
            f"topology {name!r} is unknown: use one of {', '.join(sorted(PRESETS))}, "
            "or the path of a .yaml file"
        )
    count = _checked(nodes)
    return preset.make(preset.default_nodes if count is None else count)


def _checked(count: int | None) -> int | None:
    if count is None:
        return None
    if isinstance(count, bool) or not isinstance(count, int):
        raise BadInput(f"nodes={count!r} is not a whole number")
    if not 1 <= count <= MAX_NODES:
        raise BadInput(f"nodes={count!r} is out of range: use 1 to {MAX_NODES}")
    return count
