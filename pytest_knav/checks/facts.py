"""What checks need of pods and nodes, read once from what the API says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pytest_knav.checks.requests import amounts, requests_of


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.checks.crew import Crew

INDEX_LABEL: Final = "batch.kubernetes.io/job-completion-index"
HARD_EFFECTS: Final = frozenset({"NoSchedule", "NoExecute"})
_TIES: Final = frozenset({"affinity", "topologySpreadConstraints", "resourceClaims"})
# What a kubelet makes of the API or on the node itself ties a pod to no place; the
# first is in every pod, put there by the admission plugin ServiceAccount.
_FREE_VOLUMES: Final = frozenset(
    {"projected", "configMap", "secret", "downwardAPI", "emptyDir"}
)
_ENDED: Final = frozenset({"Succeeded", "Failed"})


class Taint(NamedTuple):
    """A taint of a node or a device."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}:{self.effect}"


@dataclass(slots=True, kw_only=True)
class PodSpec:
    """
    What does not change in a pod's life, but for a resize.

    Attributes:
        index: Completion index within its Job; None where pods have none.
        group: Name of its PodGroup; empty without.
        owner: Uid of its controller; empty without.
        requests: What it takes of a node, in thousandths, `pods` included.
        plain: Whether amounts, taints and its node selector alone decide where it
            fits: no claims, no affinity, no spreading, no volumes.
        placed: Whether it had its node when it was first seen, so that no scheduler
            was seen to choose it.
        crew: The workload that it belongs to, if that was submitted by the test.

    """

    uid: str
    name: str
    namespace: str
    index: int | None
    labels: Mapping[str, str]
    group: str
    owner: str
    requests: Mapping[str, int]
    priority: int
    tolerations: tuple[Mapping[str, Any], ...]
    selector: Mapping[str, str]
    scheduler: str
    plain: bool
    placed: bool
    crew: Crew | None = field(default=None, repr=False)

    @property
    def key(self) -> object:
        """Return what stands for it within its workload: its index, or itself."""
        return self.uid if self.index is None else self.index

    def tolerates(self, taint: Taint) -> bool:
        """Return whether it may be bound to what has a taint."""
        return any(matches(one, taint) for one in self.tolerations)

    def stays_s(self, taint: Taint) -> float | None:
        """Return how long it tolerates a NoExecute taint; None: for ever."""
        # The first that matches counts (GetMatchingTolerations in
        # k8s.io/kubernetes/pkg/apis/core/v1/helper), less than nothing is nothing.
        for one in self.tolerations:
            if matches(one, taint):
                limit = one.get("tolerationSeconds")
                return None if limit is None else max(0.0, float(limit))
        return 0.0


class PodFact(NamedTuple):
    """
    What is true of a pod at one moment; what rules ask often is worked out once.

    Attributes:
        live: Whether it is neither ended nor on its way out.
        up: Whether it runs, is ready and stays.
        holds: Whether it takes its amounts of its node: also while it is Terminating.
        stays: Whether it has a node, and has not been lost.

    """

    spec: PodSpec
    node: str | None
    phase: str
    ready: bool
    deleting: bool
    disruption: str
    gated: bool
    live: bool
    up: bool
    holds: bool
    stays: bool

    @property
    def waiting(self) -> bool:
        """Whether a scheduler should find it a node."""
        return self.node is None and self.live and not self.gated


class NodeFact(NamedTuple):
    """What is true of a node at one moment."""

    name: str
    ready: bool
    cordoned: bool
    taints: tuple[Taint, ...]
    labels: Mapping[str, str]
    room: Mapping[str, int]


def pod_spec(pod: Mapping[str, Any], *, placed: bool) -> PodSpec:
    """Return what stays the same in a pod's life."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    labels = metadata.get("labels") or {}
    index = labels.get(INDEX_LABEL)
    group = (spec.get("schedulingGroup") or {}).get("podGroupName") or ""
    return PodSpec(
        uid=metadata["uid"],
        name=metadata["name"],
        namespace=metadata.get("namespace", "default"),
        index=int(index) if index is not None and index.isdecimal() else None,
        labels=labels,
        group=group,
        owner=_controller(metadata),
        requests=requests_of(pod),
        priority=int(spec.get("priority") or 0),
        tolerations=tuple(spec.get("tolerations") or ()),
        selector=spec.get("nodeSelector") or {},
        scheduler=spec.get("schedulerName") or "default-scheduler",
        plain=_is_plain(spec),
        placed=placed,
    )


def _is_plain(spec: Mapping[str, Any]) -> bool:
    """Return whether amounts, taints and node selector alone say where a pod fits."""
    if not spec.keys().isdisjoint(_TIES) and any(map(spec.get, _TIES)):
        return False
    return all(
        not volume.keys().isdisjoint(_FREE_VOLUMES)
        for volume in spec.get("volumes") or ()
    )


def pod_fact(spec: PodSpec, pod: Mapping[str, Any]) -> PodFact:
    """Return what is true of a pod."""
    status, inside = pod.get("status") or {}, pod.get("spec") or {}
    ready, disruption = False, ""
    for condition in status.get("conditions") or ():
        if condition["type"] == "Ready":
            ready = condition["status"] == "True"
        elif condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            disruption = condition.get("reason") or "?"
    node, phase = inside.get("nodeName"), status.get("phase") or "Pending"
    deleting = "deletionTimestamp" in pod["metadata"]
    live = not deleting and phase not in _ENDED
    return PodFact(
        spec,
        node,
        phase,
        ready,
        deleting,
        disruption,
        bool(inside.get("schedulingGates")),
        live,
        live and ready and phase == "Running",
        node is not None and phase not in _ENDED,
        node is not None and not deleting and phase != "Failed",
    )


def node_fact(node: Mapping[str, Any]) -> NodeFact:
    """Return what is true of a node."""
    spec, status = node.get("spec") or {}, node.get("status") or {}
    return NodeFact(
        node["metadata"]["name"],
        is_ready(status),
        bool(spec.get("unschedulable")),
        taints_of(spec),
        node["metadata"].get("labels") or {},
        amounts(status.get("allocatable") or status.get("capacity") or {}),
    )


def is_ready(status: Mapping[str, Any]) -> bool:
    """Return whether a node's status says that it is Ready."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in status.get("conditions") or ()
    )


def taints_of(holder: Mapping[str, Any]) -> tuple[Taint, ...]:
    """Return the taints of a node's spec, or of a device."""
    return tuple(
        Taint(t["key"], t.get("value") or "", t.get("effect") or "")
        for t in holder.get("taints") or ()
    )


def _controller(metadata: Mapping[str, Any]) -> str:
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner["uid"])
    return ""


def matches(toleration: Mapping[str, Any], taint: Taint) -> bool:
    """Return whether a toleration is for a taint (core/v1/toleration.go)."""
    if toleration.get("effect") not in {None, "", taint.effect}:
        return False
    key = toleration.get("key") or ""
    if key and key != taint.key:
        return False
    operator = toleration.get("operator") or "Equal"
    return operator == "Exists" or (
        bool(key) and operator == "Equal" and taint.value == toleration.get("value", "")
    )
