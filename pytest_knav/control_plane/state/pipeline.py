"""Many small HTTP requests on one connection, without a pause for each answer."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Final, Self

from pytest_knav.errors import HarnessError


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from pytest_knav.history.merge import JsonObject

# Sent before the answers are read. A server that cannot send its answers stops to read,
# so they must fit into the buffers of the sockets: an answer has some 300 bytes.
WINDOW: Final = 64
_LINE_BYTES_MAX: Final = 64 * 1024
_OK: Final = b" 200 "


class PipelineError(HarnessError):
    """The server refused a request, or answered something that is no HTTP."""


class Pipeline:
    """
    One connection to a server on this machine (RFC 9112, section 9.3.2).

    Args:
        host: Its name.
        port: Its port.
        timeout_s: How long it may be silent.

    """

    def __init__(self, host: str, port: int, *, timeout_s: float) -> None:
        self._host = f"{host}:{port}".encode()
        self._socket = socket.create_connection((host, port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._answers.close()
        self._socket.close()

    def post(self, requests: Iterable[tuple[str, bytes]]) -> Iterator[JsonObject]:
        """
        Yield the answer to each request, in order.

        Args:
            requests: Pairs of path and JSON body.

        Raises:
            PipelineError: One was refused; those behind it may have been taken.
            OSError: The connection broke; what was sent may have been taken.

        """
        window: list[bytes] = []
        for path, body in requests:
            window.append(self._request(path, body))
            if len(window) == WINDOW:
                yield from self._exchange(window)
                window = []
        if window:
            yield from self._exchange(window)

    def _request(self, path: str, body: bytes) -> bytes:
        return (
            b"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s"
        ) % (path.encode(), self._host, len(body), body)

    def _exchange(self, requests: list[bytes]) -> Iterator[JsonObject]:
        self._socket.sendall(b"".join(requests))
        for _ in requests:
            yield self._answer()

    def _answer(self) -> JsonObject:
        status = self._line()
        length = None
        while header := self._line():
            name, _, value = header.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        if length is None:
            raise PipelineError(f"an answer without a length: {status!r}")
        body = self._answers.read(length)
        if len(body) < length:
            raise PipelineError("the server went away in the middle of an answer")
        if _OK not in status:
            raise PipelineError(f"{status.decode()}: {body[:500]!r}")
        answer: JsonObject = json.loads(body)
        return answer

    def _line(self) -> bytes:
        line = self._answers.readline(_LINE_BYTES_MAX)
        if not line.endswith(b"\r\n"):
            raise PipelineError("the server went away")
        return line[:-2]
