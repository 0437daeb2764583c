"""A timeline as a still picture, for reports and for where no script runs."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from pytest_knav.reports.timeline.model import NOBODY, PENDING, POD_STATES


if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_knav.reports.timeline.model import Columns, Timeline

LANES_MAX: Final = 40
SPANS_MAX: Final = 6_000
_WIDTH: Final = 1100
_LEFT: Final = 190
_RIGHT: Final = 1080
_ROW: Final = 16
_NAME_MAX: Final = 28
_CLASSES: Final = ("pp", "pb", "pu", "pr", "pt", "ps", "pf")
_NODE_CLASSES: Final = ("nr", "nn", "nu", "ng")
# The colours of the page, page/style.css: light, dark.
_COLOURS: Final = {
    "bg": ("#ffffff", "#16181d"), "tx": ("#1f2328", "#e6e8eb"),
    "dm": ("#59636e", "#9da7b3"), "pp": ("#e69f00", "#f0b429"),
    "pb": ("#8fc9ec", "#3c6e8f"), "pu": ("#7a9fc0", "#5a7690"),
    "pr": ("#0072b2", "#4ba3dc"), "pt": ("#d55e00", "#ff7a52"),
    "ps": ("#009e73", "#2fc79a"), "pf": ("#3b2a20", "#d9c2b4"),
    "nr": ("#b9d8cc", "#2c5a4a"), "nn": ("#d55e00", "#ff7a52"),
    "nu": ("#e69f00", "#f0b429"), "ng": ("#59636e", "#8b949e"),
    "ft": ("#d55e00", "#ff7a52"),
}  # fmt: skip


def still(timeline: Timeline) -> str:
    """
    Return the timeline as SVG: sums, faults, workloads and nodes.

    Of more lanes than can be read, those that faults hit come first, and it says how
    many are missing.
    """
    return _Picture(timeline).svg()


class _Picture:
    """Draws from top to bottom."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._y = 24
        self._parts: list[str] = []

    def svg(self) -> str:
        """Return the picture."""
        title = escape(self._timeline.title or "timeline")
        self._parts.append(f'<text x="8" y="16" class="tx b">{title}</text>')
        self._axis()
        for name in ("GPUs in use", "pending pods"):
            if name in self._timeline.sums:
                self._sum(name, self._timeline.sums[name])
        lanes_begin = self._y
        self._workloads()
        self._nodes()
        self._legend()
        bands = "".join(self._faults(36, self._y - 22))
        height = self._y + 4
        body = "".join(self._parts)
        self._y = lanes_begin
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" '
            f'height="{height}" viewBox="0 0 {_WIDTH} {height}" role="img" '
            f'aria-label="{title}">{_style()}<rect width="100%" height="100%" '
            f'class="bg"/>{bands}{body}</svg>'
        )

    def _x(self, at: int) -> float:
        return round(_LEFT + at / self._timeline.length * (_RIGHT - _LEFT), 1)

    def _axis(self) -> None:
        wanted = self._timeline.length / 8
        step = next(
            unit * 10**power
            for power in range(12)
            for unit in (1, 2, 5)
            if unit * 10**power >= wanted
        )
        for at in range(0, self._timeline.length + 1, step):
            digits = 0 if step >= 1_000 else 1 if step >= 100 else 2
            text = f"{at / 1000:.{digits}f} s"
            x = self._x(at)
            self._parts.append(f'<text x="{x:g}" y="32" class="dm m">{text}</text>')
        self._y = 40

    def _sum(self, name: str, points: Columns) -> None:
        rows = points.rows()
        most = max((value for _, value in rows), default=0)
        bottom, high = self._y + 34, 30
        steps, y = [], float(bottom)
        for at, value in rows:
            steps.append(f"L{self._x(at):g} {y:g}")
            y = bottom - value / max(1, most) * high
            steps.append(f"L{self._x(at):g} {y:g}")
        steps.append(f"L{self._x(self._timeline.length):g} {y:g}")
        label = f"{escape(name)} (≤ {most})"
        self._parts.append(
            f'<text x="8" y="{bottom - 12}" class="tx">{label}</text>'
            f'<path d="M{_LEFT} {bottom}{"".join(steps)}" class="ln"/>'
        )
        self._y += 42

    def _faults(self, top: int, bottom: int) -> Iterator[str]:
        for fault in self._timeline.faults[:200]:
            end = self._timeline.length if fault.end is None else fault.end
            x = self._x(fault.start)
            width = max(1.0, self._x(end) - x)
            yield (
                f'<rect x="{x:g}" y="{top}" width="{width:.1f}" '
                f'height="{bottom - top}" class="ft" opacity=".14"><title>'
                f"{escape(fault.name)}</title></rect>"
            )

    def _workloads(self) -> None:
        timeline = self._timeline
        rows = timeline.pod_spans.rows()
        starts: dict[str, list[int]] = {}
        for fault in timeline.faults:
            for node in fault.nodes:
                starts.setdefault(node, []).append(fault.start)
        broken = [starts.get(name, []) for name in timeline.nodes]
        # Who sat in the blast radius when it was injected.
        hit = {
            row[0]
            for row in rows
            if row[6] != NOBODY and any(row[2] <= at < row[3] for at in broken[row[6]])
        }
        spans = (
            (r[0], r[1], r[2], r[3], _CLASSES[r[4]], r[4] == PENDING) for r in rows
        )
        self._lanes("workloads", timeline.workloads, hit, spans, timeline.members)

    def _nodes(self) -> None:
        timeline = self._timeline
        broken = {name for fault in timeline.faults for name in fault.nodes}
        hit = {i for i, name in enumerate(timeline.nodes) if name in broken}
        rows = timeline.node_spans.rows()
        spans = ((r[0], 0, r[1], r[2], _NODE_CLASSES[r[3] % 4], r[3] > 3) for r in rows)
        self._lanes("nodes", timeline.nodes, hit, spans, ())

    def _lanes(
        self,
        what: str,
        names: tuple[str, ...],
        hit: set[int],
        spans: Iterator[tuple[int, int, int, int, str, bool]],
        members: tuple[int, ...],
    ) -> None:
        others = (lane for lane in range(len(names)) if lane not in hit)
        shown = sorted([*sorted(hit), *others][:LANES_MAX])
        place = {lane: self._y + 18 + at * _ROW for at, lane in enumerate(shown)}
        more = len(names) - len(shown)
        head = f"{what}, {more} more are not shown" if more else what
        self._parts.append(f'<text x="8" y="{self._y + 12}" class="dm">{head}</text>')
        for lane, y in place.items():
            mark = "⚡ " if lane in hit else ""
            name = escape(mark + _shortened(names[lane]))
            style = "fx" if lane in hit else "tx"
            self._parts.append(
                f'<text x="8" y="{y + 11}" class="{style}">{name}</text>'
            )
        drawn = 0
        for lane, member, start, end, css, thin in spans:
            if lane not in place or drawn >= SPANS_MAX:
                continue
            drawn += 1
            each = (_ROW - 3) / (members[lane] if members else 1)
            high = max(0.8, each - 0.3) / (2 if thin else 1)
            at = place[lane] + member * each + (high / 2 if thin else 0)
            x = self._x(start)
            width = max(0.5, self._x(end) - x)
            self._parts.append(
                f'<rect x="{x:g}" y="{at:.1f}" width="{width:.1f}" height="{high:.1f}" '
                f'class="{css}"/>'
            )
        self._y += 22 + len(shown) * _ROW

    def _legend(self) -> None:
        entries = [*zip(_CLASSES, POD_STATES, strict=True), ("nr", "node Ready")]
        entries += [("nn", "not Ready"), ("nu", "unknown"), ("ft", "fault in force")]
        x = 8
        for css, text in entries:
            self._parts.append(
                f'<rect x="{x}" y="{self._y + 6}" width="10" height="10" '
                f'class="{css}"/><text x="{x + 14}" y="{self._y + 15}" class="dm">'
                f"{text}</text>"
            )
            x += 26 + 6 * len(text)
        self._y += 22


def _style() -> str:
    def rules(dark: int) -> str:
        fills = "".join(f".{k}{{fill:{v[dark]}}}" for k, v in _COLOURS.items())
        line, fault = _COLOURS["pr"][dark], _COLOURS["ft"][dark]
        return f"{fills}.fx{{fill:{fault}}}.ln{{stroke:{line}}}"

    return (
        "<style>text{font:11px system-ui,'DejaVu Sans',sans-serif}.b{font-weight:600}"
        ".m{text-anchor:middle}.ln{fill:none;stroke-width:1.4}"
        f"{rules(0)}@media(prefers-color-scheme:dark){{{rules(1)}}}</style>"
    )


def _shortened(name: str) -> str:
    if len(name) <= _NAME_MAX:
        return name
    return f"{name[: _NAME_MAX // 2]}…{name[-_NAME_MAX // 2 + 1 :]}"
