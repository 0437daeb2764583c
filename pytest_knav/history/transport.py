"""The way to an apiserver: raw JSON, deadlines on everything, closable at any time."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlencode, urlsplit

from pytest_knav.errors import BadInput
from pytest_knav.history.connection import (
    JSON,
    ApiError,
    Connection,
    ConnectionLost,
    Request,
    api_error,
    tls_context,
)
from pytest_knav.history.stream import PACE_S, HttpStream


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from pytest_knav.history.merge import JsonObject

REQUEST_TIMEOUT_S: Final = 15.0
# The apiserver sends a bookmark about once a minute: a longer silence is a dead line.
STREAM_TIMEOUT_S: Final = 90.0
METADATA_ONLY: Final = (
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
)
MERGE_PATCH: Final = "application/merge-patch+json"
_IDLE_MAX: Final = 16
_DEAD_CONNECTION: Final = (
    BrokenPipeError,
    ConnectionResetError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)
_NO_PARAMS: Final[Mapping[str, str]] = {}


class Stream(Protocol):
    """An answer that goes on; entering it connects, and any thread may close it."""

    def __enter__(self) -> Iterator[list[bytes]]:
        """Return the lines as they come; raises `ApiError` or `ConnectionLost`."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """Close the stream."""

    def close(self) -> None:
        """End the stream now; a thread that reads it gets `ConnectionLost`."""


class Transport(Protocol):
    """What the recorder needs of an apiserver."""

    def get(
        self,
        path: str,
        params: Mapping[str, str] = ...,
        *,
        accept: str = ...,
        timeout_s: float | None = ...,
    ) -> JsonObject:
        """Return the answer to a GET; raises `ApiError` or `ConnectionLost`."""

    def create(self, path: str, body: JsonObject) -> JsonObject:
        """Return what the apiserver made of a new object; raises as `get`."""

    def patch(self, path: str, body: JsonObject) -> JsonObject:
        """Return the object after a merge patch; raises as `get`."""

    def stream(self, path: str, params: Mapping[str, str]) -> Stream:
        """Return a stream that is not yet connected."""

    def close(self) -> None:
        """End everything under way, from any thread, and refuse what comes later."""


class HttpTransport:
    """
    A `Transport` over HTTP or HTTPS with client certificates.

    Idle connections are kept for the next request, at most sixteen.
    """

    def __init__(  # noqa: PLR0913 - three files and two deadlines
        self,
        server: str,
        *,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        stream_timeout_s: float = STREAM_TIMEOUT_S,
        pace_s: float = PACE_S,
    ) -> None:
        url = urlsplit(server)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise BadInput(f"server={server!r}: give an http:// or https:// URL")
        self.server = server
        self._prefix = url.path.rstrip("/")
        self._address = url.hostname, url.port or (443 if url.scheme == "https" else 80)
        self._tls = None
        if url.scheme == "https":
            self._tls = tls_context(ca_file, cert_file, key_file)
        self._request_timeout_s = request_timeout_s
        self.stream_timeout_s = stream_timeout_s
        self._pace_s = pace_s
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._active: set[Connection] = set()
        self._closed = False

    def get(
        self,
        path: str,
        params: Mapping[str, str] = _NO_PARAMS,
        *,
        accept: str = JSON,
        timeout_s: float | None = None,
    ) -> JsonObject:
        """
        Return the answer to a GET; raises `ApiError` or `ConnectionLost`.

        The timeout is for each silence of the server, not for the whole.
        """
        request = Request("GET", _target(path, params), accept=accept)
        return self._request(request, timeout_s)

    def create(self, path: str, body: JsonObject) -> JsonObject:
        """Return what the apiserver made of a new object; raises as `get`."""
        return self._request(Request("POST", path, body=body))

    def patch(self, path: str, body: JsonObject) -> JsonObject:
        """Return the object after a merge patch; raises as `get`."""
        return self._request(
            Request("PATCH", path, body=body, content_type=MERGE_PATCH)
        )

    def stream(
        self,
        path: str,
        params: Mapping[str, str] = _NO_PARAMS,
        *,
        body: JsonObject | None = None,
    ) -> HttpStream:
        """Return a stream that is not yet connected; a body makes it a POST."""
        method = "GET" if body is None else "POST"
        request = Request(method, _target(path, params), body=body)
        return HttpStream(self, request, pace_s=self._pace_s)

    def close(self) -> None:
        """End everything under way, from any thread, and refuse what comes later."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            active = list(self._active)
        for connection in active:
            connection.interrupt()
        for connection in idle:
            connection.close()

    def connect(self, timeout_s: float) -> Connection:
        """Return a connection object that is not yet connected, and watch over it."""
        connection = Connection(self._address, self._tls, timeout_s)
        with self._lock:
            if self._closed:
                raise ConnectionLost(f"the transport to {self.server} is closed")
            self._active.add(connection)
        return connection

    def release(self, connection: Connection, *, reusable: bool) -> None:
        """Take a connection back."""
        with self._lock:
            self._active.discard(connection)
            keep = reusable and not self._closed and len(self._idle) < _IDLE_MAX
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    def start(
        self, connection: Connection, request: Request
    ) -> http.client.HTTPResponse:
        """Send a request and return the answer once its head has arrived."""
        headers = {"Accept": request.accept, "User-Agent": "pytest-knav"}
        content = None
        if request.body is not None:
            content = json.dumps(request.body).encode()
            headers["Content-Type"] = request.content_type
        target = self._prefix + request.target
        try:
            connection.request(request.method, target, content, headers)
            response = connection.getresponse()
            if response.status >= 300:
                with response:
                    raise api_error(response)
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionLost(f"{request}: {error!r}") from error
        return response

    def _request(self, request: Request, timeout_s: float | None = None) -> JsonObject:
        timeout_s = self._request_timeout_s if timeout_s is None else timeout_s
        with self._lock:
            connection = self._idle.pop() if self._idle else None
            if connection is not None:
                self._active.add(connection)
        if connection is not None:
            connection.expect_within(timeout_s)
            try:
                return self._exchange(connection, request)
            except ConnectionLost as error:
                # The apiserver may have been restarted since this connection was used.
                # All our requests may be sent twice: a second create answers 409.
                if not isinstance(error.__cause__, _DEAD_CONNECTION):
                    raise
        return self._exchange(self.connect(timeout_s), request)

    def _exchange(self, connection: Connection, request: Request) -> JsonObject:
        reusable = False
        try:
            with self.start(connection, request) as response:
                answer = json.loads(response.read())
                reusable = not response.will_close
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ConnectionLost(f"{request}: {error!r}") from error
        finally:
            self.release(connection, reusable=reusable)
        if not isinstance(answer, dict):
            raise ApiError(200, "NotAnObject", f"{request}: {answer!r:.200}")
        return answer


def _target(path: str, params: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(params)}" if params else path
