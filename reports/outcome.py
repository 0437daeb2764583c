"""The end of a test: its verdict, and what is published of it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from pytest_knav.errors import HarnessError, Inconclusive
from pytest_knav.reports import baselines, known_bug
from pytest_knav.reports.tally import OUTCOME, VERDICT
from pytest_knav.reports.tally import RECORD as RECORD_TEXT
from pytest_knav.session import ENDED, LEASE, RECORD


if TYPE_CHECKING:
    from pytest_knav.reports.record import TestRecord
    from pytest_knav.session import KnavSession


def conclude(
    session: KnavSession,
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
) -> None:
    """Put verdict, figures and pointers on the report of a phase of a test."""
    verdict = verdict_of(call, report)
    if baselines.ended_as_one(call, item):
        verdict = baselines.VERDICT
    bug = known_bug.marked(item) if verdict == known_bug.VERDICT else None
    if verdict in {"inconclusive", baselines.VERDICT}:
        setattr(report, VERDICT, verdict)
    if report.failed:
        setattr(report, OUTCOME, verdict)
    record = item.stash.get(RECORD, None)
    final = report.when == "call" and ENDED in item.stash
    if not final and report.passed:
        return
    told = record is not None or verdict in {"inconclusive", known_bug.VERDICT}
    if told and report.when != "teardown":
        # On the item too: JUnit takes the properties of the teardown's report.
        item.user_properties.append(("knav.verdict", verdict))
        report.user_properties.append(("knav.verdict", verdict))
    if bug is not None and report.when == "call":
        item.user_properties.append(("knav.known_bug", bug.issue))
        report.user_properties.append(("knav.known_bug", bug.issue))
    if record is None:
        return
    if report.when == "teardown":
        report.sections.append(("knav", record.where_to_look()))
        return
    record = record.ended(verdict, _kept_state(session, item))
    record = record.with_deaths(_deaths(item)).with_workloads(_workloads(item))
    record = record.with_effect(*_effect(session, item, record))
    record = _pointed(session, item, record)
    record = record.with_reason(call.excinfo.value if call.excinfo else None)
    item.stash[RECORD] = record
    item.user_properties.extend(record.properties())
    report.user_properties.extend(record.properties())
    setattr(report, RECORD_TEXT, json.dumps(record.as_data()))
    _publish(session, item, report)
    if verdict not in {"pass", "skipped", baselines.VERDICT}:
        report.sections.append(("knav", record.where_to_look()))


def _workloads(item: pytest.Item) -> list[str]:
    """Return which kinds of workloads the test submitted."""
    from pytest_knav.history.record import STEP  # noqa: PLC0415 - if it had a cluster

    lease = item.stash.get(LEASE, None)
    steps = [] if lease is None else lease.cluster.history.records(STEP)
    return [s.name.partition(" ")[0] for s in steps if s.verb == "SUBMIT"]


def _effect(
    session: KnavSession, item: pytest.Item, record: TestRecord
) -> tuple[dict[str, float | None], str]:
    """Return what the faults did to the work, and what a baseline says of itself."""
    lease = item.stash.get(LEASE, None)
    if lease is None or not session.settings.baseline:
        return {}, ""
    from pytest_knav.checks.effect import effect_of  # noqa: PLC0415 - if asked for

    found = effect_of(lease.cluster.history, time.monotonic())
    said = baselines.said(item) if record.baseline else ""
    return ({} if found is None else found.as_data()), said


def _pointed(session: KnavSession, item: pytest.Item, record: TestRecord) -> TestRecord:
    """Return a record that knows where its timeline will be, if there will be one."""
    from pytest_knav.reports import timeline  # noqa: PLC0415 - only if used

    lease = item.stash.get(LEASE, None)
    kept = session.settings.keep
    stays = kept == "always" or (kept == "on-failure" and record.verdict != "pass")
    if lease is None or not stays:
        return record
    failed_at = None
    if record.verdict != "pass":
        failed_at = timeline.failed_at(lease.cluster.history.records())
    return record.with_timeline(lease.artifacts / timeline.PAGE, failed_at)


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
    if known_bug.failed_as_expected(call):
        return known_bug.VERDICT
    if report.skipped:
        return "skipped"
    if report.passed:
        return "pass"
    if call.excinfo is not None and call.excinfo.errisinstance(Inconclusive):
        return "inconclusive"
    blamed = (AssertionError, pytest.fail.Exception)
    failed = call.excinfo is None or call.excinfo.errisinstance(blamed)
    return "fail" if failed else "broken"


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
