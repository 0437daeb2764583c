"""The end of a test: its verdict, and what is published of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_knav.errors import HarnessError, Inconclusive
from pytest_knav.reports.tally import RECORD as RECORD_TEXT
from pytest_knav.reports.tally import VERDICT
from pytest_knav.session import ENDED, LEASE, RECORD


if TYPE_CHECKING:
    from pytest_knav.session import KnavSession


def conclude(
    session: KnavSession,
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
) -> None:
    """Put verdict, figures and pointers on the report of a phase of a test."""
    verdict = verdict_of(call, report)
    if verdict == "inconclusive":
        setattr(report, VERDICT, verdict)
    record = item.stash.get(RECORD, None)
    final = report.when == "call" and ENDED in item.stash
    if not final and report.passed:
        return
    if (record is not None or verdict == "inconclusive") and report.when != "teardown":
        # On the item too: JUnit takes the properties of the teardown's report.
        item.user_properties.append(("knav.verdict", verdict))
        report.user_properties.append(("knav.verdict", verdict))
    if record is None:
        return
    if report.when == "teardown":
        report.sections.append(("knav", record.where_to_look()))
        return
    record = record.ended(verdict, _kept_state(session, item))
    item.stash[RECORD] = record = record.with_deaths(_deaths(item))
    setattr(report, RECORD_TEXT, json.dumps(record.as_data()))
    _publish(session, item, report)
    if verdict not in {"pass", "skipped"}:
        report.sections.append(("knav", record.where_to_look()))


def _kept_state(session: KnavSession, item: pytest.Item) -> str:
    """Return the file of the cluster's state at the failure, if it was kept."""
    lease = item.stash.get(LEASE, None)
    if lease is None or session.settings.keep == "never":
        return ""
    path = lease.cluster.kept_state
    return str(path) if path.exists() else ""


def _deaths(item: pytest.Item) -> list[str]:
    """Return which components of the test's cluster died by themselves, in words."""
    from pytest_knav.control_plane import diagnosis  # noqa: PLC0415 - heavy

    lease = item.stash.get(LEASE, None)
    return [] if lease is None else diagnosis.deaths(lease.cluster.history)


def verdict_of(call: pytest.CallInfo[None], report: pytest.TestReport) -> str:
    """Return what a phase of a test says: the product, us, or nobody to blame."""
    if report.skipped:
        return "skipped"
    if report.passed:
        return "pass"
    if call.excinfo is None:
        return "fail"
    if call.excinfo.errisinstance(Inconclusive):
        return "inconclusive"
    if call.excinfo.errisinstance((AssertionError, pytest.fail.Exception)):
        return "fail"
    return "broken"


def _publish(
    session: KnavSession, item: pytest.Item, report: pytest.TestReport
) -> None:
    """Attach to the test itself; what is attached at teardown belongs to a fixture."""
    from pytest_knav.fixtures import lifecycle  # noqa: PLC0415 - heavy

    lease = item.stash.get(LEASE, None)
    if lease is None:
        return
    try:
        lifecycle.publish(session, item, lease.cluster)
    except (HarnessError, OSError) as error:
        report.sections.append(("knav", f"the timeline could not be written: {error}"))
