"""What the timeline of a long run costs; no cluster is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.reports.timeline import PAGE, html, read_timeline
from pytest_knav.selfbench.cases import FAST
from pytest_knav.selfbench.course import Course, Step
from pytest_knav.selfbench.histories import make_records


if TYPE_CHECKING:
    from pathlib import Path

    from pytest_knav.history import Record
    from pytest_knav.selfbench.course import Kit

RECORDS: Final = 1_000_000


class Drawing:
    """
    The page of a run of 1,000 nodes and 10,000 pods, from records to the file.

    Args:
        folder: Where it is written.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records: list[Record] = []

    def prepare(self) -> None:
        """Make the history, as the end of a test finds it: in memory."""
        self._records = list(make_records(RECORDS))

    def act(self) -> None:
        """Draw it."""
        page = html(read_timeline(self._records))
        (self._folder / PAGE).write_text(page, encoding="utf-8")

    def close(self) -> None:
        """Forget the history."""
        self._records = []


def course(kit: Kit) -> Course:
    """Return the course that draws."""
    page = Drawing(kit.folder)
    step = Step(case="timeline", objects=RECORDS, prepare=page.prepare, act=page.act)
    return Course(side=FAST, workdir=kit.folder, steps=(step,), close=page.close)
