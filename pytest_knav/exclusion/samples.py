"""Pods as samples: which of them have finished, by whose fault they may have failed."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.exclusion.estimators import Sample


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
# So many pods are remembered, so that none counts twice.
REMEMBERED_MAX: Final = 100_000
QUEUES_MAX: Final = 1_000
# Ended from outside, by nobody's failure (Kubernetes, pod disruption conditions,
# KEP-3329; kubelet and taint manager reasons).
_DISRUPTED: Final = "DisruptionTarget"
_NOT_ITS_OWN: Final = frozenset({
    "Evicted", "NodeLost", "NodeShutdown", "Preempting", "Shutdown", "Terminated",
    "UnexpectedAdmissionError",
})  # fmt: skip
# Of a container that nobody knows the end of, such as after a reboot (Kubernetes,
# pkg/kubelet/container/runtime.go).
_LOST: Final = "ContainerStatusUnknown"
#: More restarts between two sights of a container make no difference.
RESTARTS_MAX: Final = 10
_NUMBER: Final = re.compile(r"\d+")


@dataclass(slots=True)
class Pods:
    """
    Makes samples of pods as they are seen, each pod and each restart once.

    Args:
        queue_label: The label that names a pod's queue; without it, its owner stands
            for it.

    """

    queue_label: str = QUEUE_LABEL
    #: The queues that were seen last.
    queues: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _seen: OrderedDict[str, tuple[tuple[int, ...], bool]] = field(
        default_factory=OrderedDict
    )

    def samples(self, pod: Mapping[str, Any], now_s: float) -> list[Sample]:
        """Return what a pod tells that was not known of it."""
        node = pod.get("spec", {}).get("nodeName")
        status = pod.get("status", {})
        if not node:
            return []
        uid = pod["metadata"]["uid"]
        restarts_before, ended_before = self._seen.get(uid, (None, False))
        containers = _containers(status)
        counts = (c.get("restartCount", 0) for c in containers)
        # Two watches tell of a pod, and the older may speak last.
        restarts = tuple(
            max(pair)
            for pair in zip_longest(counts, restarts_before or (), fillvalue=0)
        )
        phase = status.get("phase")
        ended = phase in {"Succeeded", "Failed"} and not disrupted(status)
        self._note(uid, (restarts, ended or ended_before))
        queue = self.queue_of(pod)
        self.queues[queue] = None
        self.queues.move_to_end(queue)
        while len(self.queues) > QUEUES_MAX:
            self.queues.popitem(last=False)
        found = [
            Sample(node=node, queue=queue, success=False, at_s=at_s)
            for at_s in _failed_again(containers, restarts_before)
        ]
        if ended and not ended_before:
            at_s = finished_s(status, now_s)
            good = phase == "Succeeded"
            found.append(Sample(node=node, queue=queue, success=good, at_s=at_s))
        return found

    def queue_of(self, pod: Mapping[str, Any]) -> str:
        """Return whose a pod is: its queue, or what has made it."""
        metadata = pod["metadata"]
        queue = metadata.get("labels", {}).get(self.queue_label)
        space = metadata.get("namespace", "default")
        owners = metadata.get("ownerReferences") or ()
        if queue:
            return f"{space}/{queue}"
        name = metadata.get("generateName") or metadata["name"]
        # Numbers tell the members of a series, such as a CronJob's: a flood of jobs
        # that fail is one user's, not many queues that fail by themselves.
        return f"{space}/{_NUMBER.sub('#', owners[0]['name'] if owners else name)}"

    def _note(self, uid: str, known: tuple[tuple[int, ...], bool]) -> None:
        self._seen[uid] = known
        self._seen.move_to_end(uid)
        while len(self._seen) > REMEMBERED_MAX:
            self._seen.popitem(last=False)


def disrupted(status: Mapping[str, Any]) -> bool:
    """Return whether a pod was ended from outside: evicted, preempted, node lost."""
    if status.get("reason") in _NOT_ITS_OWN:
        return True
    return any(
        c.get("type") == _DISRUPTED and c.get("status") == "True"
        for c in status.get("conditions") or ()
    )


def finished_s(status: Mapping[str, Any], otherwise_s: float) -> float:
    """
    Return when a pod's last container ended, in seconds since 1970.

    Of one whose containers never were, when its conditions last changed.
    """
    times = [
        seconds_of(state["terminated"]["finishedAt"])
        for container in status.get("containerStatuses") or ()
        for state in (container.get("state") or {},)
        if (state.get("terminated") or {}).get("finishedAt")
    ]
    if not times:
        times = [
            seconds_of(condition["lastTransitionTime"])
            for condition in status.get("conditions") or ()
            if condition.get("lastTransitionTime")
        ]
    return max(times, default=otherwise_s)


def seconds_of(text: str) -> float:
    """Return a time of the API in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def _containers(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return all containers of a pod, those that prepare it first."""
    return [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]


def _failed_again(
    containers: Sequence[Mapping[str, Any]], before: Sequence[int] | None
) -> Iterator[float]:
    """
    Yield when containers failed and were restarted since they were last seen.

    Only the last end of each is told of, with its time and exit code; those between
    count like it. Of a pod that is seen for the first time only that one counts: the
    others may be months old.
    """
    for container, known in zip_longest(containers, before or (), fillvalue=None):
        if container is None:
            return
        restarts = container.get("restartCount", 0)
        new = restarts - (known or 0) if before is not None else min(restarts, 1)
        ended = (container.get("lastState") or {}).get("terminated") or {}
        at = ended.get("finishedAt")
        if at and ended.get("exitCode") and ended.get("reason") != _LOST:
            for _ in range(min(new, RESTARTS_MAX)):
                yield seconds_of(at)
