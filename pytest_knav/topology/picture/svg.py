"""A topology as an SVG: nested boxes, switches above what hangs on them, GPUs."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from pytest_knav.topology.picture import legend, style
from pytest_knav.topology.picture.groups import group
from pytest_knav.topology.picture.layout import (
    CHIP_FONT,
    CHIP_HEIGHT,
    MARK,
    NODE_FONT,
    PAD,
    lay_out,
)
from pytest_knav.topology.picture.status import NodeHealth, Status, SwitchHealth


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_knav.topology.model import Switch, Topology
    from pytest_knav.topology.picture.layout import (
        Band,
        Bus,
        Chip,
        GroupBox,
        NodeBox,
    )

_NODE_CLASSES = {
    NodeHealth.READY: "n",
    NodeHealth.NOT_READY: "n nb",
    NodeHealth.UNKNOWN: "n nu",
    NodeHealth.GONE: "n ng",
}
_SWITCH_CLASSES = {
    SwitchHealth.UP: "s",
    SwitchHealth.DEGRADED: "s sp",
    SwitchHealth.DOWN: "s sd",
}
_MARGIN = 12.0
_MIDDLE = ' text-anchor="middle"'
_DIM = ' class="d"'


def svg(topology: Topology, status: Status | None = None) -> str:
    """
    Return the picture of a topology.

    Names, counts and states of everything are in tool tips (`<title>`).

    Args:
        topology: What to draw.
        status: How it is; without it, everything is drawn as it was bought.

    """
    root = lay_out(group(topology), dict(topology.nvswitches))
    width = max(root.width, 480.0) + 2 * _MARGIN
    head = legend.head(topology, status, width - 2 * _MARGIN)
    height = head.height + root.height + 2 * _MARGIN
    size = f'width="{_n(width)}" height="{_n(height)}"'
    box = f'viewBox="0 0 {_n(width)} {_n(height)}"'
    drawing = _Drawing(status)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} {size} role="img">',
        f"<title>{escape(head.title)}</title>",
        f"<desc>{escape(head.summary)}</desc>",
        f"<style>{style.css()}</style>",
        f'<rect class="bg" {size}/>',
        f'<g transform="translate({_n(_MARGIN)} {_n(_MARGIN)})">',
        '<g data-head="">',
        *head.parts,
        "</g>",
        f'<g transform="translate(0 {_n(head.height)})">',
        *drawing.group(root),
        "</g></g></svg>",
        "",
    ]
    return "\n".join(parts)


class _Drawing:
    """Writes boxes as SVG, coloured by a status."""

    def __init__(self, status: Status | None) -> None:
        self._status = status or Status()
        self._coloured = status is not None
        self._ranks = {name: i for i, (name, _) in enumerate(self._status.workloads)}

    def group(self, box: GroupBox) -> Iterator[str]:
        """Write a group and everything in it."""
        place = "g"
        if box.group.narrow:
            place = "r rb" if any(map(self._troubled, box.nodes)) else "r"
        yield f'<g transform="translate({_n(box.x)} {_n(box.y)})">'
        yield (
            f'<rect class="{place}" width="{_n(box.width)}" height="{_n(box.height)}" '
            f'rx="3"><title>{escape(_group_tip(box))}</title></rect>'
        )
        yield _text(PAD, PAD + box.font * 0.8, box.title, box.font)
        for bus in box.buses:
            yield from _bus(bus)
        yield from _trunk(box)
        for above, below in zip(box.bands, box.bands[1:], strict=False):
            yield from _between(box, above, below)
        for chip in box.chips:
            yield from self._chip(chip)
        for inner in box.groups:
            yield from self.group(inner)
        for node in box.nodes:
            yield from self._node(node)
        yield "</g>"

    def _chip(self, chip: Chip) -> Iterator[str]:
        switch = chip.switch
        health = self._status.switch(switch.name) if switch else SwitchHealth.UP
        tip = _switch_tip(switch, health) if switch else chip.text
        yield (
            f'<g><rect class="{_SWITCH_CLASSES[health]}" x="{_n(chip.x)}" '
            f'y="{_n(chip.y)}" width="{_n(chip.width)}" height="{_n(CHIP_HEIGHT)}" '
            f'rx="2"><title>{escape(tip)}</title></rect>'
        )
        middle = chip.x + chip.width / 2
        yield _text(middle, chip.y + 11, chip.text, CHIP_FONT, _MIDDLE)
        if health == SwitchHealth.DOWN:
            line = f"M{_n(chip.x)} {_n(chip.y)}l{_n(chip.width)} {_n(CHIP_HEIGHT)}"
            yield f'<path class="m" d="{line}"/>'
        yield "</g>"

    def _node(self, box: NodeBox) -> Iterator[str]:
        state = self._status.node(box.node.name)
        size = f'width="{_n(box.width)}" height="{_n(box.height)}"'
        yield f'<g transform="translate({_n(box.x)} {_n(box.y)})">'
        yield (
            f'<rect class="{_NODE_CLASSES[state.health]}" {size} rx="2">'
            f"<title>{escape(self._node_tip(box))}</title></rect>"
        )
        yield _text(4, 9, box.text, NODE_FONT)
        if not box.cells:
            yield _text(4, 21, f"{box.node.cpus} cpu", NODE_FONT, _DIM)
        x = box.width - MARK - 3
        for mark in legend.marks_of(state)[:1]:
            yield f'<g transform="translate({_n(x)} 2.5)">{style.MARKS[mark]}</g>'
        yield from self._gpus(box)
        yield "</g>"

    def _troubled(self, box: NodeBox) -> bool:
        state = self._status.node(box.node.name)
        if state.broken or state.health != NodeHealth.READY:
            return True
        names = (f"{box.node.name}/gpu-{i}" for i in range(len(box.cells)))
        return bool(self._status.failed) and any(
            name in self._status.failed for name in names
        )

    def _gpus(self, box: NodeBox) -> Iterator[str]:
        names = [f"{box.node.name}/gpu-{index}" for index in range(len(box.cells))]
        keys = [
            (name in self._status.failed, self._status.allocated.get(name, ""))
            for name in names
        ]
        for (failed, owner), run in groupby(range(len(names)), key=keys.__getitem__):
            indexes = list(run)
            cells = [box.cells[index] for index in indexes]
            rank = self._ranks.get(owner, 0)
            shape: Callable[[float, float], str]
            if failed:
                kind, shape = "x", style.crossed
            elif owner:
                kind, shape = style.workload_class(rank), style.workload_shape(rank)
            else:
                kind, shape = "f", style.square
            d = "".join(shape(x, y) for x, y in cells)
            tip = self._gpu_tip(indexes, owner, failed=failed)
            yield f'<path class="{kind}" d="{d}"><title>{escape(tip)}</title></path>'

    def _gpu_tip(self, indexes: Sequence[int], owner: str, *, failed: bool) -> str:
        name = f"gpu-{indexes[0]}"
        if len(indexes) > 1:
            name += f" to gpu-{indexes[-1]}"
        if not self._coloured:
            return name
        state = owner or ("free" if not failed else "")
        return ": ".join(filter(None, [name, "failed" if failed else "", state]))

    def _node_tip(self, box: NodeBox) -> str:
        node, state = box.node, self._status.node(box.node.name)
        machine = node.machine
        lines = [f"{node.name} ({machine.name})"]
        if self._coloured:
            words = [str(state.health)]
            words += ["cordoned"] if state.cordoned else []
            words += ["hit by a fault"] if state.broken else []
            lines.append(f"{', '.join(words)}; {state.pods} pods")
            lines += [f"taint {key}" for key in state.taints]
        if machine.gpu and node.gpus:
            lines.append(f"{node.gpus} {machine.gpu.product}")
        if node.power_feeds:
            lines.append(f"power: {', '.join(node.power_feeds)}")
        return "\n".join(lines)


def _bus(bus: Bus) -> Iterator[str]:
    last = bus.groups[-1]
    yield f'<path class="l" d="M4 {_n(bus.y)}H{_n(last.x + last.width / 2)}"/>'
    for box in bus.groups:
        x, trunk = box.x + box.width / 2, box.group.trunk
        tip = f"{box.group.name}: {trunk.links:,} links, {speed(trunk.gbps)}"
        yield (
            f'<path class="l" d="M{_n(x)} {_n(bus.y)}V{_n(box.y)}">'
            f"<title>{escape(tip)}</title></path>"
        )


def _trunk(box: GroupBox) -> Iterator[str]:
    """Write the line that leads from a group's switches to each row of groups."""
    if box.buses:
        first, last = box.buses[0].y, box.buses[-1].y
        bottom = max(band.y + band.height for band in box.bands)
        down, along = f"M14 {_n(bottom)}V{_n(first)}", f"M4 {_n(first)}V{_n(last)}"
        yield f'<path class="l" d="{down}{along}"/>'


