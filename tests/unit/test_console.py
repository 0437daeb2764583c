"""The table after a run: what stands below the row of a test that went wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_knav.errors import InjectionNotObserved, SloBreached
from pytest_knav.reports.console_table import table
from pytest_knav.reports.record import RecoveryRow, TestRecord


RECORD = TestRecord(
    test="tests/test_it.py::test_it",
    topology="dgx-h100",
    nodes=4,
    seed=7,
    time_profile="fast",
    cluster_s=1.0,
    artifacts="here",
    replay="pytest test_it",
)
LONG = "NodeCrash: its signal was not seen, so nothing may be judged; " * 3


@pytest.mark.parametrize("verdict", ["broken", "inconclusive", "fail"])
def test_why_stands_whole_below_the_row(verdict: str) -> None:
    """It may be all that is left of a log, so it is not shortened to the width."""
    record = RECORD.with_reason(InjectionNotObserved(LONG)).ended(verdict)

    _, (row, shown), (why, _) = table([record], 80)

    assert row.startswith("test_it")
    assert row.endswith(shown)
    assert shown == verdict
    assert why == f"  why: {LONG}"


def test_what_passed_needs_no_reason() -> None:
    """A known bug, or a retry, may have left one."""
    record = RECORD.with_reason(InjectionNotObserved(LONG)).ended("pass")

    assert len(table([record])) == 2


@pytest.mark.parametrize(
    ("outcome", "lines"), [("recovered", 4), ("unaffected", 4), ("lost", 3)]
)
def test_a_row_that_says_it_needs_no_reason_below(outcome: str, lines: int) -> None:
    """A threshold that broke beside a good recovery does; a lost workload does not."""
    row = RecoveryRow(
        fault="NodeCrash(n) on n",
        workload="Gang g",
        outcome=outcome,
        seconds=None,
        within_s=30.0,
        phases={},
    )
    record = replace(RECORD.with_reason(SloBreached("too slow")), recoveries=(row,))

    shown = [line for line, _ in table([record.ended("fail")])]

    assert len(shown) == lines
    assert ("  why: too slow" in shown) == (lines == 4)
