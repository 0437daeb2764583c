"""The files of a test's timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.reports.timeline.html import html
from pytest_knav.reports.timeline.reader import read_timeline
from pytest_knav.reports.timeline.text import render


if TYPE_CHECKING:
    from pathlib import Path

    from pytest_knav.history import History
    from pytest_knav.reports.record import TestRecord

PAGE: Final = "timeline.html"
TEXT: Final = "timeline.txt"


def write(history: History, record: TestRecord, directory: Path) -> tuple[str, str]:
    """Write what happened in a test, as text and as a page, and return both."""
    text = render(history, record)
    (directory / TEXT).write_text(text, encoding="utf-8")
    found = read_timeline(history.records(), title=record.test, facts=record.facts())
    page = html(found)
    (directory / PAGE).write_text(page, encoding="utf-8")
    return text, page
