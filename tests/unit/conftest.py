"""Histories made by hand: a few lines say what was seen, in seconds and revisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.checks.following import FaultSpan
from pytest_knav.history import History, Record
from pytest_knav.history.merge import merge_diff
from pytest_knav.history.record import FAULT, GAP, WATCH


if TYPE_CHECKING:
    from collections.abc import Collection

KINDS = ("Pod", "Node", "Job", "Deployment")
NAMESPACES = {"Pod": "default", "Job": "default", "Lease": "kube-node-lease"}


class HistoryBuilder:
    """Adds records in order; each call is one revision later than the one before."""

    def __init__(self) -> None:
        self.history = History()
        self.revision = 1
        self.objects: dict[str, dict[str, Any]] = {}
        for kind in KINDS:
            self._add(0.0, "BEGIN", WATCH, kind, "", data={})

    def pod(
        self,
        at: float,
        name: str,
        *,
        node: str | None = None,
        phase: str = "Running",
        ready: bool | None = None,
        terminating: bool = False,
        unschedulable: bool = False,
        workload: str = "w",
    ) -> None:
        """Say how a pod is from now on; `w-3-x` has index 3."""
        ready = phase == "Running" if ready is None else ready
        scheduled = "False" if unschedulable else str(node is not None)
        metadata: dict[str, Any] = {
            "name": name,
            "namespace": "default",
            "uid": name,
            "creationTimestamp": f"2026-01-01T00:00:{self._first(name):02d}Z",
            "labels": {"pytest-knav/workload": workload},
        }
        parts = name.split("-")
        if len(parts) == 3:
            metadata["labels"]["batch.kubernetes.io/job-completion-index"] = parts[1]
        if terminating:
            metadata["deletionTimestamp"] = "2026-01-01T00:01:00Z"
        conditions = [
            {"type": "PodScheduled", "status": scheduled},
            {"type": "Ready", "status": str(ready)},
        ]
        spec = {"nodeName": node} if node else {}
        status = {"phase": phase, "conditions": conditions}
        self._put(at, "Pod", {"metadata": metadata, "spec": spec, "status": status})

    def node(self, at: float, name: str, ready: str = "True", *taints: str) -> None:
        """Say how a node is from now on."""
        spec = {"taints": [{"key": t, "effect": "NoExecute"} for t in taints]}
        status = {"conditions": [{"type": "Ready", "status": ready}]}
        metadata = {"name": name, "uid": f"node-{name}"}
        self._put(at, "Node", {"metadata": metadata, "spec": spec, "status": status})

    def gone(self, at: float, name: str, kind: str = "Pod") -> None:
        """Delete an object."""
        del self.objects[name]
        self._add(at, "DELETED", kind, name, name)

    def inject(self, at: float, *nodes: str) -> FaultSpan:
        """Break nodes and return the fault."""
        self._add(at, "INJECTED", FAULT, "f1", "", data={"nodes": list(nodes)})
        return FaultSpan(
            name="NodeCrash",
            id="f1",
            started_revision=self.revision - 1,
            started_s=at,
            nodes=frozenset(nodes),
        )

    def span(
        self, at: float, pods: Collection[str] = (), revision: int | None = None
    ) -> FaultSpan:
        """Return a fault that hits pods; by default it began with the last record."""
        return FaultSpan(
            name="NicDown",
            id="f1",
            started_revision=self.revision - 1 if revision is None else revision,
            started_s=at,
            nodes=frozenset(),
            pods=frozenset(pods),
        )

    def clear(self, at: float) -> None:
        """Mend what was broken."""
        self._add(at, "CLEARED", FAULT, "f1", "", data={})

    def gap(self, at: float, kind: str) -> None:
        """Say that changes of a kind may have been missed just now."""
        data = {
            "from": self.revision - 1,
            "to": self.revision,
            "from_monotonic": at,
            "reason": "410",
        }
        self._add(at, "GAP", GAP, kind, "", data=data)

    def _first(self, name: str) -> int:
        known = self.objects.get(name)
        if known is None:
            return self.revision
        stamp: str = known["metadata"]["creationTimestamp"]
        return int(stamp[17:19])

    def _put(self, at: float, kind: str, new: dict[str, Any]) -> None:
        name = new["metadata"]["name"]
        old = self.objects.get(name)
        self.objects[name] = new
        uid = new["metadata"]["uid"]
        if old is None:
            self._add(at, "ADDED", kind, name, uid, data=new)
        else:
            self._add(at, "MODIFIED", kind, name, uid, patch=merge_diff(old, new))

    def _add(  # noqa: PLR0917 - one line a record
        self,
        at: float,
        verb: str,
        kind: str,
        name: str,
        uid: str,
        data: Any = None,
        patch: Any = None,
    ) -> None:
        self.history.add(
            Record(
                revision=self.revision,
                monotonic=at,
                wall=at,
                verb=verb,
                kind=kind,
                namespace=NAMESPACES.get(kind, ""),
                name=name,
                uid=uid,
                data=data,
                patch=patch,
            )
        )
        self.revision += 1


@pytest.fixture
def seen() -> HistoryBuilder:
    """Return an empty history to add to."""
    return HistoryBuilder()
