"""What state each pod was in when, on the lane of its workload's member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_knav.reports.timeline.model import (
    BOUND,
    FAILED,
    NOBODY,
    PENDING,
    RUNNING,
    SUCCEEDED,
    TERMINATING,
    UNREADY,
    Columns,
)


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_knav.reports.timeline.gpu_lanes import GpuLanes

    Object = Mapping[str, Any]

_OVER: Final = {"Succeeded": SUCCEEDED, "Failed": FAILED}
_INDEX: Final = "batch.kubernetes.io/job-completion-index"


class PodLanes:
    """The pods of a cluster, each on the first free lane of its workload."""

    def __init__(self, gpus: GpuLanes) -> None:
        self.names: list[str] = []
        self.workloads: list[str] = []
        self.spans = Columns(
            ("workload", "member", "start", "end", "state", "pod", "node")
        )
        # How many have no node yet, and how many there are that are not over.
        self.counts = (0, 0)
        self._gpus = gpus
        self._numbers: dict[str, int] = {}
        self._free: list[set[int]] = []
        self._members: list[int] = []
        self._pods: dict[str, _Pod] = {}

    def members(self) -> list[int]:
        """Return how many lanes each workload has."""
        return self._members

    def see(
        self, uid: str, seen: Object, owner: str, at: int, node_of: Callable[[str], int]
    ) -> None:
        """Take in a whole pod."""
        pod = self._pods.get(uid)
        if pod is None:
            pod = self._pods[uid] = _Pod(len(self.names), self._workload(owner), seen)
            self.names.append(seen["metadata"]["name"])
            pod.member = self._take(pod.workload, seen)
            pod.since = at
        else:
            pod.node_name, pod.phase, pod.ready, pod.going = "", "", False, False
        self._follow(uid, pod, seen, at, node_of)

    def change(
        self, uid: str, patch: Object, at: int, node_of: Callable[[str], int]
    ) -> None:
        """Take in what changed of a pod; one never seen whole is not shown."""
        pod = self._pods.get(uid)
        if pod is not None:
            self._follow(uid, pod, patch, at, node_of)

    def drop(self, uid: str, at: int) -> None:
        """Hear that a pod is gone."""
        pod = self._pods.pop(uid, None)
        if pod is not None:
            self._count(pod.state, -1)
            self._close(pod, at)
            self._free[pod.workload].add(pod.member)
            self._gpus.release(uid, at)

    def finish(self, at: int) -> None:
        """End what lasts."""
        for uid in list(self._pods):
            self.drop(uid, at)

    def _follow(
        self, uid: str, pod: _Pod, what: Object, at: int, node_of: Callable[[str], int]
    ) -> None:
        state = pod.follow(what)
        if state == pod.state:
            return
        if pod.state >= 0:
            self._close(pod, at)
        if pod.node_name and not pod.bound:
            pod.node, name = node_of(pod.node_name), pod.node_name
            pod.seen = {**pod.seen, "spec": {**pod.seen["spec"], "nodeName": name}}
        self._count(pod.state, -1)
        self._count(state, 1)
        pod.state, pod.since = state, at
        if pod.node_name and not pod.bound:
            pod.bound = True
            self._gpus.bind(pod.seen, at, pod.workload, pod.number)
        if state in {SUCCEEDED, FAILED}:
            self._gpus.release(uid, at)

    def _close(self, pod: _Pod, at: int) -> None:
        if at > pod.since:
            self.spans.add(
                pod.workload, pod.member, pod.since, at, pod.state, pod.number, pod.node
            )

    def _count(self, state: int, change: int) -> None:
        if state in {-1, SUCCEEDED, FAILED}:
            return
        pending, there = self.counts
        self.counts = (pending + change * (state == PENDING), there + change)

    def _workload(self, owner: str) -> int:
        number = self._numbers.setdefault(owner, len(self.workloads))
        if number == len(self.workloads):
            self.workloads.append(owner)
            self._free.append(set())
            self._members.append(0)
        return number

    def _take(self, workload: int, pod: Object) -> int:
        """Return the lane of a pod: that of its index, else the first free one."""
        free = self._free[workload]
        labels = pod["metadata"].get("labels") or {}
        index = str(labels.get(_INDEX, ""))
        wanted = int(index) if index.isdigit() else -1
        if wanted in free or wanted >= self._members[workload]:
            free.update(range(self._members[workload], min(wanted, 100_000)))
            member = wanted
        elif free:
            member = min(free)
        else:
            member = self._members[workload]
        free.discard(member)
        self._members[workload] = max(self._members[workload], member + 1)
        return member


class _Pod:
    """One pod as it is now."""

    __slots__ = (
        "bound", "going", "member", "node", "node_name", "number", "phase", "ready",
        "seen", "since", "state", "workload",
    )  # fmt: skip

    def __init__(self, number: int, workload: int, seen: Object) -> None:
        self.number = number
        self.workload = workload
        self.seen = seen
        self.member = 0
        self.bound = False
        self.going = False
        self.node = NOBODY
        self.node_name = ""
        self.phase = ""
        self.ready = False
        self.since = 0
        self.state = -1

    def follow(self, what: Object) -> int:
        """Return the state after a change, or after the whole object."""
        metadata, spec = what.get("metadata"), what.get("spec")
        status = what.get("status")
        if metadata and metadata.get("deletionTimestamp"):
            self.going = True
        if spec and spec.get("nodeName"):
            self.node_name = spec["nodeName"]
        if status:
            self.phase = status.get("phase") or self.phase
            conditions = status.get("conditions")
            if conditions is not None:
                self.ready = any(
                    c["type"] == "Ready" and c["status"] == "True" for c in conditions
                )
        if self.phase in _OVER:
            return _OVER[self.phase]
        if self.going:
            return TERMINATING
        if self.phase == "Running":
            return RUNNING if self.ready else UNREADY
        return BOUND if self.node_name else PENDING
