"""One HTTP server in this process that stands for every exporter of the cluster."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.metrics.gpu_series import GpuSeries
from pytest_knav.metrics.kube_series import KubeSeries
from pytest_knav.metrics.nic_series import NicSeries
from pytest_knav.metrics.text import CONTENT_TYPE


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_knav.history import History
    from pytest_knav.metrics.gpu_series import GpuLoad
    from pytest_knav.metrics.signals import GpuSignals
    from pytest_knav.topology import Topology

GPU_PATH: Final = "/gpus/metrics"
KUBE_PATH: Final = "/objects/metrics"
NIC_PATH: Final = "/nics/metrics"
_PATHS: Final = frozenset({GPU_PATH, KUBE_PATH, NIC_PATH})
_STOP_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """
    What is exported.

    Attributes:
        topology: The simulated machines.
        history: Returns what is recorded of the cluster, as it is now; None while
            nothing is.
        signals: What faults have done to its GPUs.
        load: How busy they are.
        served: Whether the exporter of a node is alive, given its Node object.

    """

    topology: Topology
    history: Callable[[], History | None]
    signals: GpuSignals
    load: GpuLoad
    served: Callable[[Mapping[str, Any]], bool]


class Exporter:
    """
    Serves the series of one cluster on loopback from `start` to `close`.

    Without a source it answers 503: no test is there that could be told something.

    Args:
        port: Where it listens; it must be free.

    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._lock = threading.Lock()
        self._pages: dict[str, Callable[[], str | None]] = {}
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen; harmless when repeated."""
        if self._server is not None:
            return
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.answer = self.page
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="knav-exporter",
            daemon=True,
        )
        self._thread.start()

    def serve(self, source: Source | None) -> None:
        """Export another cluster, or the same one anew, or none."""
        with self._lock:
            self._pages = {} if source is None else _pages(source)

    def page(self, path: str) -> str | None:
        """Return one page as it is now; None when there is no source."""
        with self._lock:
            write = self._pages.get(path)
            return None if write is None else write()

    def close(self) -> None:
        """Stop listening; harmless when repeated."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)


def _pages(source: Source) -> dict[str, Callable[[], str | None]]:
    gpus = GpuSeries(source.topology, source.signals, source.load, source.served)
    objects = KubeSeries()
    nics = NicSeries(source.topology, source.signals, source.served)

    def gpu_page() -> str | None:
        history = source.history()
        return None if history is None else gpus.text(history, time.monotonic())

    def kube_page() -> str | None:
        history = source.history()
        return None if history is None else objects.text(history)

    def nic_page() -> str | None:
        history = source.history()
        return None if history is None else nics.text(history)

    return {GPU_PATH: gpu_page, KUBE_PATH: kube_page, NIC_PATH: nic_page}


class _Server(ThreadingHTTPServer):
    """Knows where the pages come from."""

    daemon_threads = True
    # A socket that a killed run left in TIME_WAIT is no reason to refuse the port.
    allow_reuse_address = True
    answer: Callable[[str], str | None]

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - its types
        """Say nothing of a Prometheus that was killed while it read."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers Prometheus."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Answer with a page."""
        if self.path not in _PATHS:
            self.send_error(404)
            return
        text = self.server.answer(self.path)
        if text is None:
            self.send_error(503, "no test is running")
            return
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Say nothing: there is a request each second."""
