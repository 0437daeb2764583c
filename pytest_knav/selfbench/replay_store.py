"""What a replayed API server holds: nodes, pods, and every change of them."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any, Final


JsonObject = dict[str, Any]
NODES: Final = "/api/v1/nodes"
PODS: Final = "/api/v1/pods"
_ACCESS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_LOOK_S: Final = 0.2


class Replay:
    """
    What the server holds, and how it is changed from outside.

    Attributes:
        events: The events that were posted.
        denied: Verbs that the user may not use.
        broken: Paths whose writes are answered with 503, and how often still.
        stale: Whether watches hold back what is new, as an old cache does.

    """

    def __init__(self, nodes: int = 0) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self._items: dict[str, dict[str, JsonObject]] = {NODES: {}, PODS: {}}
        self._log: dict[str, list[tuple[int, str, JsonObject]]] = {NODES: [], PODS: []}
        self.events: list[JsonObject] = []
        self.denied: set[str] = set()
        self.broken: dict[str, int] = {}
        self.stale = False
        self.ended = False
        self.watched = threading.Event()
        for number in range(nodes):
            self.add_node(f"node-{number:04d}")

    def add_node(self, name: str, boot: str = "first", **labels: str) -> None:
        """Add a node, or boot it again."""
        old = self._items[NODES].get(name, {"metadata": {}, "spec": {}})
        self._put(
            NODES,
            name,
            {
                "metadata": {
                    **old["metadata"],
                    "name": name,
                    "uid": f"uid-{name}",
                    "labels": labels or old["metadata"].get("labels", {}),
                },
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
                "spec": {"nodeName": node, "restartPolicy": "Never"},
                "status": {
                    "phase": "Succeeded" if good else "Failed",
                    "containerStatuses": [ended],
                },
            },
        )

    def run_pod(self, name: str, node: str, *, restarts: int, owner: str) -> None:
        """Let a pod run, whose container has failed and was restarted so often."""
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        last = {"terminated": {"exitCode": 1, "finishedAt": at}}
        container = {"name": "main", "restartCount": restarts}
        metadata = {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "ownerReferences": [{"name": owner}],
        }
        self._put(
            PODS,
            name,
            {
                "metadata": metadata,
                "spec": {"nodeName": node, "restartPolicy": "Always"},
                "status": {
                    "phase": "Running",
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "containerStatuses": [
                        container | ({"lastState": last} if restarts else {})
                    ],
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

    def listed(self, path: str, selector: str = "", labels: str = "") -> JsonObject:
        """Return a list; of labels one equality is understood."""
        key, _, value = labels.partition("=")
        with self._changed:
            items = [
                i
                for i in self._items[path].values()
                if _fits(i, selector)
                and (not key or i["metadata"].get("labels", {}).get(key) == value)
            ]
            return {
                "metadata": {"resourceVersion": str(self._version)},
                "items": items,
            }

    def after(
        self, path: str, version: int, start: int, selector: str = ""
    ) -> tuple[list[bytes], int]:
        """Return changes from a place in the log on; waits a little for the first."""
        with self._changed:
            log = self._log[path]
            if len(log) == start or self.stale:
                self._changed.wait(_LOOK_S)
            if self.stale:
                return [], start
            found = [
                json.dumps({"type": kind, "object": item}).encode() + b"\n"
                for at, kind, item in log[start:]
                if at > version and _fits(item, selector)
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


def _fits(item: JsonObject, selector: str) -> bool:
    """Return whether a field selector of inequalities lets an object through."""
    for term in filter(None, selector.split(",")):
        path, value = term.split("!=")
        found: object = item
        for key in path.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        if found == value:
            return False
    return True
