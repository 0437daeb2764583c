"""Pods as a check sees them, and which of them stand for a workload now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
WORKLOAD_LABEL = "pytest-knav/workload"
# Pods that are gone are forgotten once there are so many of them.
_FORGOTTEN_AT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PodInfo:
    """
    What matters of one pod.

    Attributes:
        index: Completion index within its Job; None where pods have no index.
        node: Name of the node it is bound to; None while it waits.
        ready: Whether its Ready condition is True.
        terminating: Whether it carries a deletionTimestamp.
        unschedulable: Whether the scheduler said that it fits nowhere now.

    """

    name: str
    namespace: str
    uid: str
    index: int | None
    node: str | None
    phase: str
    ready: bool
    terminating: bool
    unschedulable: bool
    created: str

    @property
    def live(self) -> bool:
        """Return whether it is neither ended nor on its way out."""
        return not self.terminating and self.phase in {"Pending", "Running"}

    @property
    def up(self) -> bool:
        """Return whether it runs, is ready and stays."""
        return self.live and self.phase == "Running" and self.ready

    @property
    def state(self) -> str:
        """Return one word for messages."""
        if self.terminating:
            return "Terminating"
        if self.phase == "Running" and not self.ready:
            return "NotReady"
        if self.phase == "Pending" and self.unschedulable:
            return "Unschedulable"
        return self.phase


def pod_info(pod: Mapping[str, Any]) -> PodInfo:
    """Return what matters of a Pod object."""
    metadata = pod["metadata"]
    status = pod.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", ())}
    index = metadata.get("labels", {}).get(INDEX_LABEL)
    scheduled = conditions.get("PodScheduled", {})
    return PodInfo(
        name=metadata["name"],
        namespace=metadata.get("namespace", "default"),
        uid=metadata["uid"],
        index=int(index) if index is not None else None,
        node=pod.get("spec", {}).get("nodeName"),
        phase=status.get("phase", "Pending"),
        ready=conditions.get("Ready", {}).get("status") == "True",
        terminating="deletionTimestamp" in metadata,
        unschedulable=scheduled.get("status") == "False",
        created=metadata.get("creationTimestamp", ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSelector:
    """Which pods belong to a workload: a namespace and equal labels."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    # States of a history are shared and never change, so what was read of one stays
    # true: with 10,000 pods this is most of the cost of asking again.
    _known: dict[str, tuple[Mapping[str, Any], PodInfo]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def select(self, pods: Iterable[Mapping[str, Any]]) -> list[PodInfo]:
        """Return the pods that belong, oldest first."""
        chosen = [self.info(pod) for pod in pods if self.matches(pod)]
        if len(self._known) > 2 * len(chosen) + _FORGOTTEN_AT:
            self._known.clear()
        return sorted(chosen, key=lambda p: (p.created, p.uid))

    def info(self, pod: Mapping[str, Any]) -> PodInfo:
        """Return what matters of a Pod object."""
        uid = pod["metadata"]["uid"]
        known = self._known.get(uid)
        if known is None or known[0] is not pod:
            known = self._known[uid] = (pod, pod_info(pod))
        return known[1]

    def matches(self, pod: Mapping[str, Any]) -> bool:
        """Return whether a Pod object belongs."""
        metadata = pod["metadata"]
        if metadata.get("namespace", "default") != self.namespace:
            return False
        labels = metadata.get("labels", {})
        return all(labels.get(key) == value for key, value in self.labels)


def current(pods: Iterable[PodInfo]) -> list[PodInfo]:
    """
    Return the newest live pod of each index, sorted by index and name.

    Pods without an index all count. Terminating and ended pods do not.
    """
    chosen: dict[object, PodInfo] = {}
    for pod in pods:
        if pod.live:
            chosen[pod.uid if pod.index is None else pod.index] = pod
    return sorted(chosen.values(), key=lambda p: (p.index or 0, p.name))
