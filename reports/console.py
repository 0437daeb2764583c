"""The table after a run: test, fault, what became of it, how long each phase took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.compare.sides import side_by_side


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest
    from _pytest.terminal import TerminalReporter

    from pytest_knav.reports.record import RecoveryRow, TestRecord
    from pytest_knav.reports.tally import Tally

WIDTH_MAX = 110
TEST_WIDTH_MAX = 30
REPLAYS_MAX = 10
_SHOWN_PHASES = ("detect", "taint", "evict", "recreate", "queue", "bind", "start")
_HEAD = ("test", *_SHOWN_PHASES, "total", "limit", "verdict")
_COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow", "broken": "red"}


def print_summary(reporter: TerminalReporter, tally: Tally) -> None:
    """Print why tests could not tell, and the table, where there is any of it."""
    if tally.unsure and reporter.config.getoption("tbstyle", "auto") != "no":
        reporter.section("INCONCLUSIVE")
        for report in tally.unsure:
            _print_unsure(reporter, report)
    records = tally.records()
    if records:
        reporter.section("chaos: seconds from the fault", sep="-")
        for line, verdict in table(records):
            colour = _COLOURS.get(verdict)
            reporter.write_line(line, **({colour: True} if colour else {}))
        for line in closing(records):
            reporter.write_line(line)
        for line in side_by_side(records):
            reporter.write_line(line)


def table(records: Sequence[TestRecord]) -> list[tuple[str, str]]:
    """Return the lines of the table, each with the verdict that colours it."""
    rows = [row for record in records for row in _rows(record)]
    cells = [_HEAD, *(row for row, _, _ in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(_HEAD))]
    lines = [(_aligned(_HEAD, widths), "")]
    for row, fault, verdict in rows:
        lines.append((_aligned(row, widths), verdict))
        if fault:
            lines.append((_shortened(f"  {fault}", WIDTH_MAX), ""))
    return lines


def _rows(record: TestRecord) -> Iterator[tuple[tuple[str, ...], str, str]]:
    test = _name(record)
    for row in record.recoveries:
        why = row.fault if row.outcome == "recovered" else f"{row.fault}: {row.outcome}"
        if row.lost_gpu_hours is not None:
            why = f"{row.lost_gpu_hours:.2f} GPU-hours lost; {why}"
        yield (test, *_figures(row), record.verdict), why, record.verdict
        test = ""
    if not record.recoveries:
        blank = ("",) * (len(_HEAD) - 2)
        yield (test, *blank, record.verdict), ", ".join(record.faults), record.verdict


def _name(record: TestRecord) -> str:
    return _shortened(record.test.rpartition("::")[2], TEST_WIDTH_MAX)


def _figures(row: RecoveryRow) -> tuple[str, ...]:
    phases = [
        f"{row.phases[phase]:.1f}" if phase in row.phases else ""
        for phase in _SHOWN_PHASES
    ]
    total = "-" if row.seconds is None else f"{row.seconds:.1f}"
    return *phases, total, f"{row.within_s:g}"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    last = len(row) - 1
    cells = [
        cell.ljust(width) if i in {0, last} else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def closing(records: Sequence[TestRecord]) -> Iterator[str]:
    """Yield the lines below the table."""
    waits = [record.cluster_s for record in records]
    sizes = {f"{record.nodes} {record.topology} nodes" for record in records}
    yield _shortened(
        f"{len(records)} with a cluster of {', '.join(sorted(sizes))}; "
        f"a clean cluster after {min(waits):.1f} to {max(waits):.1f} s",
        WIDTH_MAX,
    )
    yield f"seed {records[0].seed}, time profile {records[0].time_profile}"
    for record in records:
        for line in record.deaths:
            yield _shortened(f"{_name(record)}: {line}", WIDTH_MAX)
    again = [r for r in records if r.verdict not in {"pass", "skipped"}]
    for record in again[:REPLAYS_MAX]:
        yield f"again: {record.replay}"
    if len(again) > REPLAYS_MAX:
        yield f"… and {len(again) - REPLAYS_MAX} more, each with its failure above"


def _print_unsure(reporter: TerminalReporter, report: pytest.TestReport) -> None:
    reporter.write_sep("_", report.nodeid, yellow=True)
    reporter.write_line(report.longreprtext)
    for name, text in report.sections:
        if name == "knav":
            reporter.write_line(text)
