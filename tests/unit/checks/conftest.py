"""Stories: histories for rules, told in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.checks.standing import judge_standing
from pytest_knav.history.merge import merge_diff
from pytest_knav.history.record import FAULT, HEARTBEAT, STEP, WATCH


if TYPE_CHECKING:
    from pytest_knav.checks.standing import Finding
    from pytest_knav.history import History

GPU = "nvidia.com/gpu"
RACK = "topology.kubernetes.io/rack"
UNREACHABLE = "node.kubernetes.io/unreachable"


class Story:
    """What happens on a cluster, step by step; times in seconds from its begin."""

    def __init__(self, seen: Any) -> None:
        self.seen = seen
        for kind in ("ResourceClaim", "ResourceSlice"):
            seen._add(0.0, "BEGIN", WATCH, kind, "", data={})

    @property
    def history(self) -> History:
        """Return what was told so far."""
        found: History = self.seen.history
        return found

    def submit(self, name: str = "w", expected: int = 1, **promise: Any) -> None:
        """Promise a workload; by default a Job."""
        data = {
            "namespace": "default",
            "labels": {"pytest-knav/workload": name},
            "expected": expected,
            "owner_kind": "Job",
            "owner_name": name,
            **promise,
        }
        self.seen._add(0.0, "SUBMIT", STEP, f"Job {name}", "", data=data)

    def node(self, at: float, name: str, *taints: str, **says: Any) -> None:
        """Say how a node is; a taint is `key:Effect`."""
        pairs = (taint.partition(":") for taint in taints)
        spec: dict[str, Any] = {
            "taints": [{"key": key, "effect": effect} for key, _, effect in pairs],
            "unschedulable": says.get("cordoned", False),
        }
        room = {"cpu": "64", "pods": "110", GPU: str(says.get("gpus", 8))}
        ready = {"type": "Ready", "status": str(says.get("ready", True))}
        metadata = {"name": name, "uid": f"node-{name}"}
        metadata["labels"] = {RACK: says.get("rack", "r1")}
        status = {"conditions": [ready], "allocatable": room}
        self._put(at, "Node", {"metadata": metadata, "spec": spec, "status": status})

    def pod(self, at: float, name: str, node: str | None = None, **says: Any) -> None:
        """Say how a pod is: `w-3-x` has index 3 of workload w."""
        phase = says.get("phase", "Running" if node else "Pending")
        parts = name.split("-")
        labels = {"pytest-knav/workload": says.get("workload", parts[0])}
        if len(parts) == 3:
            labels["batch.kubernetes.io/job-completion-index"] = parts[1]
        owner = {"uid": f"job-{parts[0]}", "controller": True}
        metadata: dict[str, Any] = {
            "name": name,
            "namespace": "default",
            "uid": name,
            "labels": labels,
            "ownerReferences": [owner],
        }
        if says.get("deleting"):
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        requests = {"cpu": "1", GPU: str(says.get("gpus", 8))}
        spec: dict[str, Any] = {
            "containers": [{"name": "c", "resources": {"requests": requests}}],
            "tolerations": list(says.get("tolerations", ())),
            "priority": says.get("priority", 0),
        }
        # The first volume is in every pod of a real cluster.
        token = {"name": "kube-api-access", "projected": {"sources": []}}
        spec["volumes"] = [token, *says.get("volumes", ())]
        if node:
            spec["nodeName"] = node
        conditions = [{"type": "Ready", "status": str(phase == "Running")}]
        if says.get("reason"):
            conditions += [
                {"type": "DisruptionTarget", "status": "True", "reason": says["reason"]}
            ]
        status = {"phase": phase, "conditions": conditions}
        self._put(at, "Pod", {"metadata": metadata, "spec": spec, "status": status})

    def start(self, at: float, name: str, node: str, **says: Any) -> None:
        """Let a pod wait, and be bound to a node a tenth of a second later."""
        self.pod(at, name, **says)
        self.pod(at + 0.1, name, node, **says)

    def job(self, at: float, name: str = "w", **says: Any) -> None:
        """Say how a Job is."""
        size = says.get("completions", 1)
        spec = {"completionMode": "Indexed", "completions": size, "parallelism": size}
        conditions = [{"type": t, "status": "True"} for t in says.get("conditions", ())]
        status = {"conditions": conditions, "failed": says.get("failed", 0)}
        metadata = {"name": name, "namespace": "default", "uid": f"job-{name}"}
        self._put(at, "Job", {"metadata": metadata, "spec": spec, "status": status})

    def claim(self, at: float, name: str, *gpus: str, **says: Any) -> None:
        """Say which devices of node n1 a claim has."""
        results = [
            {"driver": "gpu.nvidia.com", "pool": "n1", "device": gpu, "request": "r"}
            for gpu in gpus
        ]
        status = {"allocation": {"devices": {"results": results}}} if gpus else {}
        metadata = {"name": name, "namespace": "default", "uid": f"claim-{name}"}
        exactly = {"tolerations": list(says.get("tolerations", ()))}
        spec = {"devices": {"requests": [{"name": "r", "exactly": exactly}]}}
        claim = {"metadata": metadata, "spec": spec, "status": status}
        self._put(at, "ResourceClaim", claim)

    def slice_(self, at: float, **taints: str) -> None:
        """Say which taint each GPU of node n1 has: gpu_0="xid:NoSchedule"."""
        devices = []
        for name, taint in taints.items():
            key, _, effect = taint.partition(":")
            found = [{"key": key, "effect": effect}] if key else []
            devices.append({"name": name.replace("_", "-"), "taints": found})
        spec = {"driver": "gpu.nvidia.com", "pool": {"name": "n1"}, "devices": devices}
        metadata = {"name": "slice-n1", "uid": "slice-n1"}
        self._put(at, "ResourceSlice", {"metadata": metadata, "spec": spec})

    def gone(self, at: float, name: str, kind: str = "Pod") -> None:
        """Delete an object."""
        old = self.seen.objects.pop((kind, name))
        self._record(at, "DELETED", kind, old)

    def inject(
        self,
        at: float,
        *nodes: str,
        pods: tuple[str, ...] = (),
        kind: str = "component",
    ) -> None:
        """Break something; with neither nodes nor pods, the control plane."""
        data = {"nodes": list(nodes), "pods": list(pods), "started_s": at, "kind": kind}
        data["fault"] = {"fault": "NodeCrash"}
        self.seen._add(at, "INJECTING", FAULT, "f1", "", data=data)
        self.seen._add(at, "INJECTED", FAULT, "f1", "", data=data)

    def clear(self, at: float) -> None:
        """Mend it."""
        self.seen._add(at, "CLEARED", FAULT, "f1", "", data={})

    def component(self, at: float, verb: str) -> None:
        """Let something happen to kube-controller-manager: KILL, RESTART, ….."""
        self.seen._add(at, verb, STEP, "kube-controller-manager", "", data={})

    def late(self, at: float, lag_s: float) -> None:
        """Say that the recorder was late."""
        self.seen._add(at, "SAMPLE", HEARTBEAT, "lag", "", data={"lag_s": lag_s})

    def judge(
        self, name: str, limit: float | None = None, *, until: float | None = None
    ) -> Finding:
        """Return what one invariant says of it."""
        (found,) = judge_standing(self.history, {name: limit}, until_s=until)
        return found

    def status(self, name: str, limit: float | None = None, **rest: float) -> str:
        """Return the verdict of one invariant that was asked for by name."""
        return self.judge(name, limit, **rest).as_asked().status

    def _put(self, at: float, kind: str, new: dict[str, Any]) -> None:
        place = (kind, new["metadata"]["name"])
        old = self.seen.objects.get(place)
        self.seen.objects[place] = new
        if old is None:
            self._record(at, "ADDED", kind, new, data=new)
        else:
            self._record(at, "MODIFIED", kind, new, patch=merge_diff(old, new))

    def _record(self, at: float, verb: str, kind: str, what: Any, **rest: Any) -> None:
        metadata = what["metadata"]
        self.seen._add(at, verb, kind, metadata["name"], metadata["uid"], **rest)


@pytest.fixture
def story(seen: Any) -> Story:
    """Return a story that nothing has happened in."""
    return Story(seen)
