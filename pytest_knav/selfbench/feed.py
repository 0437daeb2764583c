"""
An apiserver that only talks: lists that are empty, watches that say so much a second.

It runs as a process of its own (``python -m pytest_knav.selfbench.feed``), so that its
CPU is not the recorder's. What it says has the shape and the shares of 3,000 pods made
on 500 nodes: of 16 events nine are of pods, four of leases, and three are Events. There
is no TLS here, so a real cluster costs the recorder more for each event.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PODS_PATH: Final = "/api/v1/pods"
LEASES_PATH: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
EVENTS_PATH: Final = "/api/v1/events"
# How many of each there are in one turn.
TURN: Final = {PODS_PATH: 9, LEASES_PATH: 4, EVENTS_PATH: 3}
TURN_EVENTS: Final = sum(TURN.values())
_NODES: Final = 100
_BEGIN: Final = 1_000


def lines(path: str, turns: int) -> list[bytes]:
    """Return what the watch of a path says; revisions are shared by all of them."""
    first = {PODS_PATH: 0, LEASES_PATH: 9, EVENTS_PATH: 13}[path]
    tell = {PODS_PATH: _pod, LEASES_PATH: _lease, EVENTS_PATH: _event}[path]
    found: list[bytes] = []
    for turn in range(turns):
        for number in range(TURN[path]):
            revision = _BEGIN + 1 + turn * TURN_EVENTS + first + number
            verb, told = tell(turn * TURN[path] + number, revision)
            line = json.dumps({"type": verb, "object": told}, separators=(",", ":"))
            found.append(line.encode() + b"\n")
    return found


def serve(turns: int, seconds: float) -> None:
    """
    Serve until the process is ended; say on which port.

    Args:
        turns: How often each of `TURN` is said.
        seconds: How long that takes, once all watches are connected.

    """
    said = {path: lines(path, turns) for path in TURN}
    together = threading.Barrier(len(TURN))

    class Handler(_Handler):
        def watch(self, path: str) -> Iterator[bytes]:
            together.wait()
            begun = time.monotonic()
            each_s = seconds / len(said[path])
            pause = threading.Event()
            for number, line in enumerate(said[path]):
                pause.wait(max(0.0, begun + number * each_s - time.monotonic()))
                yield line
            pause.wait()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)  # noqa: T201 - whoever began it reads it
    server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    watch: Callable[[str], Iterator[bytes]]

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        """List or watch."""
        url = urlsplit(self.path)
        if "watch" in parse_qs(url.query):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for line in self.watch(url.path):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            return
        body = {"metadata": {"resourceVersion": str(_BEGIN)}, "items": []}
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _pod(number: int, revision: int) -> tuple[str, dict[str, Any]]:
    """Return a pod that is made, then bound, then runs."""
    pod, state = divmod(number, 3)
    name = f"pod-{pod:06d}"
    made: dict[str, Any] = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": _metadata(name, "default", revision, managers=1 + state),
        "spec": {
            "containers": [
                {
                    "name": "worker",
                    "image": "pytest-knav.invalid/worker",
                    "resources": {"limits": {"nvidia.com/gpu": "1"}},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                    "imagePullPolicy": "IfNotPresent",
                }
            ],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler",
            "priority": 0,
        },
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }
    if state >= 1:
        made["spec"]["nodeName"] = f"node-{pod % _NODES:04d}"
        made["status"]["conditions"] = [_condition("PodScheduled")]
    if state == 2:
        kinds = ("PodScheduled", "Initialized", "Ready", "ContainersReady")
        made["status"] |= {
            "phase": "Running",
            "conditions": [_condition(kind) for kind in kinds],
            "podIP": f"10.0.{pod // 250 % 250}.{pod % 250}",
            "containerStatuses": [{"name": "worker", "ready": True, "restartCount": 0}],
        }
    return "MODIFIED" if state else "ADDED", made


def _lease(number: int, revision: int) -> tuple[str, dict[str, Any]]:
    """Return the lease of a node, renewed."""
    turn, node = divmod(number, _NODES)
    moment = f"2026-01-01T00:{turn // 60 % 60:02d}:{turn % 60:02d}.000000Z"
    spec = {"leaseDurationSeconds": 40, "renewTime": moment}
    name = f"node-{node:04d}"
    return "MODIFIED" if turn else "ADDED", {
        "kind": "Lease",
        "apiVersion": "coordination.k8s.io/v1",
        "metadata": _metadata(name, "kube-node-lease", revision, managers=1),
        "spec": spec,
    }


def _event(number: int, revision: int) -> tuple[str, dict[str, Any]]:
    """Return what the scheduler says of a pod that it has bound."""
    name = f"pod-{number:06d}"
    return "ADDED", {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": _metadata(f"{name}.1", "default", revision, managers=1),
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": name},
        "reason": "Scheduled",
        "message": f"Successfully assigned default/{name} to node-0001",
        "eventTime": None,
        "type": "Normal",
    }


def _metadata(
    name: str, namespace: str, revision: int, *, managers: int
) -> dict[str, Any]:
    fields: dict[str, Any] = {
        f"f:field-{n}": {".": {}, "f:lastTransitionTime": {}} for n in range(9)
    }
    manager = {"manager": "kwok", "operation": "Update", "fieldsV1": fields}
    return {
        "name": name,
        "namespace": namespace,
        "uid": f"{namespace}-{name}",
        "resourceVersion": str(revision),
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app": name},
        "managedFields": [manager] * managers,
    }


def _condition(kind: str) -> dict[str, Any]:
    moment = "2026-01-01T00:00:00Z"
    return {
        "type": kind,
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": moment,
    }


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]))
