"""
Large histories made without a cluster: what judges and draws them is measured with one.

They are of a healthy scheduler: gangs come, run, end and make room for the next; nodes
crash, their pods are evicted and made again elsewhere. No promise is broken in them.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.history import Record
from pytest_knav.history.record import (
    ADDED,
    DELETED,
    FAULT,
    MODIFIED,
    STEP,
    WATCH,
)


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GPUS: Final = 8
MEMBERS: Final = 8
TEST: Final = "selfbench::a_long_day"
_KINDS: Final = ("Node", "Lease", "Job", "Pod", "Event")
_GPU: Final = "nvidia.com/gpu"
_WORKLOAD: Final = "pytest-knav/workload"
_UNREACHABLE: Final = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
# One change takes so long; the renewals of 1,000 leases in 10 s fill the rest.
_STEP_S: Final = 0.004
_RENEWAL_S: Final = 10.0
_LEASE_S: Final = 40
_CRASH_EVERY: Final = 200


def make_records(
    count: int = 1_000_000, *, nodes: int = 1_000, pods: int = 10_000, seed: int = 5
) -> Iterator[Record]:
    """
    Yield a history: that many records, in order, the same ones for the same seed.

    Args:
        count: How many records.
        nodes: How many nodes of eight GPUs.
        pods: How many pods at a time, in gangs of eight; as many have a GPU as there
            are GPUs on nine tenths of the nodes.
        seed: What is chosen comes from it.

    """
    return islice(_Day(nodes=nodes, pods=pods, seed=seed).records(), count)


@dataclass(slots=True, kw_only=True)
class _Pod:
    name: str
    uid: str
    job: str
    gpus: int
    node: str


@dataclass(slots=True, kw_only=True)
class _Job:
    name: str
    uid: str
    gpus: int
    pods: list[_Pod] = field(default_factory=list)


class _Day:
    """The cluster behind a made history."""

    def __init__(self, *, nodes: int, pods: int, seed: int) -> None:
        # Not for secrets: the same history each time.
        self._dice = random.Random(seed)  # noqa: S311
        self._nodes = [f"node-{number:05d}" for number in range(nodes)]
        self._free = dict.fromkeys(self._nodes, GPUS)
        self._room = deque(self._nodes)
        self._gangs = max(1, pods // MEMBERS)
        self._gpu_gangs = nodes * GPUS * 9 // 10 // MEMBERS
        self._running: deque[_Job] = deque()
        self._revision = 100
        self._now_s = 1_000.0
        self._renewed = 0
        self._made = 0
        self._faults = 0

    def records(self) -> Iterator[Record]:
        """Yield without end."""
        for kind in _KINDS:
            yield self._own("BEGIN", WATCH, kind, {"path": "", "objects": 0})
        yield self._own("BEGIN", STEP, TEST, {})
        for name in self._nodes:
            yield self._object(ADDED, "Node", name, _node(name))
            lease = {"spec": {"leaseDurationSeconds": _LEASE_S}}
            yield self._object(ADDED, "Lease", name, lease)
        for number in range(self._gangs):
            yield from self._begin(int(number < self._gpu_gangs))
        turn = 0
        while True:
            turn += 1
            job = self._running.popleft()
            yield from self._end(job)
            yield from self._begin(job.gpus)
            if turn % _CRASH_EVERY == 0:
                yield from self._crash()

    def _begin(self, gpus: int) -> Iterator[Record]:
        self._made += 1
        name = f"gang-{self._made:06d}"
        job = _Job(name=name, uid=f"Job-{name}", gpus=gpus)
        yield from self._change(ADDED, "Job", name, _job(), job.uid)
        for index in range(MEMBERS):
            job.pods.append(self._pod(job, index))
            yield from self._create(job.pods[index], index)
        for pod in job.pods:
            yield from self._bind(pod)
        for pod in job.pods:
            yield from self._run(pod)
        status = {"status": {"active": MEMBERS, "ready": MEMBERS}}
        yield from self._change(MODIFIED, "Job", name, status, job.uid)
        self._running.append(job)

    def _end(self, job: _Job) -> Iterator[Record]:
        for pod in job.pods:
            ready = {"type": "Ready", "status": "False", "reason": "PodCompleted"}
            done = {"phase": "Succeeded", "conditions": [_SCHEDULED, ready]}
            yield from self._change(MODIFIED, "Pod", pod.name, {"status": done})
            self._leave(pod)
        complete = {"type": "Complete", "status": "True"}
        status = {"active": 0, "succeeded": MEMBERS, "conditions": [complete]}
        yield from self._change(MODIFIED, "Job", job.name, {"status": status}, job.uid)
        for pod in job.pods:
            yield from self._change(DELETED, "Pod", pod.name, {})
        yield from self._change(DELETED, "Job", job.name, {}, job.uid)

    def _crash(self) -> Iterator[Record]:
        """One node is lost with what runs on it, and comes back."""
        self._faults += 1
        victim = self._dice.choice(self._nodes)
        fault, what = f"f{self._faults}", {"fault": "NodeCrash", "target": victim}
        data: dict[str, Any] = {"fault": what, "targets": [victim], "nodes": [victim]}
        data |= {"started_s": self._now_s, "started_revision": self._revision}
        yield self._own("INJECTING", FAULT, fault, data)
        yield self._own("INJECTED", FAULT, fault, data)
        self._now_s += 1.25 * _LEASE_S
        yield from self._change(MODIFIED, "Node", victim, _node_patch("Unknown"))
        seen = {"what": "signal", "evidence": "no lease of 1 nodes renewed"}
        yield self._own("OBSERVED", FAULT, fault, seen)
        lost = [(j, i, p) for j in self._running for i, p in enumerate(j.pods)]
        lost = [(job, i, pod) for job, i, pod in lost if pod.node == victim]
        room, self._free[victim] = self._free[victim], 0
        for job, index, pod in lost:
            yield from self._evict(pod)
            job.pods[index] = self._pod(job, index)
            yield from self._create(job.pods[index], index)
            yield from self._bind(job.pods[index])
            yield from self._run(job.pods[index])
        self._free[victim] = room + sum(pod.gpus for _, _, pod in lost)
        self._room.append(victim)
        yield self._own("CLEARING", FAULT, fault, {})
        yield from self._change(MODIFIED, "Node", victim, _node_patch("True"))
        yield self._own("CLEARED", FAULT, fault, {})

    def _pod(self, job: _Job, index: int) -> _Pod:
        self._made += 1
        name = f"{job.name}-{index}-{self._made:07d}"
        return _Pod(name=name, uid=f"Pod-{name}", job=job.name, gpus=job.gpus, node="")

    def _create(self, pod: _Pod, index: int) -> Iterator[Record]:
        yield from self._change(ADDED, "Pod", pod.name, _pod(pod, index))

    def _bind(self, pod: _Pod) -> Iterator[Record]:
        pod.node = self._place(pod.gpus)
        bound = {"spec": {"nodeName": pod.node}}
        conditions = {"conditions": [_SCHEDULED]}
        patch = {**bound, "status": conditions}
        yield from self._change(MODIFIED, "Pod", pod.name, patch)
        yield from self._event(pod, "Scheduled", f"assigned to {pod.node}", "Normal")

    def _run(self, pod: _Pod) -> Iterator[Record]:
        conditions = [_SCHEDULED, {"type": "Ready", "status": "True"}]
        status = {"phase": "Running", "conditions": conditions}
        yield from self._change(MODIFIED, "Pod", pod.name, {"status": status})

    def _evict(self, pod: _Pod) -> Iterator[Record]:
        why = {"type": "DisruptionTarget", "status": "True"}
        ready = {"type": "Ready", "status": "False"}
        patch = {
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"conditions": [_SCHEDULED, ready, why]},
        }
        yield from self._change(MODIFIED, "Pod", pod.name, patch)
        text = f"Marking for deletion Pod default/{pod.name}"
        yield from self._event(pod, "TaintManagerEviction", text, "Warning")
        yield from self._change(DELETED, "Pod", pod.name, {})

    def _place(self, gpus: int) -> str:
        """Return a node with room and take it; there always is one."""
        if not gpus:
            return self._dice.choice(self._nodes)
        while self._free[self._room[0]] < gpus:
            self._room.popleft()
        self._free[self._room[0]] -= gpus
        return self._room[0]

    def _leave(self, pod: _Pod) -> None:
        if pod.gpus:
            self._free[pod.node] += pod.gpus
            if self._free[pod.node] == pod.gpus:
                self._room.append(pod.node)

    def _event(self, pod: _Pod, reason: str, text: str, kind: str) -> Iterator[Record]:
        about = {"kind": "Pod", "namespace": "default", "name": pod.name}
        data = {
            "involvedObject": {**about, "uid": pod.uid},
            "reason": reason,
            "message": text,
            "type": kind,
        }
        yield from self._change(ADDED, "Event", f"{pod.name}.{self._revision}", data)

    def _change(
        self, verb: str, kind: str, name: str, what: dict[str, Any], uid: str = ""
    ) -> Iterator[Record]:
        """Yield a change, after the leases that were renewed before it."""
        self._now_s += _STEP_S
        while self._renewed * _RENEWAL_S < (self._now_s - 1_000) * len(self._nodes):
            name_of = self._nodes[self._renewed % len(self._nodes)]
            self._renewed += 1
            patch = {"spec": {"renewTime": f"{self._now_s:.6f}"}}
            yield self._object(MODIFIED, "Lease", name_of, patch)
        yield self._object(verb, kind, name, what, uid)

    def _object(
        self, verb: str, kind: str, name: str, what: dict[str, Any], uid: str = ""
    ) -> Record:
        self._revision += 1
        uid = uid or f"{kind}-{name}"
        if verb == ADDED:
            metadata = {"name": name, "uid": uid, **what.pop("metadata", {})}
            what = {"metadata": metadata, **what}
        return Record(
            revision=self._revision, monotonic=round(self._now_s, 6),
            wall=1.8e9 + self._now_s, verb=verb, kind=kind,
            namespace="" if kind == "Node" else "default", name=name, uid=uid,
            data=what if verb == ADDED else None,
            patch=what if verb == MODIFIED else None,
        )  # fmt: skip

    def _own(self, verb: str, kind: str, name: str, data: Mapping[str, Any]) -> Record:
        return Record(
            revision=self._revision, monotonic=round(self._now_s, 6),
            wall=1.8e9 + self._now_s, verb=verb, kind=kind, namespace="", name=name,
            uid="", data=data or None,
        )  # fmt: skip


_SCHEDULED: Final = {"type": "PodScheduled", "status": "True"}


def _node(name: str) -> dict[str, Any]:
    amounts = {"cpu": "192", "memory": "2Ti", "pods": "110", _GPU: str(GPUS)}
    status = {"capacity": amounts, "allocatable": amounts, **_ready("True")}
    labels = {"kubernetes.io/hostname": name}
    return {"metadata": {"labels": labels}, "spec": {}, "status": status}


def _ready(status: str) -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": status}]}


def _node_patch(status: str) -> dict[str, Any]:
    """Return what the node controller writes; no taint is a removed field."""
    taints = None if status == "True" else [_UNREACHABLE]
    return {"spec": {"taints": taints}, "status": _ready(status)}


def _job() -> dict[str, Any]:
    sizes = {"parallelism": MEMBERS, "completions": MEMBERS}
    return {"spec": {**sizes, "completionMode": "Indexed"}, "status": {}}


def _pod(pod: _Pod, index: int) -> dict[str, Any]:
    amounts = {"cpu": "1", "memory": "1Gi"} | ({_GPU: "1"} if pod.gpus else {})
    owner = {"kind": "Job", "name": pod.job, "uid": f"Job-{pod.job}"}
    return {
        "metadata": {
            "namespace": "default",
            "labels": {
                _WORKLOAD: pod.job,
                "batch.kubernetes.io/job-completion-index": str(index),
            },
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": {
            "containers": [{"name": "worker", "resources": {"requests": amounts}}],
            "tolerations": [{**_UNREACHABLE, "operator": "Exists"}],
        },
        "status": {"phase": "Pending"},
    }
