"""
Answers that go on, read as fast as a busy cluster talks.

Every event of a watch comes as a chunk and a TLS record of its own. To wake a thread
for each, and to read it through `http.client`, takes several times as long as all that
is then done with it. So a stream that has been busy for a while is read after a pause,
with all that has come by then. A burst, as one workload makes, is read at once.
"""

from __future__ import annotations

import http.client
import math
import threading
import time
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import HarnessError
from pytest_knav.history.connection import ConnectionLost


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from pytest_knav.history.connection import Connection, Request
    from pytest_knav.history.transport import HttpTransport

# Between two reads of a busy stream: what is seen is seen so much later at most.
PACE_S: Final = 0.05
# A pause that brings fewer lines costs more than it saves.
_WORTH_LINES: Final = 3.0
# Over how long it is judged how busy a stream is.
_MEMORY_S: Final = 0.5
_READ_BYTES: Final = 2**16
_TAKEN_AT_ONCE_MAX: Final = 4 * 2**20
_CHUNK_BYTES_MAX: Final = 64 * 2**20
_END: Final = b"\r\n"
_SIZE_BYTES_MAX: Final = 1_024


class HttpStream:
    """The lines of an answer that goes on, for one thread to read and any to close."""

    def __init__(
        self, transport: HttpTransport, request: Request, *, pace_s: float = 0.0
    ) -> None:
        self._transport = transport
        self._request = request
        self._pace = Pace(pace_s)
        self._connection: Connection | None = None
        self._response: http.client.HTTPResponse | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def __enter__(self) -> Iterator[list[bytes]]:
        connection = self._transport.connect(self._transport.stream_timeout_s)
        with self._lock:
            self._connection = connection
            closed = self._closed.is_set()
        try:
            if closed:
                raise ConnectionLost(f"{self._request}: closed")
            self._response = self._transport.start(connection, self._request)
        except HarnessError:
            self._transport.release(connection, reusable=False)
            raise
        return self._lines(self._response, connection)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._response is not None:
            self._response.close()
        if self._connection is not None:
            self._transport.release(self._connection, reusable=False)

    def close(self) -> None:
        """End the stream now; a thread that reads it gets `ConnectionLost`."""
        with self._lock:
            self._closed.set()
            connection = self._connection
        if connection is not None:
            connection.interrupt()

    def _lines(
        self, response: http.client.HTTPResponse, connection: Connection
    ) -> Iterator[list[bytes]]:
        body = _Chunks(response, connection) if response.chunked else _Plain(response)
        rest: list[bytes] = []
        while True:
            try:
                content = body.read()
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise ConnectionLost(f"{self._request}: {error!r}") from error
            came, count = time.monotonic(), 0
            if not content:
                # An interrupted socket reads as an end too, but it is none.
                if rest or self._closed.is_set():
                    raise ConnectionLost(f"{self._request}: cut within a line")
                return
            *lines, last = content.split(b"\n")
            if lines:
                lines[0] = b"".join([*rest, lines[0]])
                rest, count = [], len(lines)
                yield lines
            if last:
                rest.append(last)
            pause_s = self._pace.after(count, came) + came - time.monotonic()
            if pause_s > 0:
                # Ends at once when the stream is closed, which the next read notices.
                self._closed.wait(pause_s)


class Pace:
    """
    Says how long a stream may be left alone; pure.

    Args:
        pace_s: The longest pause; without it there is none.

    """

    def __init__(self, pace_s: float) -> None:
        self._pace_s = pace_s
        self._lines_per_s = 0.0
        self._before = -math.inf

    def after(self, lines: int, came: float) -> float:
        """Return the pause from the moment at which so many lines came."""
        gap_s = min(came - self._before, _MEMORY_S)
        self._before = came
        kept = 1 - gap_s / _MEMORY_S
        self._lines_per_s = kept * self._lines_per_s + lines / _MEMORY_S
        busy = self._lines_per_s * self._pace_s >= _WORTH_LINES
        return self._pace_s if busy else 0.0


class _Plain:
    """A body that is not in chunks."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response

    def read(self) -> bytes:
        """Return what is there, at least a byte; nothing at the end."""
        return self._response.read1(_READ_BYTES)


class _Chunks:
    """
    A body in chunks (RFC 9112, section 7.1), taken apart here.

    Args:
        response: Whose head has been read.
        connection: That it comes over.

    """

    def __init__(
        self, response: http.client.HTTPResponse, connection: Connection
    ) -> None:
        self._read1: Callable[[int], bytes] = response.fp.read1
        self._more = connection.more
        self._rest = b""
        self._ended = False

    def read(self) -> bytes:
        """
        Return what is there of whole chunks; nothing at the end.

        Raises:
            ValueError: These are no chunks.
            HTTPException: The answer was cut.

        """
        found = b""
        while not found and not self._ended:
            parts = [self._rest, self._read1(_READ_BYTES)]
            if not parts[1]:
                raise http.client.IncompleteRead(self._rest)
            taken = len(parts[1])
            while taken < _TAKEN_AT_ONCE_MAX and self._more():
                parts.append(self._read1(_READ_BYTES))
                if not parts[-1]:
                    break
                taken += len(parts[-1])
            found = self._payload(b"".join(parts))
        return found

    def _payload(self, content: bytes) -> bytes:
        found: list[bytes] = []
        at = 0
        while (end := content.find(_END, at)) >= 0:
            size = int(content[at:end].partition(b";")[0], 16)
            if not 0 <= size <= _CHUNK_BYTES_MAX:
                raise ValueError(f"a chunk of {size} bytes")
            begin = end + len(_END)
            if size == 0:
                self._ended = True
                break
            after = begin + size + len(_END)
            if len(content) < after:
                break
            if content[begin + size : after] != _END:
                raise ValueError("a chunk that does not end where it should")
            found.append(content[begin : begin + size])
            at = after
        self._rest = content[at:]
        if end < 0 and len(self._rest) > _SIZE_BYTES_MAX:
            raise ValueError("a chunk without a size")
        return b"".join(found)
