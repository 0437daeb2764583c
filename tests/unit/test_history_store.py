"""The history on disk."""

from __future__ import annotations

import errno
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_knav.errors import HarnessError
from pytest_knav.history.record import Record, decode, encode
from pytest_knav.history.store import HistoryWriter, read_history, segments


if TYPE_CHECKING:
    from pathlib import Path

KILLED_WRITER = """
import sys, threading
from pathlib import Path
from pytest_knav.history.record import Record
from pytest_knav.history.store import HistoryWriter

writer = HistoryWriter(Path(sys.argv[1]))
for revision in range(1000):
    writer.append(Record(revision=revision, monotonic=1.0, wall=2.0, verb="NOTE",
        kind="knav/Step", namespace="", name="n", uid=""))
print("appended", flush=True)
threading.Event().wait(60)
"""


def a_record(revision: int = 7, **fields: object) -> Record:
    """Return a record that matters in nothing but what is given."""
    defaults: dict[str, object] = {
        "monotonic": 1.5,
        "wall": 1e9,
        "verb": "ADDED",
        "kind": "Pod",
        "namespace": "default",
        "name": "a",
        "uid": "u-a",
        "data": {"metadata": {"name": "ä"}},
    }
    return Record(revision=revision, **{**defaults, **fields})  # type: ignore[arg-type]


def write(directory: Path, count: int, **options: int) -> None:
    """Write a history of so many records."""
    writer = HistoryWriter(directory, **options)  # type: ignore[arg-type]
    for revision in range(count):
        writer.append(a_record(revision))
        writer.flush()
    writer.close()


@pytest.mark.parametrize(
    "record",
    [
        a_record(),
        a_record(verb="MODIFIED", data=None, patch={"status": {"phase": None}}),
        a_record(verb="DELETED", data=None),
        a_record(kind="knav/Fault", verb="INJECTED", namespace="", uid="", data={}),
    ],
    ids=lambda record: record.verb,
)
def test_a_record_survives_encoding(record: Record) -> None:
    """What is decoded equals what was encoded, on one line."""
    line = encode(record)

    assert b"\n" not in line
    assert decode(line) == record


@pytest.mark.parametrize("line", ["[]", "{}", '{"revision": "7"}', "{"])
def test_a_line_that_is_no_record_is_refused(line: str) -> None:
    """Nothing is made up for what is missing or of the wrong type."""
    with pytest.raises(ValueError, match=r".+"):
        decode(line)


def test_records_are_read_as_they_were_appended(tmp_path: Path) -> None:
    """A closed history is whole."""
    write(tmp_path, 20)
    stored = read_history(tmp_path)

    assert [record.revision for record in stored] == list(range(20))
    assert stored.truncated == ""


def test_every_segment_begins_with_a_header_and_is_private(tmp_path: Path) -> None:
    """Any gzip tool can read a segment, but no other user."""
    write(tmp_path, 5, segment_bytes_max=1)
    paths = segments(tmp_path)

    headers = [json.loads(gzip.open(p).readline()) for p in paths]  # noqa: SIM115

    assert len(paths) == 6
    assert headers[0] == {"format": "knav-history", "version": 1, "segment": 1}
    assert paths[0].stat().st_mode & 0o777 == 0o600
    assert [r.revision for r in read_history(tmp_path)] == list(range(5))


def test_a_cut_segment_gives_what_is_before_the_cut(tmp_path: Path) -> None:
    """A truncated last segment is read up to the cut, and says so."""
    write(tmp_path, 50)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-60])
    stored = read_history(tmp_path)

    revisions = [record.revision for record in stored]

    assert revisions == list(range(len(revisions)))
    assert 0 < len(revisions) < 50
    assert "history-000001" in stored.truncated


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_damage_in_the_middle_is_an_error(tmp_path: Path, damage: str) -> None:
    """A hole in the middle must not look like a history."""
    write(tmp_path, 5, segment_bytes_max=1)
    path = segments(tmp_path)[2]
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        path.unlink()

    with pytest.raises(HarnessError, match=r"damaged|missing"):
        list(read_history(tmp_path))


def test_another_version_is_refused(tmp_path: Path) -> None:
    """The message shows the version found and the one supported."""
    header = {"format": "knav-history", "version": 99}
    path = tmp_path / "history-000001.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(header).encode() + b"\n"))

    with pytest.raises(HarnessError, match=r"version 99 .* supported is 1"):
        list(read_history(tmp_path))


def test_a_directory_without_history_is_an_error(tmp_path: Path) -> None:
    """No records because there is no history is not an empty history."""
    with pytest.raises(HarnessError, match="no history"):
        list(read_history(tmp_path))


def test_a_history_is_written_once(tmp_path: Path) -> None:
    """A second writer does not mix its records into an older history."""
    write(tmp_path, 1)

    with pytest.raises(HarnessError, match="already holds a history"):
        HistoryWriter(tmp_path)


def test_records_reach_the_disk_without_further_appends(tmp_path: Path) -> None:
    """The flusher needs no append to be woken."""
    writer = HistoryWriter(tmp_path)
    flushed = threading.Event()
    write_out = writer._write

    def watched(records: list[Record]) -> None:
        write_out(records)
        flushed.set()

    writer._write = watched  # type: ignore[method-assign]
    writer.append(a_record())

    assert flushed.wait(10)
    assert len(list(read_history(tmp_path))) == 1
    writer.close()


def test_a_full_disk_is_remembered_and_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that records goes on; check and close say what is lost."""
    writer = HistoryWriter(tmp_path)

    def full(_fd: int, _content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    writer.append(a_record())
    writer.flush()
    monkeypatch.undo()
    writer.append(a_record())
    writer.flush()

    with pytest.raises(HarnessError, match=r"No space left.*2 records dropped"):
        writer.check()
    with pytest.raises(HarnessError, match="No space left"):
        writer.close()


def test_a_killed_writer_leaves_a_readable_history(tmp_path: Path) -> None:
    """After a SIGKILL everything older than the last second is there."""
    directory = tmp_path / "history"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITER, str(directory)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        # The size stops growing at the flush that follows the appends.
        for _ in range(1000):
            found = segments(directory)
            if found and len(list(read_history(directory))) == 1000:
                break
            threading.Event().wait(0.01)
        process.send_signal(signal.SIGKILL)
    stored = read_history(directory)

    assert [record.revision for record in stored] == list(range(1000))
    assert stored.truncated
