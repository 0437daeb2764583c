"""The table after a run: what stands below the row of a test that went wrong."""

from __future__ import annotations

import pytest

from pytest_knav.errors import InjectionNotObserved
from pytest_knav.reports.console_table import table
from pytest_knav.reports.record import TestRecord


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
