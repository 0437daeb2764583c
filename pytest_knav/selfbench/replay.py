"""
A small API server of nodes and finished pods on loopback: lists, watches, writes.

It runs as a process of its own (``python -m pytest_knav.selfbench.replay``), so that
its CPU is not the controller's, or in a thread of a test.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qs, urlsplit

from pytest_knav.selfbench.replay_store import NODES, PODS, JsonObject, Replay


if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NODES", "PODS", "Replay", "ReplayServer", "serve", "write_kubeconfig"]

LEMONS: Final = 3
QUEUES: Final = 10


class ReplayServer:
    """
    Serves a replay on loopback while a block lasts.

    Args:
        replay: What it holds.
        port: Where; 0 for a free one.

    """

    def __init__(self, replay: Replay, port: int = 0) -> None:
        self.replay = replay
        handler = type("Handler", (_Handler,), {"replay": replay})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.replay.end()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here, and return it."""
        return write_kubeconfig(path, self.port)


def write_kubeconfig(path: Path, port: int) -> Path:
    """Write a kubeconfig that leads to a port of loopback, and return its path."""
    cluster = {"server": f"http://127.0.0.1:{port}"}
    context = {"cluster": "replay", "user": "me"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "replay",
        "contexts": [{"name": "replay", "context": context}],
        "clusters": [{"name": "replay", "cluster": cluster}],
        "users": [{"name": "me", "user": {}}],
    }
    path.write_text(json.dumps(config))
    return path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    replay: Replay

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = parse_qs(url.query)
        selector = asked.get("fieldSelector", [""])[0]
        if "watch" in asked:
            self._watch(url.path, int(asked["resourceVersion"][0]), selector)
        elif url.path in {NODES, PODS}:
            labels = asked.get("labelSelector", [""])[0]
            self._say(200, self.replay.listed(url.path, selector, labels))
        else:
            self._say(200, self.replay.node(url.path.rpartition("/")[2]))

    def do_POST(self) -> None:
        self._say(201, self.replay.answer(self.path, self._body()))

    def do_PATCH(self) -> None:
        name, _, sub = self.path.removeprefix(f"{NODES}/").partition("/")
        self._say(*self.replay.patch(name, self._body(), sub))

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - its name
        """Say nothing."""

    def _body(self) -> JsonObject:
        size = int(self.headers["Content-Length"])
        found: JsonObject = json.loads(self.rfile.read(size))
        return found

    def _say(self, status: int, body: JsonObject) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _watch(self, path: str, version: int, selector: str) -> None:
        self.send_response(200)
        # In chunks, as the API server sends it, so that each is read as it comes.
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        start = 0
        if path == PODS:
            self.replay.watched.set()
        self.close_connection = True
        try:
            while not self.replay.ended:
                lines, start = self.replay.after(path, version, start, selector)
                if lines:
                    data = b"".join(lines)
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            # The client has gone.
            return


def serve(nodes: int, per_s: int, seconds: float) -> None:
    """Serve until the process is ended; pods finish once somebody watches them."""
    replay = Replay(nodes)
    with ReplayServer(replay) as server:
        print(server.port, flush=True)  # noqa: T201 - for whoever started it
        replay.watched.wait()
        begun_s = time.monotonic()
        for number in range(int(per_s * seconds)):
            time.sleep(max(0.0, begun_s + number / per_s - time.monotonic()))
            node = f"node-{number * 7 % nodes:04d}"
            # The first three nodes are lemons, and one pod in a hundred fails anyway.
            good = number * 7 % nodes >= LEMONS and number % 100 != 0
            owner = f"team-{'abcdefghij'[number % QUEUES]}"
            replay.finish_pod(f"pod-{number}", node, good=good, owner=owner)
        threading.Event().wait()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
