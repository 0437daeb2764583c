"""The table after a run: test, fault, what became of it, how long each phase took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.compare.sides import side_by_side
from pytest_knav.reports.console_table import (
    WIDTH_MAX,
    name_of,
    shortened,
    table,
    width_for,
)


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest
    from _pytest.terminal import TerminalReporter

    from pytest_knav.reports.record import TestRecord
    from pytest_knav.reports.tally import Tally

BASELINE = "baseline"
REPLAYS_MAX = 10
_TEST_MAX = 30
# What needs no second look, or has its own place.
_NOT_AGAIN = frozenset({"pass", "skipped", "known bug", BASELINE})
_COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow", "broken": "red"}


def print_summary(reporter: TerminalReporter, tally: Tally) -> None:
    """Print why tests could not tell, and the table, where there is any of it."""
    if tally.unsure and reporter.config.getoption("tbstyle", "auto") != "no":
        reporter.section("INCONCLUSIVE")
        for report in tally.unsure:
            _print_unsure(reporter, report)
    records = [r for r in tally.records() if _shown(r)]
    width = width_for(reporter)
    if records:
        reporter.section("chaos: seconds from the fault", sep="-")
        for line, verdict in table(records, width):
            colour = _COLOURS.get(verdict)
            reporter.write_line(line, **({colour: True} if colour else {}))
        for line in closing(records):
            reporter.write_line(line)
        for line in side_by_side(records):
            reporter.write_line(line)


def _shown(record: TestRecord) -> bool:
    """Return whether a test has a place here; a good baseline has its own table."""
    return record.verdict != BASELINE


def closing(records: Sequence[TestRecord]) -> Iterator[str]:
    """Yield the lines below the table."""
    waits = [record.cluster_s for record in records]
    sizes = {f"{record.nodes} {record.topology} nodes" for record in records}
    yield shortened(
        f"{len(records)} with a cluster of {', '.join(sorted(sizes))}; "
        f"a clean cluster after {min(waits):.1f} to {max(waits):.1f} s",
        WIDTH_MAX,
    )
    yield f"seed {records[0].seed}, time profile {records[0].time_profile}"
    for record in records:
        for line in record.deaths:
            yield shortened(
                f"{shortened(name_of(record), _TEST_MAX)}: {line}", WIDTH_MAX
            )
    again = [r for r in records if r.verdict not in _NOT_AGAIN]
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