def _between(box: GroupBox, above: Band, below: Band) -> Iterator[str]:
    """Write the links between two rows of switches as one line and their sum."""
    wider = {switch.name for switch in above.switches}
    gbps = [g for s in below.switches for name, g in s.uplinks if name in wider]
    if gbps:
        top = above.y + above.height
        yield f'<path class="l" d="M14 {_n(top)}V{_n(below.y)}"/>'
        text = f"{len(gbps):,} links, {speed(sum(gbps))}"
        if len(text) * 5 < box.width - 30:
            yield _text(20, (top + below.y) / 2 + 3, text, CHIP_FONT, _DIM)


def _group_tip(box: GroupBox) -> str:
    group = box.group
    path = " / ".join(f"{level} {name}" for level, name in group.path)
    nodes = list(group.all_nodes())
    gpus = sum(node.gpus for node in nodes)
    return f"{path}\n{len(nodes):,} nodes, {gpus:,} GPUs".strip()


def _switch_tip(switch: Switch, health: SwitchHealth) -> str:
    rail = "" if switch.rail is None else f", rail {switch.rail}"
    lines = [f"{switch.name}: {switch.level} switch{rail}, {health}"]
    if switch.uplinks:
        total = sum(gbps for _, gbps in switch.uplinks)
        lines.append(f"up: {len(switch.uplinks)} switches, {speed(total)}")
    return "\n".join(lines)


def speed(gbps: int) -> str:
    """Return a bandwidth in the unit that reads best."""
    return f"{gbps / 1000:,.1f} Tbit/s" if gbps >= 10_000 else f"{gbps:,} Gbit/s"


def _text(x: float, y: float, text: str, size: float, more: str = "") -> str:
    place = f'x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}"{more}'
    return f"<text {place}>{escape(text)}</text>"


def _n(value: float) -> str:
    """Return a length with one decimal at most: files stay small."""
    return f"{round(value, 1):g}" if abs(value) < 100_000 else f"{value:.0f}"
