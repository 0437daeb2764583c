"""Where everything of a picture goes; lengths in the units of the SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_knav.topology.picture import texts
from pytest_knav.topology.picture.packing import pack


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.topology.model import Level, NodeSpec, Switch
    from pytest_knav.topology.picture.groups import Group
    from pytest_knav.topology.picture.packing import Packed

CELL: Final = 10
CELL_STEP: Final = 12
NODE_FONT: Final = 8.0
NODE_HEAD: Final = 13.0
CHIP_HEIGHT: Final = 16.0
CHIP_FONT: Final = 8.0
MARK: Final = 9.0
PAD: Final = 8.0
_CELLS_IN_ROW: Final = 8
_CELLS_AT_LEAST: Final = 4
_CHIP_GAP: Final = 3.0
_CHIP_AT_LEAST: Final = 44.0
# What `18 NVSwitch` needs.
_NARROW_AT_LEAST: Final = 60.0
_BAND_GAP: Final = 13.0
_BUS: Final = 14.0
_GAP: Final = 6.0
_COLUMN_MAX: Final = 20
# What a picture as a whole, a row of racks, and nodes without racks look best at.
_ROOT_ASPECT: Final = 1.7
_GROUP_ASPECT: Final = 5.0
_NODES_ASPECT: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A switch, or NVSwitches of a domain taken together."""

    x: float
    y: float
    width: float
    text: str
    switch: Switch | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A row of the switches of one level, with room for a note above it."""

    level: Level
    y: float
    height: float
    switches: tuple[Switch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBox:
    """A node; `cells` are the corners of its GPUs, by index, within it."""

    x: float
    y: float
    width: float
    height: float
    node: NodeSpec
    text: str
    cells: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    """One horizontal line of a group's links, with a stub to each of `groups`."""

    y: float
    groups: tuple[GroupBox, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBox:
    """A group; everything in it is relative to its own corner."""

    x: float
    y: float
    width: float
    height: float
    group: Group
    font: float
    title: str
    bands: tuple[Band, ...]
    chips: tuple[Chip, ...]
    buses: tuple[Bus, ...]
    groups: tuple[GroupBox, ...]
    nodes: tuple[NodeBox, ...]


def lay_out(root: Group, nvswitches: Mapping[str, int]) -> GroupBox:
    """Return where everything goes, the root at the origin."""
    return _Layout(nvswitches).box(root, 0.0, 0.0, _ROOT_ASPECT)


class _Layout:
    """Sizes come from the inside out; places from the outside in."""

    def __init__(self, nvswitches: Mapping[str, int]) -> None:
        self._nvswitches = nvswitches
        # By level, as the first group of it has them: the last may not be full.
        self._columns: dict[Level | None, int] = {}

    def box(self, group: Group, x: float, y: float, aspect: float) -> GroupBox:
        """Return a group at a place."""
        wanted = aspect if any(not g.narrow for g in group.groups) else _GROUP_ASPECT
        inner = [self.box(g, 0.0, 0.0, _GROUP_ASPECT) for g in group.groups]
        bus = _BUS if group.switches and inner else 0.0
        packed = pack(
            [(box.width, box.height) for box in inner],
            aspect=wanted,
            gap=_GAP if group.groups and group.groups[0].narrow else 2 * _GAP,
            row_gap=_GAP + bus,
            columns=self._columns.get(group.level),
        )
        if inner:
            self._columns.setdefault(group.level, packed.columns)
        nodes, nodes_width, nodes_height = _nodes(group)
        content = max(packed.width, nodes_width, _least_width(group))
        font = _font(content, narrow=group.narrow)
        bands, chips, top = self._switches(group, content, PAD + font + 6)
        top += bus
        groups = tuple(
            replace(box, x=PAD + dx, y=top + dy)
            for box, (dx, dy) in zip(inner, packed.places, strict=True)
        )
        below = top + (packed.height + _GAP if groups and nodes else packed.height)
        return GroupBox(
            x=x,
            y=y,
            width=content + 2 * PAD,
            height=below + nodes_height + PAD,
            group=group,
            font=font,
            title=_title(group, content, font),
            bands=bands,
            chips=chips,
            buses=_buses(groups, packed, top) if bus else (),
            groups=groups,
            nodes=tuple(replace(box, x=box.x + PAD, y=box.y + below) for box in nodes),
        )

    def _switches(
        self, group: Group, width: float, y: float
    ) -> tuple[tuple[Band, ...], tuple[Chip, ...], float]:
        bands: list[Band] = []
        chips: list[Chip] = []
        for level, switches in group.rows():
            if bands:
                y += _BAND_GAP
            row, height = _chips(switches, width, y)
            bands.append(Band(level=level, y=y, height=height, switches=switches))
            chips += row
            y += height + 2
        number = self._nvswitches.get(group.name, 0)
        if number:
            text = texts.fitting(f"{number} NVSwitch", width - 4, CHIP_FONT)
            chips.append(Chip(x=PAD, y=y, width=width, text=text, switch=None))
            y += CHIP_HEIGHT + 2
        return tuple(bands), tuple(chips), y + 2


def _chips(
    switches: Sequence[Switch], width: float, y: float
) -> tuple[list[Chip], float]:
    names = [switch.name for switch in switches]
    widest = max(texts.width(name, CHIP_FONT) for name in names) + 6
    each = min(max(widest, _CHIP_AT_LEAST), width)
    in_row = max(1, int((width + _CHIP_GAP) / (each + _CHIP_GAP)))
    rows = math.ceil(len(names) / in_row)
    in_row = math.ceil(len(names) / rows)
    each = (width + _CHIP_GAP) / in_row - _CHIP_GAP
    shown = [texts.fitting(name, each - 4, CHIP_FONT) for name in names]
    step = CHIP_HEIGHT + _CHIP_GAP
    chips = [
        Chip(
            x=PAD + (number % in_row) * (each + _CHIP_GAP),
            y=y + (number // in_row) * step,
            width=each,
            text=text,
            switch=switch,
        )
        for number, (switch, text) in enumerate(zip(switches, shown, strict=True))
    ]
    return chips, rows * step - _CHIP_GAP


def _nodes(group: Group) -> tuple[list[NodeBox], float, float]:
    """Return the boxes of a group's own nodes, and how large they are together."""
    if not group.nodes:
        return [], 0.0, 0.0
    most = max(node.gpus for node in group.nodes)
    columns = min(_CELLS_IN_ROW, max(most, _CELLS_AT_LEAST))
    width = columns * CELL_STEP + 6.0
    height = NODE_HEAD + max(1, math.ceil(most / columns)) * CELL_STEP + 2
    room = width - MARK - 8
    shown = texts.short([node.name for node in group.nodes], room, NODE_FONT)
    cells = tuple(
        (4.0 + (i % columns) * CELL_STEP, NODE_HEAD + (i // columns) * CELL_STEP)
        for i in range(most)
    )
    packed = pack(
        [(width, height)] * len(group.nodes),
        aspect=_NODES_ASPECT,
        gap=4.0,
        columns=1 if group.narrow and len(group.nodes) <= _COLUMN_MAX else None,
    )
    boxes = [
        NodeBox(
            x=x,
            y=y,
            width=width,
            height=height,
            node=node,
            text=text,
            cells=cells[: node.gpus],
        )
        for node, text, (x, y) in zip(group.nodes, shown, packed.places, strict=True)
    ]
    return boxes, packed.width, packed.height


def _buses(groups: Sequence[GroupBox], packed: Packed, top: float) -> tuple[Bus, ...]:
    return tuple(
        Bus(
            y=top + row - _BUS + 3,
            groups=tuple(box for box in groups if box.y == top + row),
        )
        for row in packed.rows
    )


def _title(group: Group, room: float, font: float) -> str:
    """Return the names of a group's places, of a rack its own before others go."""
    title = group.title
    if group.narrow and texts.width(title, font) > room:
        title = group.path[-group.own][1]
    return texts.fitting(title, room, font)


def _least_width(group: Group) -> float:
    """Return what a group needs for its switches, however little is in it."""
    wide = 6 * _CHIP_AT_LEAST if group.switches and not group.narrow else 0.0
    return max(wide, _NARROW_AT_LEAST)


def _font(width: float, *, narrow: bool) -> float:
    # Titles of wide groups are read from afar.
    return 9.0 if narrow else min(40.0, max(10.0, width / 45))
