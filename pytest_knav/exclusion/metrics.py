"""What the controller says of itself to Prometheus."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.metrics.text import CONTENT_TYPE, Family, labels


if TYPE_CHECKING:
    from pytest_knav.exclusion.controller import Controller

_P_NODE: Final = Family(
    "knav_exclusion_node_failure_probability",
    "gauge",
    "Probability that a pod fails because of its node.",
)
_OUT: Final = Family("knav_exclusion_node_excluded", "gauge", "1 while it is out.")
_P_QUEUE: Final = Family(
    "knav_exclusion_queue_failure_probability",
    "gauge",
    "Probability that a pod fails because of its queue.",
)
_DECISIONS: Final = Family(
    "knav_exclusion_decisions_total", "counter", "Decisions by what they were."
)
_BREAKER: Final = Family(
    "knav_exclusion_breaker_open", "gauge", "1 while nothing more is excluded."
)
_SAMPLES: Final = Family(
    "knav_exclusion_samples_total", "counter", "Pods that have been reckoned with."
)
VERBS: Final = ("exclude", "readmit", "refuse", "clear", "trust")
_PATH: Final = "/metrics"


def page(controller: Controller) -> str:
    """Return the controller's metrics in Prometheus' text format."""
    with controller.lock:
        return _page(controller)


def _page(controller: Controller) -> str:
    now_s = controller.now_s()
    out = set(controller.policy.excluded)
    lines = [_P_NODE.head]
    for node in sorted(controller.policy.nodes):
        view = controller.estimator.view(node, now_s)
        lines.append(_line(_P_NODE, view.failure, ("node", node)))
    lines.append(_OUT.head)
    lines += [
        _line(_OUT, float(node in out), ("node", node))
        for node in sorted(controller.policy.nodes)
    ]
    lines.append(_P_QUEUE.head)
    for name in controller.queues():
        failure = controller.estimator.queue_failure(name, now_s)
        lines.append(_line(_P_QUEUE, failure, ("queue", name)))
    lines.append(_DECISIONS.head)
    for verb in VERBS:
        lines.append(_line(_DECISIONS, controller.counts[verb], ("verb", verb)))
    is_open = controller.policy.breaker_open(now_s)
    lines += [_BREAKER.head, _line(_BREAKER, float(is_open))]
    lines += [_SAMPLES.head, _line(_SAMPLES, controller.samples)]
    return "".join(lines)


class MetricsServer:
    """
    Serves a controller's metrics on loopback; `/healthz` says that it works.

    Args:
        controller: Whose.
        port: Where; 0 for a free one.

    Raises:
        BadInput: Somebody else listens there.

    """

    def __init__(self, controller: Controller, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = page(controller) if self.path == _PATH else "ok\n"
                data = body.encode()
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *_: object) -> None:  # noqa: A002
                """Say nothing."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError as error:
            raise BadInput(f"--metrics-port={port}: {error.strerror}") from error
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _line(family: Family, value: float, *pairs: tuple[str, str]) -> str:
    inside = f"{{{labels(*pairs)}}}" if pairs else ""
    return f"{family.name}{inside} {value:.6g}\n"
