"""
The undo journal: what a fault will change is written down before it changes.

One file a cluster, JSON lines, each synced to disk. A fault that was begun and never
cleared, because its process was killed, is undone when the cluster is next attached.
Every undo is idempotent, so doing it twice is harmless.

Line format, version 1: `v`, `id`, `event` (`intent`, `injected`, `cleared`), and with
`intent` also `fault` (its name and parameters), `targets` (the expression and the names
it came to) and `undo` (changes, see `pytest_knav.control_plane.changes`).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from pytest_knav.control_plane.changes import Change, change_from_data
from pytest_knav.errors import HarnessError


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

JOURNAL_VERSION = 1
JOURNAL_FILE = "journal.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A fault that was begun and never cleared."""

    id: str
    fault: Mapping[str, Any]
    targets: Mapping[str, Any]
    undo: tuple[Change, ...]


class Journal:
    """The journal of one cluster, in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def intend(
        self,
        fault_id: str,
        fault: Mapping[str, Any],
        targets: Mapping[str, Any],
        undo: Sequence[Change],
    ) -> None:
        """Write down what is about to happen and how to take it back."""
        self.append(
            fault_id,
            "intent",
            fault=fault,
            targets=targets,
            undo=[change.as_data() for change in undo],
        )

    def injected(self, fault_id: str) -> None:
        """Write down that the changes were made."""
        self.append(fault_id, "injected")

    def cleared(self, fault_id: str) -> None:
        """Write down that the changes were taken back."""
        self.append(fault_id, "cleared")

    def pending(self) -> list[Pending]:
        """
        Return the faults that were begun and never cleared, oldest first.

        A last line that a crash cut short is passed over: its change was never made.

        Raises:
            HarnessError: The file is of another format version, or damaged.

        """
        begun: dict[str, Pending] = {}
        for line in self._lines():
            if line.get("v") != JOURNAL_VERSION:
                raise HarnessError(
                    f"{self.path} has format version {line.get('v')!r}, this "
                    f"pytest-knav reads {JOURNAL_VERSION}"
                )
            if line["event"] == "intent":
                begun[line["id"]] = Pending(
                    id=line["id"],
                    fault=line["fault"],
                    targets=line["targets"],
                    undo=tuple(change_from_data(data) for data in line["undo"]),
                )
            elif line["event"] == "cleared":
                begun.pop(line["id"], None)
        return list(begun.values())

    def _lines(self) -> list[dict[str, Any]]:
        try:
            texts = self.path.read_text().splitlines()
        except FileNotFoundError:
            return []
        lines = []
        for number, text in enumerate(texts, 1):
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError as error:
                if number == len(texts):
                    break
                raise HarnessError(
                    f"{self.path}, line {number}: {error}: the journal is damaged, "
                    "so its faults cannot be undone; remove the cluster"
                ) from error
        return lines

    def append(self, fault_id: str, event: str, **rest: object) -> None:
        """Write a line and return when it is on disk."""
        line = json.dumps(
            {"v": JOURNAL_VERSION, "id": fault_id, "event": event, **rest}
        )
        with self.path.open("ab+") as file:
            _drop_torn_line(file)
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _drop_torn_line(file: BinaryIO) -> None:
    """Cut what a crash left of a last line, so that the next one stands alone."""
    file.seek(0)
    text = file.read()
    if text and not text.endswith(b"\n"):
        file.truncate(text.rfind(b"\n") + 1)
    file.seek(0, os.SEEK_END)
