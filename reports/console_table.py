"""The rows of the table after a run, as wide as there is room for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from _pytest.terminal import TerminalReporter

    from pytest_knav.reports.record import RecoveryRow, TestRecord

#: Where no terminal says that there is more room.
WIDTH_MAX: Final = 110
_HEAD: Final = (
    "test", "fault", "what broke", "detect", "evict", "rebind", "run", "budget",
    "verdict",
)  # fmt: skip
# What is shortened where there is no room, and how far at most.
_NAMES: Final = 3
_NAME_MIN: Final = 8
_GAP: Final = 2
# Each moment of the table, by the last phase before it; all count from the fault.
_MOMENTS: Final = ("detect", "evict", "bind")
_PHASES: Final = ("detect", "taint", "evict", "recreate", "queue", "bind", "start")
_GOOD: Final = frozenset({"pass", "skipped"})
_UNTOLD: Final = frozenset({"recovered", "unaffected"})
# What says that a machine reads along, as pytest itself has it.
_CI: Final = ("CI", "BUILD_NUMBER")


def width_for(reporter: TerminalReporter) -> int:
    """Return how wide a line may be: more than usual where somebody sits before it."""
    watched = reporter.isatty and not any(map(os.environ.get, _CI))
    return max(WIDTH_MAX, reporter._tw.fullwidth) if watched else WIDTH_MAX  # noqa: SLF001 - it offers no other way


def table(
    records: Sequence[TestRecord], width: int = WIDTH_MAX
) -> list[tuple[str, str]]:
    """Return the lines of the table, each with the verdict that colours it."""
    rows = [row for record in records for row in _rows(record)]
    cells = [_HEAD, *(row for row, *_ in rows)]
    widths = _fitted(
        [max(len(row[i]) for row in cells) for i in range(len(_HEAD))], width
    )
    lines = [(_aligned(_HEAD, widths), "")]
    for row, detail, why, verdict in rows:
        lines.append((_aligned(row, widths), verdict))
        if detail:
            lines.append((shortened(f"  {detail}", width), ""))
        if why:
            # Whole: where a log is cut short, this line may be all there is.
            lines.append((f"  why: {why}", ""))
    return lines


def shortened(text: str, width: int) -> str:
    """Return a text that is no longer than a width."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def name_of(record: TestRecord) -> str:
    """Return what a test is called here: without its file and class."""
    return record.test.rpartition("::")[2]


def _rows(record: TestRecord) -> Iterator[tuple[tuple[str, ...], str, str, str]]:
    """Yield the cells of each row, what stands below it, why, and the verdict."""
    test, verdict = name_of(record), record.verdict
    # Of what is lost, late or blind the row itself says it.
    told = any(row.outcome not in _UNTOLD for row in record.recoveries)
    why = "" if verdict in _GOOD or told else record.reason
    for number, row in enumerate(record.recoveries, 1):
        hit = "nothing" if row.outcome == "unaffected" else row.workload
        cells = (test, _fault(row.fault), hit, *_figures(row), verdict)
        last = number == len(record.recoveries)
        yield cells, _detail(row, verdict), why if last else "", verdict
        test = ""
    if not record.recoveries:
        first = _fault(record.faults[0]) if record.faults else ""
        more = f" +{len(record.faults) - 1}" if len(record.faults) > 1 else ""
        blank = ("",) * (len(_HEAD) - 4)
        cells = (test, f"{first}{more}", "", *blank, verdict)
        shown = "" if verdict in _GOOD else ", ".join(record.faults)
        yield cells, shown, why, verdict


def _fault(name: str) -> str:
    """Return the kind of a fault and what it was done to, without its expression."""
    expression, _, targets = name.rpartition(" on ")
    kind = (expression or targets).partition("(")[0]
    return f"{kind} {targets}" if expression else kind


def _detail(row: RecoveryRow, verdict: str) -> str:
    """Return what stands below a row: what was lost, and what went wrong."""
    parts = []
    if verdict not in _GOOD or row.outcome != "recovered":
        seen = ", ".join(f"{p} {row.phases[p]:.1f}" for p in _PHASES if p in row.phases)
        parts.append(f"{row.fault}: {row.outcome}{f'; {seen}' if seen else ''}")
    if row.lost_gpu_hours is not None:
        parts.append(f"{row.lost_gpu_hours:.2f} GPU-hours lost")
    return "; ".join(parts)


def _figures(row: RecoveryRow) -> tuple[str, ...]:
    found, passed_s = {}, 0.0
    for phase in _PHASES:
        if phase in row.phases:
            passed_s += row.phases[phase]
            found[phase] = f"{passed_s:.1f}"
    run = "-" if row.seconds is None else f"{row.seconds:.1f}"
    return *(found.get(moment, "") for moment in _MOMENTS), run, f"{row.within_s:g}"


def _fitted(widths: list[int], room: int) -> list[int]:
    """Return widths that fit: the widest of the names gives way first."""
    over = sum(widths) + _GAP * (len(widths) - 1) - room
    for _ in range(over):
        widest = max(range(_NAMES), key=lambda i: widths[i])
        if widths[widest] <= _NAME_MIN:
            break
        widths[widest] -= 1
    return widths


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    last = len(row) - 1
    cells = [
        shortened(cell, width).ljust(width)
        if i < _NAMES or i == last
        else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return (" " * _GAP).join(cells).rstrip()
