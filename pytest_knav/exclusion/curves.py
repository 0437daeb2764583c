"""Scores as curves: GPU-hours lost in the course of time, as an SVG of small panels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_knav.exclusion.score import Score

# Told apart by most eyes (Okabe and Ito); a dash for each side tells the rest.
_STROKES: Final = (
    ("#666666", ""),
    ("#1d5fa8", ""),
    ("#c2570c", "8 4"),
    ("#0b7a53", "2 3"),
    ("#a8327d", "12 3 2 3"),
)
_WIDTH, _HEIGHT, _ACROSS = 380, 260, 2
_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 36, 12, 34
_LEGEND: Final = 40
_TEXT: Final = 'font-family="sans-serif" font-size="12"'


def svg(scores: Sequence[Score]) -> str:
    """Return a panel for each course, a line for each way of exclusion."""
    courses = list(dict.fromkeys(score.course for score in scores))
    sides = list(dict.fromkeys(score.side for score in scores))
    down = -(-len(courses) // _ACROSS)
    width, height = _ACROSS * _WIDTH, down * _HEIGHT + _LEGEND
    box = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, course in enumerate(courses):
        left, top = number % _ACROSS * _WIDTH, number // _ACROSS * _HEIGHT
        shown = [score for score in scores if score.course == course]
        parts += [
            f'<g transform="translate({left} {top})">',
            *_panel(course, shown, sides),
            "</g>",
        ]
    parts += _legend(sides, height - _LEGEND / 2)
    return "\n".join([*parts, "</svg>", ""])


def _panel(course: str, scores: Sequence[Score], sides: Sequence[str]) -> Iterator[str]:
    most = max((max(score.lost, default=0.0) for score in scores), default=0.0) or 1.0
    low, high = _HEIGHT - _BOTTOM, _TOP
    yield _text(_LEFT, 22, f"{course}: lost GPU-hours", more=' font-weight="bold"')
    for share in (0.0, 0.5, 1.0):
        y = low + share * (high - low)
        yield _rule(_LEFT, y, _WIDTH - _RIGHT, y)
        label = f"{share * most:,.0f}"
        yield _text(_LEFT - 8, y + 4, label, more=' text-anchor="end"')
    yield _text(_LEFT, low + 18, "begin")
    yield _text(_WIDTH - _RIGHT, low + 18, "end", more=' text-anchor="end"')
    for score in scores:
        points = (0.0, *score.lost)
        step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(points) - 1)
        places = " ".join(
            f"{_LEFT + number * step:.1f},{low + value / most * (high - low):.1f}"
            for number, value in enumerate(points)
        )
        yield f'<polyline points="{places}" {_stroke(sides.index(score.side))}/>'


def _legend(sides: Sequence[str], y: float) -> Iterator[str]:
    for number, side in enumerate(sides):
        x = _LEFT + number * (_ACROSS * _WIDTH - _LEFT) / max(1, len(sides))
        places = f"{x:.1f},{y:.1f} {x + 30:.1f},{y:.1f}"
        yield f'<polyline points="{places}" {_stroke(number)}/>'
        yield _text(x + 38, y + 4, side)


def _stroke(number: int) -> str:
    colour, dash = _STROKES[number % len(_STROKES)]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'fill="none" stroke="{colour}" stroke-width="2"{dashes}'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    places = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {places} stroke="#dddddd"/>'


def _text(x: float, y: float, text: str, *, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {_TEXT}{more}>{escape(text)}</text>'
