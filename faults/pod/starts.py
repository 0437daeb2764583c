"""Pods that do not start, and pods that do not stop, on some nodes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane.changes import Hold
from pytest_knav.faults.base import Fault, FaultCard


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

_NOT_STARTED: Final = (
    {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
    {"key": ".status.phase", "operator": "In", "values": ["Pending"]},
)
_INITIALIZED: Final = """
      - {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}"""


def _conditions(reason: str, more: str = "") -> str:
    return f"""
      {{{{ $now := Now }}}}
      conditions:{more}
      - type: Ready
        status: "False"
        reason: {reason}
        lastTransitionTime: {{{{ $now | Quote }}}}
      - type: ContainersReady
        status: "False"
        reason: {reason}
        lastTransitionTime: {{{{ $now | Quote }}}}"""


def _waiting(field: str, containers: str, state: str) -> str:
    return f"""
      {field}:
      {{{{ range .spec.{containers} }}}}
      - name: {{{{ .name | Quote }}}}
        image: {{{{ .image | Quote }}}}
        imageID: ""
        ready: false
        restartCount: 0
        {state}
      {{{{ end }}}}"""


def stage_name(fault: str, nodes: Sequence[str]) -> str:
    """Return a name for a stage, of its own for the fault and its nodes."""
    digest = hashlib.sha256(" ".join(sorted(nodes)).encode()).hexdigest()[:8]
    return f"knav-{fault}-{digest}"


@dataclass(frozen=True, slots=True)
class _OfStarts(Fault):
    """What faults of pods that start share: a stage in place of the usual one."""

    stage: ClassVar[str]
    rules: ClassVar[tuple[Mapping[str, Any], ...]] = _NOT_STARTED
    status: ClassVar[str]
    until: ClassVar[str]

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the stage by which KWOK plays the pods of these nodes."""
        del world
        spec = {
            "selector": {"matchExpressions": list(self.rules)},
            "next": {"statusTemplate": self.status},
        }
        return [
            Hold(
                name=stage_name(self.stage, targets),
                nodes=tuple(targets),
                spec=spec,
                until=self.until,
                signal="pod status",
            )
        ]


@dataclass(frozen=True, slots=True)
class ImagePullFailure(_OfStarts):
    """
    Pods that are put onto nodes do not start: their image cannot be pulled.

    Changes: pods bound to these nodes from now on stay Pending with ImagePullBackOff;
    what runs there goes on. A scheduler sees a pod that it has placed and that never
    starts.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="pod",
        layer="pod",
        signals=("pod status",),
        stands_for="registry down, credentials expired, full image disk on a node",
        source="Kubernetes, pkg/kubelet/images (ErrImagePull, ImagePullBackOff)",
        certifies="what becomes of work that was placed and does not start",
        does_not_certify="pulls that are slow; what runs already",
        undone="the pods start",
    )
    stage: ClassVar[str] = "image-pull"
    until: ClassVar[str] = (
        "([.status.containerStatuses[]?.state.waiting.reason] | "
        'index("ImagePullBackOff") != null)'
    )
    status: ClassVar[str] = (
        _conditions("ContainersNotReady", _INITIALIZED)
        + _waiting(
            "containerStatuses",
            "containers",
            "state: {waiting: {reason: ImagePullBackOff, "
            'message: "Back-off pulling image"}}',
        )
        + "\n      phase: Pending"
    )


@dataclass(frozen=True, slots=True)
class InitFailure(_OfStarts):
    """
    Pods that are put onto nodes do not start: their init containers fail.

    Changes: pods bound to these nodes from now on stay Pending, not Initialized; their
    init containers, where they have any, say Init:CrashLoopBackOff.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="pod",
        layer="pod",
        signals=("pod status",),
        stands_for="a volume that does not mount, a failed check before the start",
        source="Kubernetes, pkg/kubelet/status (Initialized, ContainersNotInitialized)",
        certifies="what becomes of work that was placed and does not start",
        does_not_certify="what the init container was for",
        undone="the pods start",
    )
    stage: ClassVar[str] = "init"
    until: ClassVar[str] = (
        '([.status.conditions[]? | select(.type == "Initialized") | .status] | '
        'index("False") != null)'
    )
    status: ClassVar[str] = (
        _conditions(
            "ContainersNotReady",
            """
      - type: Initialized
        status: "False"
        reason: ContainersNotInitialized
        lastTransitionTime: {{ $now | Quote }}""",
        )
        + _waiting(
            "initContainerStatuses",
            "initContainers",
            "state: {waiting: {reason: CrashLoopBackOff, "
            'message: "back-off restarting failed container"}}',
        )
        + "\n      phase: Pending"
    )


@dataclass(frozen=True, slots=True)
class HangBeforeReady(_OfStarts):
    """
    Pods that are put onto nodes run and never become ready.

    Changes: pods bound to these nodes from now on are Running with Ready=False: their
    containers run, their probes do not pass.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="pod",
        layer="pod",
        signals=("pod status",),
        stands_for="a collective that does not come together, a hung initialisation",
        source="Kubernetes, pkg/kubelet/status (ContainersNotReady)",
        certifies="what becomes of work that runs and is not ready",
        does_not_certify="what happens inside the containers",
        undone="the pods become ready",
    )
    stage: ClassVar[str] = "hang"
    until: ClassVar[str] = '(.status.phase == "Running")'
    status: ClassVar[str] = (
        _conditions("ContainersNotReady", _INITIALIZED)
        + _waiting(
            "containerStatuses",
            "containers",
            "started: true\n        state: {running: {startedAt: {{ $now | Quote }}}}",
        )
        + "\n      phase: Running\n      startTime: {{ $now | Quote }}"
    )
    rules: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
        {
            "key": ".status.phase",
            "operator": "In",
            "values": ["Pending", "Running"],
        },
        {
            "key": '.status.conditions.[] | select( .type == "Ready" ) | .status',
            "operator": "NotIn",
            "values": ["True"],
        },
    )


@dataclass(frozen=True, slots=True)
class StuckTerminating(_OfStarts):
    """
    Pods of nodes that are to be deleted do not end.

    Changes: deleted pods on these nodes stay Terminating and keep what they hold: a
    process that does not die, a volume that does not unmount.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="pod",
        layer="pod",
        signals=("pod status",),
        stands_for="a process in uninterruptible sleep, a driver that hangs, a mount",
        source="Kubernetes, pkg/kubelet (pod workers), KEP-2268 (out-of-service taint)",
        certifies="that work does not count on what a Terminating pod still holds",
        does_not_certify="forced deletions, which end a pod in the API alone",
        undone="the pods end",
    )
    stage: ClassVar[str] = "terminating"
    until: ClassVar[str] = "true"
    rules: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"key": ".metadata.deletionTimestamp", "operator": "Exists"},
    )
    status: ClassVar[str] = "\n      {{ $now := Now }}\n      conditions: []"
