"""The head of a picture: what it shows, and what its colours and marks mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from pytest_knav.topology.picture import style, texts
from pytest_knav.topology.picture.status import NodeHealth, NodeStatus, SwitchHealth


if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_knav.topology.model import Topology
    from pytest_knav.topology.picture.status import Status

_TITLE: Final = 15.0
_FONT: Final = 10.0
_LINE: Final = 17.0
_ITEM_GAP: Final = 16.0
_SCALE_MAX: Final = 4.0
# The legend is as wide as this before it is magnified with the picture.
_WIDTH: Final = 1200.0
_NAME_MAX: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stands above the drawing, and how high it is."""

    title: str
    summary: str
    parts: tuple[str, ...]
    height: float


def head(topology: Topology, status: Status | None, width: float) -> Head:
    """Return title, summary and legend, larger where the picture is large."""
    scale = min(_SCALE_MAX, max(1.0, width / _WIDTH))
    room = width / scale
    racks = f", {len(topology.racks):,} racks" if topology.racks else ""
    title = (
        f"{topology.name}: {len(topology.nodes):,} nodes{racks}, {topology.gpus:,} GPUs"
    )
    lines = [line for line in _lines(topology, status) if line]
    y = _TITLE
    parts = [f'<g transform="scale({scale:.3g})">', _line(title, y, _TITLE, room)]
    for line in lines:
        y += _LINE
        parts.append(_line(line, y, _FONT, room))
    y += 6
    x, top = 0.0, y
    for swatch, text in _items(topology, status):
        long = 14 + texts.width(text, _FONT)
        if x and x + long > room:
            x, top = 0.0, top + _LINE
        parts.append(
            f'<g transform="translate({x:.1f} {top:.1f})">{swatch}'
            f'<text x="14" y="9" font-size="{_FONT:g}">{escape(text)}</text></g>'
        )
        x += long + _ITEM_GAP
    height = (top + _LINE + 4) * scale
    summary = " ".join(lines)
    return Head(title=title, summary=summary, parts=(*parts, "</g>"), height=height)


def marks_of(state: NodeStatus) -> list[str]:
    """Return the marks of a node, the most telling one first."""
    marks = [] if state.health == NodeHealth.READY else [str(state.health)]
    marks += ["broken"] if state.broken and not marks else []
    return marks + (["cordoned"] if state.cordoned else [])


def _lines(topology: Topology, status: Status | None) -> Iterator[str]:
    if status is None:
        yield topology.source
    else:
        yield status.moment
        yield status.summary(topology)


def _items(topology: Topology, status: Status | None) -> Iterator[tuple[str, str]]:
    """Return the swatches and words of what the picture has, and of nothing else."""
    if topology.switches:
        yield _swatch("s"), "switch"
    if status is None:
        if topology.gpus:
            yield _path("f", style.square(0, 0)), "GPU"
        return
    if topology.gpus:
        taken = len(set(status.allocated) | status.failed)
        yield _path("f", style.square(0, 0)), f"free GPU ({topology.gpus - taken:,})"
    yield from _workloads(status)
    if status.failed:
        yield _path("x", style.crossed(0, 0)), f"failed GPU ({len(status.failed):,})"
    words = {"broken": "hit by a fault, still ready"}
    found = [mark for node in status.nodes.values() for mark in marks_of(node)]
    for mark, drawn in style.MARKS.items():
        if mark in found:
            text = f"node {words.get(mark, mark)} ({found.count(mark):,})"
            yield drawn, text
    switches = list(status.switches.values())
    for health, kind in ((SwitchHealth.DEGRADED, "s sp"), (SwitchHealth.DOWN, "s sd")):
        if health in switches:
            yield _swatch(kind), f"switch {health} ({switches.count(health):,})"


def _workloads(status: Status) -> Iterator[tuple[str, str]]:
    workloads = status.workloads
    for rank, (name, gpus) in enumerate(workloads[: style.WORKLOADS_MAX]):
        shape = style.workload_shape(rank)(0, 0)
        short = name if len(name) <= _NAME_MAX else f"{name[: _NAME_MAX - 1]}…"
        yield _path(style.workload_class(rank), shape), f"{short} ({gpus:,})"
    others = workloads[style.WORKLOADS_MAX :]
    if others:
        rank, gpus = style.WORKLOADS_MAX, sum(count for _, count in others)
        shape = style.workload_shape(rank)(0, 0)
        text = f"{len(others):,} more workloads ({gpus:,})"
        yield _path(style.workload_class(rank), shape), text


def _swatch(kind: str) -> str:
    return f'<rect class="{kind}" y="1" width="10" height="8" rx="1"/>'


def _path(kind: str, d: str) -> str:
    return f'<path class="{kind}" d="{d}"/>'


def _line(text: str, y: float, size: float, room: float) -> str:
    shown = text
    if texts.width(text, size) > room:
        shown = f"{text[: max(1, int(room / size / texts.ADVANCE_EM) - 1)]}…"
    return f'<text y="{y:g}" font-size="{size:g}">{escape(shown)}</text>'
