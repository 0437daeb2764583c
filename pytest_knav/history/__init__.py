"""
What happened in a cluster: recorded from list and watch, ordered by etcd's revision.

Checks read a `History` and nothing else. It comes from a `Recorder` that follows a
cluster (`pytest_knav.history.recorder`, `pytest_knav.history.transport`), or from a
directory that one has written (`History.load`).
"""

from __future__ import annotations

from pytest_knav.history.history import History
from pytest_knav.history.merge import JsonObject
from pytest_knav.history.record import Record
from pytest_knav.history.store import HistoryWriter, StoredHistory, read_history
from pytest_knav.history.version import Gap, Version


__all__ = [
    "Gap",
    "History",
    "HistoryWriter",
    "JsonObject",
    "Record",
    "StoredHistory",
    "Version",
    "read_history",
]
