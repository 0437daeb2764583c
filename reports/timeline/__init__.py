"""
A run over time: as text, as an offline page, as a still picture, as a trace.

All but the text are made from one `Timeline`, which is read from records in one pass:
of a live history, or of a stored one without a cluster.
"""

from __future__ import annotations

from pytest_knav.reports.timeline.files import PAGE, TEXT, write
from pytest_knav.reports.timeline.html import html
from pytest_knav.reports.timeline.model import Timeline
from pytest_knav.reports.timeline.moments import failed_at
from pytest_knav.reports.timeline.reader import read_timeline
from pytest_knav.reports.timeline.still import still
from pytest_knav.reports.timeline.text import render
from pytest_knav.reports.timeline.trace import trace


__all__ = [
    "PAGE",
    "TEXT",
    "Timeline",
    "failed_at",
    "html",
    "read_timeline",
    "render",
    "still",
    "trace",
    "write",
]
