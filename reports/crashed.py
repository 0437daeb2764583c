"""
A test whose process died: what it left on disk says what it was doing.

Only the process itself knew more, and nobody can ask it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import HarnessError
from pytest_knav.history import History
from pytest_knav.history.record import FAULT, STEP
from pytest_knav.reports import timeline
from pytest_knav.reports.record import find_record


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.reports.record import TestRecord

# The controller reads it, and every other worker waits for the controller.
BYTES_MAX: Final = 4 * 2**20
_TARGETS_SHOWN: Final = 3


def record_of(run: Path, test: str) -> TestRecord | None:
    """
    Return what is known of a test that had a cluster when its process died.

    Its history is written once a second: what came after that is in no record. Its
    timeline is written here, unless the history is large.
    """
    record = find_record(run, test)
    if record is None:
        return None
    record = replace(record.ended("broken"), reason="its process died")
    try:
        return _with_history(record, Path(record.artifacts))
    except (HarnessError, OSError):
        # It died before there was a history.
        return record


def _with_history(record: TestRecord, directory: Path) -> TestRecord:
    stored = sum(path.stat().st_size for path in (directory / "history").iterdir())
    if stored > BYTES_MAX:
        return record
    history = History.load(directory / "history")
    for one in history.records(FAULT):
        if one.verb == "INJECTING":
            record = record.with_fault(_name_of(one.data or {}))
    steps = history.records(STEP)
    record = record.with_workloads(
        step.name.partition(" ")[0] for step in steps if step.verb == "SUBMIT"
    )
    begun_s = [step.monotonic for step in steps if step.verb == "BEGIN"]
    died_s = history.records()[-1].monotonic - begun_s[0] if begun_s else None
    record = record.with_timeline(directory / timeline.PAGE, died_s)
    timeline.write(history, record, directory)
    return record


def _name_of(data: Mapping[str, Any]) -> str:
    """Return a fault by the name that it has in a record."""
    what = dict(data.get("fault") or {})
    kind, target = what.pop("fault", "fault"), what.pop("target", "")
    given = "".join(f", {key}={value!r}" for key, value in what.items())
    names = sorted(data.get("targets", ()))
    more = ", …" if len(names) > _TARGETS_SHOWN else ""
    return f"{kind}({target}{given}) on {', '.join(names[:_TARGETS_SHOWN])}{more}"
