"""What a run came to, from the reports of its tests, wherever these ran."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from pytest_knav.reports.record import TestRecord

EXIT_INCONCLUSIVE = 10
VERDICT = "knav_verdict"
RECORD = "knav_record"
OUTCOME = "knav_outcome"
# In a run's directory, beside its records.
OTHERS_FILE = "others.jsonl"


@dataclass(slots=True, eq=False)
class Tally:
    """
    Counts verdicts; registered as a plugin in the process that reports.

    Attributes:
        red: Reports of tests and collectors that failed.
        unsure: Reports of tests that could not tell.
        others: Tests and verdicts that are in no record: they had no cluster, or ended
            badly after it.

    """

    red: int = 0
    unsure: list[pytest.TestReport] = field(default_factory=list)
    others: list[tuple[str, str]] = field(default_factory=list)
    _records: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one report of a test."""
        if getattr(report, VERDICT, "") == "inconclusive":
            self.unsure.append(report)
        elif report.failed:
            self.red += 1
        if hasattr(report, RECORD):
            self._records.append(getattr(report, RECORD))
        elif report.failed:
            # Nobody could say of one whose worker died.
            self.others.append((report.nodeid, getattr(report, OUTCOME, "broken")))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count what could not be collected."""
        self.red += report.failed

    @property
    def used(self) -> bool:
        """Return whether any test had a cluster."""
        return bool(self._records)

    def records(self) -> list[TestRecord]:
        """Return the records of all tests that had a cluster, by name."""
        from pytest_knav.reports.record import TestRecord  # noqa: PLC0415 - if used

        found = [TestRecord.from_data(json.loads(text)) for text in self._records]
        return sorted(found, key=lambda record: record.test)

    def write_others(self, directory: Path) -> None:
        """Write into a run's directory which tests are in no record, and why."""
        lines = [json.dumps({"test": t, "verdict": v}) + "\n" for t, v in self.others]
        (directory / OTHERS_FILE).write_text("".join(lines))

    def exit_code(self, status: int) -> int:
        """Return the exit code of a run that would end with `status`."""
        return EXIT_INCONCLUSIVE if status == 1 and self._only_unsure else status

    @property
    def _only_unsure(self) -> bool:
        return bool(self.unsure) and not self.red
