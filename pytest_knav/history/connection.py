"""
A connection to an apiserver that another thread may end at any moment.

The official client is not used here: its pydantic models cost ten times the time of raw
JSON, its watch raises KeyError on an ERROR event (410 Gone), and neither it nor urllib3
lets another thread end a TLS handshake or a wait for headers. Plain `http.client` does
all of it in a few lines, because the socket stays in our hands.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import HarnessError


if TYPE_CHECKING:
    from pathlib import Path

    from pytest_knav.history.merge import JsonObject

CONNECT_TIMEOUT_S: Final = 3.0
JSON: Final = "application/json"


class ApiError(HarnessError):
    """The apiserver answered with an error."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class ConnectionLost(HarnessError):
    """The apiserver did not answer, or stopped in the middle of an answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the apiserver."""

    method: str
    target: str
    body: JsonObject | None = None
    accept: str = JSON
    content_type: str = JSON

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


class Connection(http.client.HTTPConnection):
    """A connection whose socket another thread may shut at any moment."""

    def __init__(
        self, address: tuple[str, int], tls: ssl.SSLContext | None, timeout_s: float
    ) -> None:
        super().__init__(*address, timeout=timeout_s)
        self._timeout_s = timeout_s
        self._tls = tls
        self._lock = threading.Lock()
        self._wire: socket.socket | None = None
        self._interrupted = False
        self._poll: select.poll | None = None

    def connect(self) -> None:
        """Connect and shake hands within `CONNECT_TIMEOUT_S`."""
        timeout_s = min(CONNECT_TIMEOUT_S, self._timeout_s)
        sock = socket.create_connection((self.host, self.port), timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            # The handshake comes later, so that it can be interrupted as well.
            sock = self._tls.wrap_socket(
                sock, server_hostname=self.host, do_handshake_on_connect=False
            )
        self.sock = sock
        with self._lock:
            self._wire = sock
            if self._interrupted:
                raise ConnectionAbortedError("interrupted")
        if isinstance(sock, ssl.SSLSocket):
            sock.do_handshake()
        sock.settimeout(self._timeout_s)

    def expect_within(self, timeout_s: float) -> None:
        """Set how long the server may be silent."""
        self._timeout_s = timeout_s
        if self.sock is not None:
            self.sock.settimeout(timeout_s)

    def more(self) -> bool:
        """Return whether something has come that was not read yet."""
        wire = self._wire
        if wire is None:
            return False
        if isinstance(wire, ssl.SSLSocket) and wire.pending():
            return True
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(wire, select.POLLIN)
        return bool(self._poll.poll(0))

    def interrupt(self) -> None:
        """Make every wait on this connection end now."""
        with self._lock:
            self._interrupted = True
            if self._wire is None:
                return
            # SSLSocket.shutdown would take the TLS state away from the thread that is
            # reading, so the plain one is called. A socket that is closed already, or
            # was never connected, refuses, and nobody waits on it.
            with suppress(OSError):
                socket.socket.shutdown(self._wire, socket.SHUT_RDWR)


def tls_context(
    ca_file: Path | None, cert_file: Path | None, key_file: Path | None
) -> ssl.SSLContext:
    """Return what a TLS connection needs; raises `HarnessError` for bad files."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if cert_file is not None:
            context.load_cert_chain(cert_file, key_file)
    except (OSError, ssl.SSLError) as error:
        raise HarnessError(
            f"certificates {ca_file}, {cert_file}, {key_file} cannot be used: {error}"
        ) from error
    return context


def api_error(response: http.client.HTTPResponse) -> ApiError:
    """Return the error that an answer states."""
    content = response.read()
    try:
        status = json.loads(content)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        status = {"message": content[:500].decode(errors="replace").strip()}
    return ApiError(
        response.status,
        str(status.get("reason", response.reason)),
        str(status.get("message", "")),
    )
