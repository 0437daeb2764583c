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
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qs, urlsplit


if TYPE_CHECKING:
    from pathlib import Path

JsonObject = dict[str, Any]
NODES: Final = "/api/v1/nodes"
PODS: Final = "/api/v1/pods"
_ACCESS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_LOOK_S: Final = 0.2
LEMONS: Final = 3
QUEUES: Final = 10


class Replay:
    """
    What the server holds, and how it is changed from outside.

    Attributes:
        events: The events that were posted.
        denied: Verbs that the user may not use.
        broken: Paths whose writes are answered with 503, and how often still.

    """

    def __init__(self, nodes: int = 0) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self._items: dict[str, dict[str, JsonObject]] = {NODES: {}, PODS: {}}
        self._log: dict[str, list[tuple[int, str, JsonObject]]] = {NODES: [], PODS: []}
        self.events: list[JsonObject] = []
        self.denied: set[str] = set()
        self.broken: dict[str, int] = {}
        self.ended = False
        self.watched = threading.Event()
        for number in range(nodes):
            self.add_node(f"node-{number:04d}")

    def add_node(self, name: str, boot: str = "first") -> None:
        """Add a node, or boot it again."""
        old = self._items[NODES].get(name, {"metadata": {}, "spec": {}})
        self._put(
            NODES,
            name,
            {
                "metadata": {**old["metadata"], "name": name, "uid": f"uid-{name}"},
                "spec": old["spec"],
                "status": {"nodeInfo": {"bootID": boot}},
            },
        )

    def finish_pod(
        self, name: str, node: str, *, good: bool, owner: str, at: str = ""
    ) -> None:
        """Let a pod end; `at` is when, as the API writes it, else now."""
        at = at or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ended = {"state": {"terminated": {"finishedAt": at}}}
        self._put(
            PODS,
            name,
            {
                "metadata": {
                    "name": name,
                    "namespace": "default",
                    "uid": f"uid-{name}",
                    "ownerReferences": [{"name": owner}],
                },
                "spec": {"nodeName": node},
                "status": {
                    "phase": "Succeeded" if good else "Failed",
                    "containerStatuses": [ended],
                },
            },
        )

    def node(self, name: str) -> JsonObject:
        """Return a node as it is."""
        with self._changed:
            found: JsonObject = json.loads(json.dumps(self._items[NODES][name]))
            return found

    def untaint(self, name: str) -> None:
        """Take every taint away, as an administrator would."""
        self._put(NODES, name, {**self.node(name), "spec": {}})

    def end(self) -> None:
        """Let every watch end."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def listed(self, path: str) -> JsonObject:
        """Return a list."""
        with self._changed:
            return {
                "metadata": {"resourceVersion": str(self._version)},
                "items": list(self._items[path].values()),
            }

    def after(self, path: str, version: int, start: int) -> tuple[list[bytes], int]:
        """Return changes from a place in the log on; waits a little for the first."""
        with self._changed:
            log = self._log[path]
            if len(log) == start:
                self._changed.wait(_LOOK_S)
            found = [
                json.dumps({"type": kind, "object": item}).encode() + b"\n"
                for at, kind, item in log[start:]
                if at > version
            ]
            return found, len(log)

    def patch(self, name: str, body: JsonObject, sub: str) -> tuple[int, JsonObject]:
        """Change a node as the API server would; return the status and the answer."""
        with self._changed:
            if self.broken.get(sub, 0) > 0:
                self.broken[sub] -= 1
                return 503, {"message": "broken"}
            node = json.loads(json.dumps(self._items[NODES][name]))
            wanted = body.get("metadata", {}).get("resourceVersion")
            if wanted not in {None, node["metadata"]["resourceVersion"]}:
                return 409, {"message": "changed meanwhile"}
            notes = node["metadata"].setdefault("annotations", {})
            for key, text in body.get("metadata", {}).get("annotations", {}).items():
                notes[key] = text
                if text is None:
                    del notes[key]
            if "spec" in body:
                node["spec"]["taints"] = body["spec"]["taints"] or []
            if "status" in body:
                node["status"]["conditions"] = body["status"]["conditions"]
            return 200, self._put(NODES, name, node)

    def answer(self, path: str, body: JsonObject) -> JsonObject:
        """Return the answer to a POST."""
        if path != _ACCESS:
            self.events.append(body)
            return body
        verb = body["spec"]["resourceAttributes"]["verb"]
        return {"status": {"allowed": verb not in self.denied}}

    def _put(self, path: str, name: str, item: JsonObject) -> JsonObject:
        with self._changed:
            self._version += 1
            item["metadata"]["resourceVersion"] = str(self._version)
            kind = "MODIFIED" if name in self._items[path] else "ADDED"
            self._items[path][name] = item
            self._log[path].append((self._version, kind, item))
            self._changed.notify_all()
            return item


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
        if "watch" in asked:
            self._watch(url.path, int(asked["resourceVersion"][0]))
        elif url.path in {NODES, PODS}:
            self._say(200, self.replay.listed(url.path))
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

    def _watch(self, path: str, version: int) -> None:
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
                lines, start = self.replay.after(path, version, start)
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
