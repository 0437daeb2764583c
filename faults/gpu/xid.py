"""GPUs that fail with an XID, and GPUs that are gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, FaultCard, Signal
from pytest_knav.faults.gpu.holders import (
    By,
    check_by,
    check_gpus,
    pods_on,
    unusable,
)
from pytest_knav.faults.gpu.policies import Action, action_for
from pytest_knav.faults.gpu.reports import conditions, events, later, metrics
from pytest_knav.faults.pod.ends import end_of, uids_of


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind

# A CUDA process that loses its device aborts: 128 + SIGABRT.
_ABORTED: Final = 134
_FALLEN_OFF: Final = 79
_SIGNALS: Final = (
    "device taint",
    "allocatable",
    "condition",
    "event",
    "pod status",
    "metric",
)


@dataclass(frozen=True, slots=True)
class GpuXid(Fault):
    """
    GPUs report an XID error, and what it asks for follows.

    Changes: the series DCGM_FI_DEV_XID_ERRORS has the code. For everything but IGNORE
    the pods that hold the GPU end (exit code 134). After `detect_after` a health agent
    tells of it: an Event of the node, for everything but IGNORE the condition
    SysLogsXIDError of the node, and from RESET_GPU on the GPU cannot be used any more:
    where GPUs are devices (`knav(dra=True)`) it gets a device taint with the effect
    NoExecute, else its node offers one less. Whether a node is cordoned, rebooted or
    replaced after that is for another agent to decide: add NodeCordon, NodeDrain or
    NodeReboot to say what yours does.

    Args:
        target: A GPU such as `dgx-h100-0003/gpu-5`, several, or an expression such as
            `gpu_of(handle)`, `percent(1)`.
        code: The XID.
        policy: `nvidia`, `eks`, or a mapping of XIDs to actions.
        detect_after: How long it takes the agent; by default as the time profile says:
            at once in `fast`, 5 minutes in `real`.
        by: Who taints devices: `slice`, their driver in the ResourceSlice, or `rule`,
            an operator by a DeviceTaintRule (KEP-5055).

    """

    kind: ClassVar[Kind] = "gpu"
    card: ClassVar[FaultCard] = FaultCard(
        family="gpu",
        layer="gpu",
        signals=_SIGNALS,
        stands_for="an XID in the kernel log: ECC, fallen off the bus, NVLink, GSP …",
        source="NVIDIA, XID errors, catalogue for A100 and newer; NVSentinel, syslog "
        "health monitor (SysLogsXIDError); KEP-5055",
        certifies=(
            "that work on a GPU that is reported bad is made again on good ones, and "
            "that nothing is put onto it until it is repaired"
        ),
        does_not_certify="that a failure is detected: its report is what is made here",
    )

    code: int = _FALLEN_OFF
    policy: str | Mapping[int, Action | str] = "nvidia"
    detect_after: Duration | None = None
    by: By = "slice"

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        fault = type(self).__name__
        if isinstance(self.code, bool) or not isinstance(self.code, int):
            raise BadInput(f"{fault}(code={self.code!r}): give the number of an XID")
        action_for(self.code, self.policy)
        check_by(fault, self.by)
        if self.detect_after is not None:
            seconds(self.detect_after, name="detect_after")

    @property
    def action(self) -> Action:
        """Return what the policy asks for."""
        return action_for(self.code, self.policy)

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: the other GPUs of a node go on."""
        del world, targets
        return frozenset()

    def pods_hit(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return the pods that hold the GPUs, where work is lost at all."""
        if self.action is Action.IGNORE:
            return frozenset()
        return uids_of(world, pods_on(world, targets))

    def check(self, world: World, targets: Sequence[str]) -> None:
        """Return when the GPUs are offered; else as `Fault.check`."""
        check_gpus(self.name, world, targets, self.by)

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return metrics, and by the action conditions, ends of pods, and the GPU."""
        said = f"ErrorCode:{self.code} Recommended Action={self.action.name}"
        made = self._series(targets)
        told = events(world, targets, "SysLogsXIDError", said)
        if self.action is not Action.IGNORE:
            made += _ends(world, targets)
            told += conditions(targets, "SysLogsXIDError", said)
        if self.action not in {Action.IGNORE, Action.RESTART_APP}:
            told += unusable(world, targets, str(self.code), self.by)
        return [*made, *later(world, told, self.detect_after)]

    def _series(self, targets: Sequence[str]) -> list[Change]:
        """Return what the series of the GPUs say."""
        return [metrics(name, xid=self.code) for name in targets]


@dataclass(frozen=True, slots=True)
class GpuLost(Fault):
    """
    GPUs have fallen off the bus: the driver no longer sees them.

    Changes: they have no series any more, and their pods end (exit code 134). After
    `detect_after` an agent tells of it: an Event and the condition SysLogsGPUFallenOff
    of their node, and they cannot be used: a device taint with the effect NoExecute
    where GPUs are devices, else that many less on the node. `gpus_of(node, count=4)` is
    half of a node with eight.

    Args:
        target: A GPU such as `dgx-h100-0003/gpu-5`, several, or an expression such as
            `gpu_of(handle)`, `gpus_of(handle, count=2)`, `percent(1)`.
        detect_after: How long it takes the agent; by default as the time profile says:
            at once in `fast`, 5 minutes in `real`.
        by: Who taints devices: `slice`, their driver in the ResourceSlice, or `rule`,
            an operator by a DeviceTaintRule (KEP-5055).

    """

    kind: ClassVar[Kind] = "gpu"
    card: ClassVar[FaultCard] = FaultCard(
        family="gpu",
        layer="gpu",
        signals=_SIGNALS,
        stands_for="XID 79, a loose riser, a PCIe switch or a GPU without power",
        source="NVIDIA, XID 79; NVSentinel, SysLogsGPUFallenOff; KEP-5055",
        certifies="that a node with fewer GPUs is used for what it still has",
        does_not_certify="that the loss is detected: its report is what is made here",
    )

    detect_after: Duration | None = None
    by: By = "slice"

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        check_by("GpuLost", self.by)
        if self.detect_after is not None:
            seconds(self.detect_after, name="detect_after")

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: the other GPUs of a node go on."""
        del world, targets
        return frozenset()

    def pods_hit(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return the pods that hold the GPUs."""
        return uids_of(world, pods_on(world, targets))

    def check(self, world: World, targets: Sequence[str]) -> None:
        """Return when the GPUs are offered; else as `Fault.check`."""
        check_gpus(self.name, world, targets, self.by)

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return metrics, ends of pods, what the agent says, and the GPUs."""
        kind, said = "SysLogsGPUFallenOff", "GPU has fallen off the bus"
        told = [
            *events(world, targets, kind, said),
            *conditions(targets, kind, said),
            *unusable(world, targets, str(_FALLEN_OFF), self.by),
        ]
        return [
            *(metrics(name, lost=True, xid=_FALLEN_OFF) for name in targets),
            *_ends(world, targets),
            *later(world, told, self.detect_after),
        ]

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return how many GPUs are lost."""
        del world, started_s, now_s
        return Signal(name="lost", evidence=f"{len(targets)} GPUs are lost")


def _ends(world: World, targets: Sequence[str]) -> list[Change]:
    return [end_of(world, name, _ABORTED, "Error") for name in pods_on(world, targets)]
