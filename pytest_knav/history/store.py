"""
The history on disk: JSON lines in gzip segments that survive a ``kill -9``.

The format is described in docs/reference/history-format.md.
"""

from __future__ import annotations

import os
import re
import threading
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import HarnessError
from pytest_knav.history.record import check_header, decode, encode, encode_header


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pytest_knav.history.record import Record

SEGMENT_BYTES_MAX: Final = 8 * 2**20
FLUSH_INTERVAL_S: Final = 0.5
PENDING_RECORDS_MAX: Final = 5_000
_HELD_UP_RECORDS: Final = 20 * PENDING_RECORDS_MAX
_READ_BYTES: Final = 2**16
_LINE_BYTES_MAX: Final = 64 * 2**20
_GZIP: Final = 31
# The fastest: a history is written while the cluster under test needs the processor.
_LEVEL: Final = 1
_SEGMENT = re.compile(r"history-(\d{6})\.jsonl\.gz")


class HistoryWriter:
    """
    Writes records so that all but the last second survives whatever kills the process.

    `append` never fails: an error of the disk is remembered, and `check` and `close`
    raise it. Records after such an error are dropped and counted.
    """

    def __init__(
        self,
        directory: Path,
        *,
        fsync: bool = False,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
    ) -> None:
        self._directory = directory
        self._fsync = fsync
        self._segment_bytes_max = segment_bytes_max
        self._pending: list[Record] = []
        self._pending_lock = threading.Lock()
        self._disk_lock = threading.Lock()
        self._error: OSError | None = None
        self._dropped = 0
        self._number = 0
        self._closed = False
        with _as_harness_error(f"history cannot be written to {directory}"):
            directory.mkdir(parents=True, exist_ok=True)
            found = segments(directory)
            if found:
                raise HarnessError(
                    f"{directory} already holds a history ({found[0].name}); "
                    "a history is written once, into a directory of its own"
                )
            self._open_segment()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._flusher = threading.Thread(
            target=self._flush_forever, name="knav-history-flush", daemon=True
        )
        self._flusher.start()

    def append(self, record: Record) -> None:
        """Take a record; it is on its way to the disk within a second."""
        with self._pending_lock:
            self._pending.append(record)
            waiting = len(self._pending)
        if waiting >= PENDING_RECORDS_MAX:
            self._wake.set()
        if waiting >= _HELD_UP_RECORDS:
            # The disk is slower than the cluster: whoever records has to wait for it.
            self.flush()

    def extend(self, records: Iterable[Record]) -> None:
        """Take many records at once; the flushing thread writes them out."""
        with self._pending_lock:
            self._pending.extend(records)

    def flush(self) -> None:
        """Write out what was appended so far."""
        with self._disk_lock:
            with self._pending_lock:
                records, self._pending = self._pending, []
            if not records:
                return
            if self._error is not None or self._closed:
                self._dropped += len(records)
                return
            try:
                self._write(records)
            except OSError as error:
                self._error = error
                self._dropped += len(records)

    def check(self) -> None:
        """
        Say whether all is well so far.

        Raises:
            HarnessError: The disk refused something; the history on it is not whole.

        """
        if self._error is not None:
            raise HarnessError(
                f"the history in {self._directory} is not whole: {self._error} "
                f"({self._dropped} records dropped)"
            ) from self._error

    def close(self) -> None:
        """
        Finish the last segment and end the flushing thread; closing twice is harmless.

        Raises:
            HarnessError: As `check`.

        """
        self._stopping.set()
        self._wake.set()
        self._flusher.join()
        self.flush()
        with self._disk_lock:
            if not self._closed:
                self._closed = True
                try:
                    self._close_segment()
                except OSError as error:
                    self._error = error
        self.check()

    def _flush_forever(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(FLUSH_INTERVAL_S)
            self._wake.clear()
            self.flush()

    def _write(self, records: list[Record]) -> None:
        lines = b"".join(line for record in records for line in (encode(record), b"\n"))
        self._put(self._zip.compress(lines))
        self._put(self._zip.flush(zlib.Z_SYNC_FLUSH))
        if self._fsync:
            os.fsync(self._fd)
        if self._written >= self._segment_bytes_max:
            self._close_segment()
            self._open_segment()

    def _open_segment(self) -> None:
        self._number += 1
        path = self._directory / f"history-{self._number:06}.jsonl.gz"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._zip = zlib.compressobj(_LEVEL, wbits=_GZIP)
        self._written = 0
        header = encode_header(segment=self._number)
        self._put(self._zip.compress(f"{header}\n".encode()))
        self._put(self._zip.flush(zlib.Z_SYNC_FLUSH))

    def _close_segment(self) -> None:
        if self._fd < 0:
            return
        try:
            # After an error the stream has a hole, and an end would pretend otherwise.
            if self._error is None:
                self._put(self._zip.flush(zlib.Z_FINISH))
        finally:
            os.close(self._fd)
            self._fd = -1

    def _put(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            count = os.write(self._fd, view)
            self._written += count
            view = view[count:]


class StoredHistory:
    """
    Records of a stored history, in the order of arrival, read as they are asked for.

    `truncated` says where the history was cut, once all records have been read: a
    process that was killed leaves its last segment without an end. Empty means whole.
    """

    def __init__(self, directory: Path) -> None:
        self.truncated = ""
        self._directory = directory

    def __iter__(self) -> Iterator[Record]:
        with _as_harness_error(f"history cannot be read from {self._directory}"):
            paths = segments(self._directory)
        if not paths:
            raise HarnessError(f"{self._directory} holds no history")
        for number, path in enumerate(paths, start=1):
            if path.name != f"history-{number:06}.jsonl.gz":
                raise HarnessError(
                    f"segment {number} of the history in {self._directory} is missing"
                )
            yield from self._segment(path)
            if self.truncated and path != paths[-1]:
                # A writer ends a segment before it begins the next, so this is damage.
                raise HarnessError(f"history damaged: {self.truncated}")

    def _segment(self, path: Path) -> Iterator[Record]:
        lines = self._lines(path)
        header = next(lines, None)
        if header is None:
            self.truncated = f"{path.name} is cut before its header"
            return
        check_header(header, where=str(path))
        for count, line in enumerate(lines, start=1):
            try:
                record = decode(line)
            except ValueError as error:
                self.truncated = (
                    f"{path.name} is cut after {count - 1} records: {error}"
                )
                return
            yield record

    def _lines(self, path: Path) -> Iterator[bytes]:
        rest = b""
        inflate = zlib.decompressobj(wbits=_GZIP)
        with _as_harness_error(f"{path} cannot be read"), path.open("rb") as file:
            while not inflate.eof:
                content = file.read(_READ_BYTES)
                try:
                    rest += inflate.decompress(content)
                except zlib.error as error:
                    self.truncated = f"{path.name} is damaged: {error}"
                    return
                *lines, rest = rest.split(b"\n")
                yield from lines
                if len(rest) > _LINE_BYTES_MAX:
                    self.truncated = f"{path.name} has a line without end"
                    return
                if not content and not inflate.eof:
                    self.truncated = f"{path.name} ends after {file.tell()} bytes"
                    return


def read_history(directory: Path) -> StoredHistory:
    """
    Return the records stored in a directory.

    Raises:
        HarnessError: (while iterating) There is no history, a segment in its middle is
            damaged or missing, or its format is of another version.

    """
    return StoredHistory(directory)


def segments(directory: Path) -> list[Path]:
    """Return the segments of a stored history in order."""
    return sorted(p for p in directory.iterdir() if _SEGMENT.fullmatch(p.name))


@contextmanager
def _as_harness_error(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HarnessError(f"{what}: {error}") from error
