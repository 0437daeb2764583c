"""What a request through a link meets: the effect of a fault, measured."""

from __future__ import annotations

import http.client
import math
import ssl
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane.network.links import APISERVER


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_knav.control_plane.network.links import Link
    from pytest_knav.control_plane.network.network import Network

# Loopback answers within milliseconds; a busy machine within a second.
SILENCE_S: Final = 1.0
ANSWER_S: Final = 5.0
# What a handshake and a request need at most.
_ROUND_TRIPS: Final = 6
# What to read to measure a rate: 110 kB, or 430 kB where the rate in kB/s is higher
# than a limit; etcd's metrics are 170 kB. All of it, because a client that leaves in
# the middle of an answer can hold toxiproxy up by 10 s when it takes the toxic out
# (link.go, RemoveToxic and WriteOutput).
_SHORT: Final = "/openapi/v3/apis/coordination.k8s.io/v1"
_LONG: Final = "/openapi/v3/apis/batch/v1"
_LONG_ABOVE_KB_PER_S: Final = 1_000
_PIECE_BYTES: Final = 2**14
# How sure it is that a fault which hurts a share of all requests hurts one of these.
_MISSED: Final = 1e-6
_LOST: Final = (ConnectionError, ssl.SSLError, http.client.HTTPException)
_NOBODY: Final = "pytest-knav-probe"
_METHODS: Final = {
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What came of one request.

    Attributes:
        status: Of HTTP.
        seconds: From the request to the end of the answer.
        body_s: From the first piece of the body to the last.
        size: Of the body without its first piece, in bytes.

    """

    status: int
    seconds: float
    body_s: float
    size: int


class Line:
    """
    One connection through a link, as its client would open it.

    Args:
        network: The proxies.
        link: Which of them.
        timeout_s: How long each silence may be.

    """

    def __init__(self, network: Network, link: Link, timeout_s: float) -> None:
        port = network.port(link)
        self._connection: http.client.HTTPConnection
        if link.server == APISERVER:
            endpoint = network.endpoint
            tls = ssl.create_default_context(cafile=endpoint.ca_file)
            tls.load_cert_chain(endpoint.cert_file, endpoint.key_file)
            self._connection = http.client.HTTPSConnection(
                "127.0.0.1", port, timeout=timeout_s, context=tls
            )
        else:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", port, timeout=timeout_s
            )
        self._path = "/livez" if link.server == APISERVER else "/health"

    def connect(self) -> None:
        """Open it; raises OSError."""
        self._connection.connect()

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def ask(self, method: str = "GET", path: str = "") -> Answer:
        """Return what a request meets; raises OSError or HTTPException."""
        body = "{}" if method in {"POST", "PUT", "PATCH"} else None
        headers = {"Content-Type": _CONTENT[method]} if body else {}
        began_s = time.monotonic()
        self._connection.request(method, path or self._path, body, headers)
        answer = self._connection.getresponse()
        answer.read1(_PIECE_BYTES)
        body_began_s = time.monotonic()
        size = len(answer.read())
        now_s = time.monotonic()
        return Answer(
            status=answer.status,
            seconds=now_s - began_s,
            body_s=now_s - body_began_s,
            size=size,
        )


_CONTENT: Final = {
    "POST": "application/json",
    "PUT": "application/json",
    "PATCH": "application/merge-patch+json",
}


def answers(network: Network, link: Link) -> bool:
    """Return whether the server of a link answers well through it."""
    with closing(Line(network, link, ANSWER_S)) as line:
        try:
            return line.ask().status == 200
        except (OSError, http.client.HTTPException):
            return False


def is_late(network: Network, link: Link, attributes: Mapping[str, int]) -> bool:
    """Return whether an answer takes as long as two delays, less their jitter."""
    late_s = 2 * attributes["latency"] / 1000
    least_s = 2 * (attributes["latency"] - attributes["jitter"]) / 1000
    with closing(Line(network, link, ANSWER_S + _ROUND_TRIPS * late_s)) as line:
        try:
            line.connect()
            took_s = line.ask().seconds
        except (OSError, http.client.HTTPException):
            return False
    network.evidence[link.name] = f"{link.name} answers after {took_s * 1000:.0f} ms"
    # A timer may fire a little early where clocks are rounded.
    return took_s >= 0.95 * least_s


def is_narrow(network: Network, link: Link, attributes: Mapping[str, int]) -> bool:
    """Return whether an answer comes no faster than twice the rate."""
    rate = attributes["rate"]
    document = _LONG if rate > _LONG_ABOVE_KB_PER_S else _SHORT
    with closing(Line(network, link, ANSWER_S)) as line:
        try:
            found = line.ask(path=document if link.speaks_http else "/metrics")
        except (OSError, http.client.HTTPException):
            return False
    measured = found.size / 1000 / found.body_s if found.size else math.inf
    network.evidence[link.name] = f"{link.name} gives {measured:.0f} kB/s"
    return measured <= 2 * rate


def is_silent(network: Network, link: Link, _: Mapping[str, int]) -> bool:
    """Return whether a request gets no answer at all, though it connects."""
    with closing(Line(network, link, SILENCE_S)) as line:
        try:
            line.ask()
        except TimeoutError:
            network.evidence[link.name] = (
                f"{link.name} does not answer within {SILENCE_S:g}s"
            )
            return True
        except (OSError, http.client.HTTPException):
            return False
    return False


def is_reset(network: Network, link: Link, _: Mapping[str, int]) -> bool:
    """Return whether a new connection is broken off."""
    with closing(Line(network, link, ANSWER_S)) as line:
        try:
            line.ask()
        except TimeoutError:
            return False
        except _LOST as error:
            network.evidence[link.name] = f"{link.name}: {type(error).__name__}"
            return True
    return False


def refuses(network: Network, link: Link, rule: Mapping[str, Any]) -> bool:
    """Return whether a request that a rule is about gets its error."""
    share = rule["share"]
    tries = 1 if share >= 1 else math.ceil(math.log(_MISSED) / math.log(1 - share))
    requests = list(_harmless(rule))
    with closing(Line(network, link, ANSWER_S)) as line:
        try:
            for number in range(1, tries + 1):
                # Each kind of request in turn: one of them is hurt soon.
                method, path = requests[number % len(requests)]
                if line.ask(method, path).status == rule["status"]:
                    network.evidence[link.name] = (
                        f"{link.name} answers {method} {path} with {rule['status']}"
                    )
                    return True
        except (OSError, http.client.HTTPException):
            return False
    return False


def _harmless(rule: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield requests that a rule is about and that change nothing where they pass."""
    for pattern in rule["resources"] or ["pods"]:
        resource, _, rest = pattern.replace("*", "").partition("/")
        collection = f"/api/v1/namespaces/default/{resource or 'pods'}"
        one = f"{collection}/{_NOBODY}" + (f"/{rest}" if rest else "")
        for verb in rule["verbs"] or ["get"]:
            method = _METHODS.get(verb, "GET")
            whole = verb in {"list", "watch", "deletecollection", "create"}
            path = collection if whole and not rest else one
            query = "" if method == "GET" else "?dryRun=All"
            if verb == "watch":
                query = "?watch=1&timeoutSeconds=1"
            elif verb == "deletecollection":
                query = f"?dryRun=All&fieldSelector=metadata.name%3D{_NOBODY}"
            yield method, path + query
