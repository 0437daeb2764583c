"""Work of a higher priority that comes and takes the GPUs of nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane.changes import Create, pod
from pytest_knav.control_plane.nodes import node_info
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, FaultCard, Signal


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

_NAMESPACE: Final = "default"
_NAME: Final = "pytest-knav-preempting"
# There from the beginning, and above all that users may set (pkg/apis/scheduling).
_CLASS: Final = "system-cluster-critical"
_CLASSES: Final = "/apis/scheduling.k8s.io/v1/priorityclasses"
_NEVER: Final = "Never"
_ENDED: Final = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class PreemptingWork(Fault):
    """
    Work of a higher priority comes and takes all GPUs of nodes: what had them must go.

    Changes: for each node a pod is made that asks for all of its GPUs and fits nowhere
    else. The scheduler makes room as it does for anybody: it deletes the pods with GPUs
    that are in the way (condition DisruptionTarget, PreemptionByScheduler), waits until
    they are gone, and binds. Pods without GPUs stay. The fault is injected when the
    work is bound; until it is cleared, nobody else gets these GPUs.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.
        priority_class: Of the work; by default one above all that users may set.
        scheduler: Who places it; by default kube-scheduler.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="api",
        signals=("pod",),
        stands_for="a production job or another team's reserved quota that comes back, "
        "while lower priorities have borrowed the GPUs",
        source="Kubernetes, Pod Priority and Preemption; pkg/scheduler/framework/"
        "preemption; KEP-3329 (DisruptionTarget)",
        certifies="that work which was preempted goes on elsewhere, whole, or waits",
        does_not_certify="preemption inside a scheduler's own queues (Kueue, Volcano); "
        "GPUs that are given by ResourceClaims",
        undone="the work is deleted, and its GPUs are free; what it drove out does not "
        "come back by itself",
    )

    priority_class: str = _CLASS
    scheduler: str = ""

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        for name in ("priority_class", "scheduler"):
            if not isinstance(getattr(self, name), str):
                raise BadInput(
                    f"PreemptingWork({name}={getattr(self, name)!r}): give a name"
                )
        if not self.priority_class:
            raise BadInput("PreemptingWork(priority_class=''): give a PriorityClass")

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: what has no GPU there stays."""
        del world, targets
        return frozenset()

    def pods_hit(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return the pods with GPUs on the nodes: each is in the way."""
        return frozenset(p["metadata"]["uid"] for p in _holders(world, targets))

    def check(self, world: World, targets: Sequence[str]) -> None:
        """Return when the work could be placed there; else as `Fault.check`."""
        for name in targets:
            self._check_node(world, name)
        value = self._value(world)
        for found in _holders(world, targets):
            if found["spec"].get("priority", 0) >= value:
                metadata = found["metadata"]
                raise BadInput(
                    f"{self.name}: the pod {metadata['namespace']}/{metadata['name']} "
                    f"on {found['spec']['nodeName']} has the priority "
                    f"{found['spec']['priority']}, and {self.priority_class} is "
                    f"{value}: it cannot be preempted"
                )

    def _check_node(self, world: World, name: str) -> None:
        found = world.history.get("Node", "", name)
        if found is None:
            raise BadInput(f"{self.name}: {name} is not in the cluster")
        if not _gpus(world, name):
            why = (
                "its GPUs are given by ResourceClaims, which this fault does not make"
                if world.topology.dra
                else "it has no GPUs"
            )
            raise BadInput(f"{self.name}: nothing to take on {name}: {why}")
        if not node_info(found).usable:
            raise BadInput(
                f"{self.name}: {name} takes no work now (not Ready, cordoned or "
                "tainted): clear what holds it first"
            )

    def _value(self, world: World) -> int:
        listed = world.plane.api.get(_CLASSES)["items"]
        classes = {item["metadata"]["name"]: item for item in listed}
        chosen = classes.get(self.priority_class)
        if chosen is None:
            raise BadInput(
                f"{self.name}: there is no PriorityClass {self.priority_class!r}: use "
                f"one of {', '.join(sorted(classes))}"
            )
        if chosen.get("preemptionPolicy") == _NEVER:
            raise BadInput(
                f"{self.name}: {self.priority_class} has the preemptionPolicy Never"
            )
        return int(chosen["value"])

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the pod for each node."""
        return [
            Create(
                ref=pod(_NAMESPACE, _pod_name(name)),
                body=self._pod(name, {_resource(world, name): str(_gpus(world, name))}),
                signal="pod",
            )
            for name in targets
        ]

    def _pod(self, node: str, amounts: Mapping[str, str]) -> dict[str, Any]:
        here = {"key": "metadata.name", "operator": "In", "values": [node]}
        terms = {"nodeSelectorTerms": [{"matchFields": [here]}]}
        spec: dict[str, Any] = {
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": terms
                }
            },
            "containers": [
                {
                    "name": "worker",
                    "image": "pytest-knav.invalid/worker",
                    "resources": {"requests": {**amounts}, "limits": {**amounts}},
                }
            ],
            "priorityClassName": self.priority_class,
            "terminationGracePeriodSeconds": 0,
        }
        if self.scheduler:
            spec["schedulerName"] = self.scheduler
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": _pod_name(node), "namespace": _NAMESPACE},
            "spec": spec,
        }

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return that the work has its GPUs, so that nobody else has them."""
        del started_s, now_s
        for name in targets:
            found = world.history.get("Pod", _NAMESPACE, _pod_name(name))
            if found is None or not found["spec"].get("nodeName"):
                return None
        return Signal(name="bound", evidence=f"all GPUs of {len(targets)} nodes taken")

    def unseen(self, world: World, targets: Sequence[str]) -> str:
        """Return what the scheduler says of the first pod that it has not placed."""
        for name in targets:
            found = world.history.get("Pod", _NAMESPACE, _pod_name(name)) or {}
            if found.get("spec", {}).get("nodeName"):
                continue
            said = (
                condition.get("message", "")
                for condition in found.get("status", {}).get("conditions") or ()
                if condition["type"] == "PodScheduled"
            )
            nobody = "no scheduler has looked at it"
            return f"the pod {_pod_name(name)} is not bound: {next(said, '') or nobody}"
        return ""


def _pod_name(node: str) -> str:
    return f"{_NAME}-{node}"


def _resource(world: World, name: str) -> str:
    """Return what the GPUs of a node are counted as; a cluster may have several."""
    return world.topology.node(name).gpu_resource


def _gpus(world: World, name: str) -> int:
    found = world.history.get("Node", "", name) or {}
    allocatable = found.get("status", {}).get("allocatable", {})
    return int(allocatable.get(_resource(world, name), 0))


def _holders(world: World, targets: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the pods with GPUs that run on nodes."""
    resources = {name: _resource(world, name) for name in targets}
    return [
        found
        for found in world.history.latest("Pod").values()
        if (node := found["spec"].get("nodeName")) in resources
        and found.get("status", {}).get("phase") not in _ENDED
        and any(
            resources[node] in container.get("resources", {}).get("requests", {})
            for container in found["spec"]["containers"]
        )
    ]
