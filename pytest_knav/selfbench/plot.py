"""Cost for each object against size, as an SVG of a few lines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from pytest_knav.selfbench import cases
from pytest_knav.selfbench.table import SIDES


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_knav.selfbench.results import Report

# Blue and orange, told apart by most eyes; a dash for each case tells the rest.
_COLOURS: Final = {cases.PLAIN: "#c2570c", cases.FAST: "#1d5fa8"}
_DASHES: Final = {
    "nodes": "",
    "pods": "8 4",
    "save": "2 3",
    "restore": "12 3 2 3",
}
_WIDTH, _HEIGHT = 760, 460
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 40, 220, 50
_TEXT: Final = 'font-family="sans-serif" font-size="12"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line: a case on a side, as pairs of objects and milliseconds for each."""

    case: str
    side: str
    points: tuple[tuple[float, float], ...]

    @property
    def label(self) -> str:
        """Return what the legend calls it."""
        return f"{self.case}, {SIDES[self.side]}"


@dataclass(frozen=True, slots=True)
class _Axis:
    """A logarithmic axis over whole decades."""

    low: int
    high: int
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> _Axis:
        low = math.floor(math.log10(min(values)))
        high = math.ceil(math.log10(max(values)))
        return cls(low, max(high, low + 1), start, end)

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @property
    def decades(self) -> Iterator[float]:
        return (10.0**power for power in range(self.low, self.high + 1))


def series(reports: Sequence[Report]) -> list[Series]:
    """Return the lines that some runs make, each with its points by size."""
    points: dict[tuple[str, str], dict[int, float]] = {}
    for report in reports:
        for result in report.results:
            shown = result.case in _DASHES and result.side in _COLOURS
            if shown and result.seconds > 0:
                cost_ms = 1000 * result.seconds / result.objects
                line = points.setdefault((result.case, result.side), {})
                line[result.objects] = cost_ms
    return [
        Series(case=case, side=side, points=tuple(sorted(line.items())))
        for (case, side), line in sorted(points.items())
    ]


def svg(reports: Sequence[Report]) -> str:
    """Return the plot; without anything to show, empty axes that say so."""
    lines = series(reports)
    every = [point for line in lines for point in line.points]
    across = _Axis.over([x for x, _ in every] or [1], _LEFT, _WIDTH - _RIGHT)
    up = _Axis.over([y for _, y in every] or [1], _HEIGHT - _BOTTOM, _TOP)
    title = "Milliseconds for each object" if every else "Nothing was measured"
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 22, title, more=' font-weight="bold"'),
        *_grid(across, up),
    ]
    for number, line in enumerate(lines):
        parts += _line(line, across, up)
        parts += _legend(line, 60 + 20 * number)
    return "\n".join([*parts, "</svg>", ""])


def _grid(across: _Axis, up: _Axis) -> Iterator[str]:
    for value in across.decades:
        x = across.at(value)
        yield _rule(x, up.start, x, up.end)
        yield _text(x, up.start + 18, f"{value:,.0f}", more=' text-anchor="middle"')
    for value in up.decades:
        y = up.at(value)
        yield _rule(across.start, y, across.end, y)
        yield _text(across.start - 8, y + 4, f"{value:g}", more=' text-anchor="end"')
    middle = (across.start + across.end) / 2
    yield _text(middle, _HEIGHT - 10, "objects", more=' text-anchor="middle"')


def _line(line: Series, across: _Axis, up: _Axis) -> Iterator[str]:
    places = [(across.at(x), up.at(y)) for x, y in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f'<polyline points="{path}" {_stroke(line)}/>'
    for x, y in places:
        colour = _COLOURS[line.side]
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'


def _legend(line: Series, y: float) -> Iterator[str]:
    x = _WIDTH - _RIGHT + 16
    yield f'<polyline points="{x},{y} {x + 30},{y}" {_stroke(line)}/>'
    yield _text(x + 38, y + 4, line.label)


def _stroke(line: Series) -> str:
    dash = _DASHES[line.case]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'fill="none" stroke="{_COLOURS[line.side]}" stroke-width="2"{dashes}'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    places = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {places} stroke="#dddddd"/>'


def _text(x: float, y: float, text: str, *, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {_TEXT}{more}>{escape(text)}</text>'
