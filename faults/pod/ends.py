"""Containers that end though nobody asked them to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_knav.control_plane.changes import ContainersEnd, pod
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, FaultCard


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind


@dataclass(frozen=True, slots=True)
class _OfPods(Fault):
    """What faults of running pods share."""

    kind: ClassVar[Kind] = "pod"

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: what else runs on them goes on."""
        del world, targets
        return frozenset()

    def pods_hit(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return the pods."""
        return uids_of(world, targets)


@dataclass(frozen=True, slots=True)
class ContainerExit(_OfPods):
    """
    The containers of pods end with an exit code.

    Changes: the pod's status, as its kubelet would write it. Where restartPolicy is
    Never, the pod is Failed, and its Job decides what comes next; else the containers
    wait out their back-off and start again in the same pod.

    Args:
        target: `pod_of(handle)`, `pods_of(handle)`, or `namespace/name`.
        exit_code: From 1 to 255.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="pod",
        layer="pod",
        signals=("pod status",),
        stands_for="a crash of the application, an exception in one rank, a failed job",
        source="Kubernetes, pkg/kubelet/status; Job podFailurePolicy (KEP-3329)",
        lasts="a moment; what has ended does not come back",
        undone="nothing is: controllers make what they owe",
        certifies="what controllers and schedulers make of a container that ends",
        does_not_certify="what other ranks of a collective do (see on_member_loss)",
    )

    exit_code: int = 1

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        check_exit_code("ContainerExit", self.exit_code)

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the end of each pod's containers."""
        return [end_of(world, name, self.exit_code, "Error") for name in targets]


@dataclass(frozen=True, slots=True)
class OutOfMemoryKill(_OfPods):
    """
    The containers of pods are killed for their memory: exit code 137, OOMKilled.

    Changes: as ContainerExit, with the reason that a kubelet gives.

    Args:
        target: `pod_of(handle)`, `pods_of(handle)`, or `namespace/name`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="pod",
        layer="pod",
        signals=("pod status",),
        stands_for="a container above its memory limit, a host out of memory",
        source="Kubernetes, pkg/kubelet/kuberuntime (OOMKilled, exit code 137)",
        lasts="a moment; what has ended does not come back",
        undone="nothing is: controllers make what they owe",
        certifies="what controllers and schedulers make of an OOMKilled container",
        does_not_certify="real memory use; evictions by the kubelet",
    )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the end of each pod's containers."""
        return [end_of(world, name, 137, "OOMKilled") for name in targets]


def check_exit_code(fault: str, code: object) -> None:
    """
    Return when containers can fail with a code.

    Raises:
        BadInput: They cannot.

    """
    if isinstance(code, bool) or not isinstance(code, int) or not 1 <= code <= 255:
        raise BadInput(f"{fault}(exit_code={code!r}): give 1 to 255")


def found_pod(world: World, name: str) -> Mapping[str, Any] | None:
    """Return a pod by `namespace/name`, or None."""
    namespace, _, short = name.rpartition("/")
    return world.history.get("Pod", namespace or "default", short)


def uids_of(world: World, names: Sequence[str]) -> frozenset[str]:
    """Return the uids of pods that are there."""
    found = (found_pod(world, name) for name in names)
    return frozenset(f["metadata"]["uid"] for f in found if f is not None)


def end_of(world: World, name: str, exit_code: int, reason: str) -> Change:
    """
    Return the change that ends a pod's containers.

    Raises:
        BadInput: There is no such pod, or it does not run.

    """
    found = found_pod(world, name)
    if found is None:
        raise BadInput(f"no pod {name!r} in the cluster: give namespace/name")
    phase = found.get("status", {}).get("phase")
    if phase != "Running":
        raise BadInput(f"pod {name!r} is {phase}: only one that runs can end")
    metadata = found["metadata"]
    return ContainersEnd(
        ref=pod(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        exit_code=exit_code,
        reason=reason,
        signal="pod status",
    )
