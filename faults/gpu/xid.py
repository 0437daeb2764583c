"""GPUs that fail with an XID, and GPUs that are gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane.changes import Edit, GpuMetrics, node
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, FaultCard, Signal
from pytest_knav.faults.gpu.holders import pods_on, split, unusable
from pytest_knav.faults.gpu.policies import Action, action_for
from pytest_knav.faults.pod.ends import end_of, uids_of


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind

# A CUDA process that loses its device aborts: 128 + SIGABRT.
_ABORTED: Final = 134
_FALLEN_OFF: Final = 79


@dataclass(frozen=True, slots=True)
class GpuXid(Fault):
    """
    GPUs report an XID error, and what it asks for follows.

    Changes: the series DCGM_FI_DEV_XID_ERRORS has the code. For everything but IGNORE
    the pods that hold the GPU end (exit code 134), and the node carries the condition
    SysLogsXIDError. From RESET_GPU on the GPU cannot be used any more: where GPUs are
    devices (`knav(dra=True)`) it gets a device taint with the effect NoExecute, else
    its node offers one less. Whether a node is cordoned, rebooted or replaced after
    that is for a health agent to decide: add NodeCordon or NodeCrash to say what yours
    does.

    Args:
        target: A GPU such as `dgx-h100-0003/gpu-5`, several, or an expression such as
            `gpu_of(handle)`, `percent(1)`.
        code: The XID.
        policy: `nvidia`, `eks`, or a mapping of XIDs to actions.

    """

    kind: ClassVar[Kind] = "gpu"
    card: ClassVar[FaultCard] = FaultCard(
        family="gpu",
        layer="gpu",
        signals=("device taint", "allocatable", "condition", "pod status", "metric"),
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

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if isinstance(self.code, bool) or not isinstance(self.code, int):
            raise BadInput(f"GpuXid(code={self.code!r}): give the number of an XID")
        action_for(self.code, self.policy)

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

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return metrics, and by the action conditions, ends of pods, and the GPU."""
        made: list[Change] = [metrics(name, xid=self.code) for name in targets]
        if self.action is Action.IGNORE:
            return made
        made += conditions(
            targets,
            "SysLogsXIDError",
            f"ErrorCode:{self.code} Recommended Action={self.action.name}",
        )
        if self.action is not Action.RESTART_APP:
            made += unusable(world, targets, str(self.code))
        return [*made, *_ends(world, targets)]


@dataclass(frozen=True, slots=True)
class GpuLost(Fault):
    """
    GPUs have fallen off the bus: the driver no longer sees them.

    Changes: they have no series any more, their pods end (exit code 134), their node
    carries the condition SysLogsGPUFallenOff, and they cannot be used: a device taint
    with the effect NoExecute where GPUs are devices, else one less on the node.

    Args:
        target: A GPU such as `dgx-h100-0003/gpu-5`, several, or an expression such as
            `gpu_of(handle)`, `percent(1)`.

    """

    kind: ClassVar[Kind] = "gpu"
    card: ClassVar[FaultCard] = FaultCard(
        family="gpu",
        layer="gpu",
        signals=("device taint", "allocatable", "condition", "pod status", "metric"),
        stands_for="XID 79, a loose riser, a PCIe switch or a GPU without power",
        source="NVIDIA, XID 79; NVSentinel, SysLogsGPUFallenOff; KEP-5055",
        certifies="that a node with fewer GPUs is used for what it still has",
        does_not_certify="that the loss is detected: its report is what is made here",
    )

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: the other GPUs of a node go on."""
        del world, targets
        return frozenset()

    def pods_hit(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return the pods that hold the GPUs."""
        return uids_of(world, pods_on(world, targets))

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return metrics, conditions, ends of pods, and the GPUs."""
        return [
            *(metrics(name, lost=True, xid=_FALLEN_OFF) for name in targets),
            *conditions(targets, "SysLogsGPUFallenOff", "GPU has fallen off the bus"),
            *unusable(world, targets, str(_FALLEN_OFF)),
            *_ends(world, targets),
        ]

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return how many GPUs are reported lost."""
        del world, started_s, now_s
        return Signal(name="lost", evidence=f"{len(targets)} GPUs are reported lost")


def metrics(name: str, **values: Any) -> Change:  # noqa: ANN401 - fields of GpuSignal
    """Return the change of a GPU's series."""
    owner, index = split(name)
    return GpuMetrics(node=owner, gpu=index, values=values, signal="metric")


def conditions(targets: Sequence[str], kind: str, message: str) -> list[Change]:
    """Return the condition on each node of some GPUs, as a health agent writes it."""
    by_node: dict[str, list[str]] = {}
    for name in targets:
        owner, index = split(name)
        by_node.setdefault(owner, []).append(f"GPU:{index}")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        Edit(
            ref=node(owner),
            way=("status", "conditions", {"type": kind}),
            value={
                "type": kind,
                "status": "True",
                "reason": f"{kind}IsNotHealthy",
                "message": f"{message} {' '.join(gpus)}",
                "lastTransitionTime": now,
            },
            subresource="status",
            signal="condition",
        )
        for owner, gpus in by_node.items()
    ]


def _ends(world: World, targets: Sequence[str]) -> list[Change]:
    return [end_of(world, name, _ABORTED, "Error") for name in pods_on(world, targets)]
