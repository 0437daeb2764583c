"""The table after a run: test, fault, what became of it, how long each phase took."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_knav.reports.record import TestRecord


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _pytest.terminal import TerminalReporter

    from pytest_knav.reports.record import RecoveryRow

_SHOWN_PHASES = ("detect", "taint", "evict", "recreate", "queue", "bind", "start")
_HEAD = ("test", "fault", *_SHOWN_PHASES, "total", "limit", "verdict")
_COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow", "broken": "red"}


def print_summary(reporter: TerminalReporter, *, show: bool) -> None:
    """Print the table, if any test had a cluster."""
    records = records_of(reporter)
    if not records or not show:
        return
    reporter.section("chaos: seconds from the fault", sep="-")
    rows = [row for record in records for row in _rows(record)]
    for line, verdict in zip(
        _aligned([_HEAD, *(cells for cells, _ in rows)]),
        ["", *(verdict for _, verdict in rows)],
        strict=True,
    ):
        colour = _COLOURS.get(verdict)
        reporter.write_line(line, **({colour: True} if colour else {}))
    clusters = [record.cluster_s for record in records]
    reporter.write_line(
        f"{len(records)} clusters of {_sizes(records)}, clean and ready after "
        f"{min(clusters):.1f} to {max(clusters):.1f} s; "
        f"seed {records[0].seed}, time profile {records[0].time_profile}"
    )
    for record in records:
        if record.verdict != "pass":
            reporter.write_line(f"again: {record.replay}")


def records_of(reporter: TerminalReporter) -> list[TestRecord]:
    """Return the records of all tests that had a cluster, in the order of reports."""
    found = []
    for reports in reporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") != "call":
                continue
            for name, value in getattr(report, "user_properties", ()):
                if name == "knav.record":
                    found.append(TestRecord.from_data(json.loads(value)))
    return sorted(found, key=lambda record: record.test)


def _rows(record: TestRecord) -> Iterable[tuple[tuple[str, ...], str]]:
    test = record.test.rpartition("::")[2]
    for row in record.recoveries:
        yield _cells(test, row, record.verdict), record.verdict
    if not record.recoveries:
        fault = ", ".join(record.faults) or "-"
        blank = ("",) * len(_SHOWN_PHASES)
        yield (test, fault, *blank, "", "", record.verdict), record.verdict


def _cells(test: str, row: RecoveryRow, verdict: str) -> tuple[str, ...]:
    phases = [
        f"{row.phases[phase]:.1f}" if phase in row.phases else ""
        for phase in _SHOWN_PHASES
    ]
    total = row.outcome if row.seconds is None else f"{row.seconds:.1f}"
    return test, row.fault, *phases, total, f"{row.within_s:g}", verdict


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < 2 or i == len(row) - 1 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _sizes(records: Sequence[TestRecord]) -> str:
    sizes = {f"{record.nodes} {record.topology} nodes" for record in records}
    return ", ".join(sorted(sizes))
