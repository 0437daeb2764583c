"""NVLink that is lost: of a GPU, of an NVSwitch, of a whole domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, FaultCard
from pytest_knav.faults.gpu.holders import check_gpus, pods_on, split, unusable
from pytest_knav.faults.gpu.reports import later, metrics
from pytest_knav.faults.link.agent import findings
from pytest_knav.faults.pod.ends import end_of, uids_of
from pytest_knav.topology.graph import Kind as Part


if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind

_XID: Final = 74
# A CUDA process that loses its peers aborts: 128 + SIGABRT.
_ABORTED: Final = 134


@dataclass(frozen=True, slots=True)
class NvlinkDown(Fault):
    """
    GPUs have lost their NVLink.

    Changes: the GPUs report XID 74 and move nothing over NVLink any more
    (DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL stands still), and the pods that hold them end
    (exit code 134). After `detect_after` a health agent tells of it: their node carries
    the condition GpuNvlinkWatch, and they cannot be used until they are reset: a device
    taint with the effect NoExecute where GPUs are devices, else one less for each on
    the node. With a domain, or an NVSwitch, it is every GPU of the domain: the fabric
    manager gives up where it is not told to go on with less (NVSWITCH_FAILURE_MODE=0,
    the default).

    Args:
        target: A GPU such as `dgx-h100-0003/gpu-5`, a domain such as `nvl-000`, an
            NVSwitch such as `dgx-h100-0003/nvswitch-0`, or an expression such as
            `nvlink_of(handle)`, `gpu_of(handle)`.
        detect_after: How long it takes the health agent; by default as the time profile
            says: at once in `fast`, 5 minutes in `real`.

    """

    kind: ClassVar[Kind] = "nvlink"
    card: ClassVar[FaultCard] = FaultCard(
        family="link",
        layer="link",
        signals=("device taint", "allocatable", "condition", "pod status", "metric"),
        stands_for="NVLink errors beyond retry (XID 74), a failed NVSwitch, a loose "
        "NVLink cartridge",
        source="NVIDIA, XID 74, and Fabric Manager user guide (NVSWITCH_FAILURE_MODE); "
        "NVSentinel, GpuNvlinkWatch (DCGM_FR_NVLINK_DOWN); arXiv 2503.11901 (XID 74 "
        "every 28 h of a node, 16 % on several GPUs)",
        certifies="that work on GPUs without NVLink is made again on others, and that "
        "nothing is put onto them until they are repaired",
        does_not_certify="that the loss is detected: its report is what is made here; "
        "XIDs 144 to 150 of newer GPUs; work that does without NVLink",
    )

    detect_after: Duration | None = None

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if self.detect_after is not None:
            seconds(self.detect_after, name="NvlinkDown(detect_after)")

    def check(self, world: World, targets: Sequence[str]) -> None:
        """Return when the GPUs are offered; else as `Fault.check`."""
        check_gpus(self.name, world, self._gpus(world, targets), "slice")

    def resolve(self, world: World, choose: random.Random) -> tuple[str, ...]:
        """Return domains, NVSwitches and GPUs; targets that are GPUs will do."""
        kind: Kind = "gpu" if self.aim.kind == "gpu" else self.kind
        names = self.aim.resolve(world, choose, kind)
        if not self._gpus(world, names):
            raise BadInput(f"{self.name}: {', '.join(names)} connects no GPUs")
        return names

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: what uses no such GPU goes on."""
        del world, targets
        return frozenset()

    def reach(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return the nodes of the GPUs."""
        return frozenset(split(name)[0] for name in self._gpus(world, targets))

    def pods_hit(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return the pods that hold the GPUs."""
        return uids_of(world, pods_on(world, self._gpus(world, targets)))

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return metrics, conditions, ends of pods, and the GPUs."""
        gpus = self._gpus(world, targets)
        by_node: dict[str, list[int]] = {}
        for owner, index in map(split, gpus):
            by_node.setdefault(owner, []).append(index)
        told: list[Change] = [
            findings(owner, "GpuNvlinkWatch", map(_lost, indices))
            for owner, indices in by_node.items()
        ]
        told += unusable(world, gpus, str(_XID))
        return [
            *(metrics(name, nvlink_down=True, xid=_XID) for name in gpus),
            *(end_of(world, name, _ABORTED, "Error") for name in pods_on(world, gpus)),
            *later(world, told, self.detect_after),
        ]

    def _gpus(self, world: World, targets: Sequence[str]) -> list[str]:
        """Return the GPUs that have lost their NVLink."""
        graph = world.topology.graph
        found: dict[str, None] = {}
        for name in targets:
            part = graph.component(name)
            if part.kind is Part.GPU:
                found[name] = None
                continue
            domain = name if part.kind is Part.DOMAIN else name.rpartition("/")[0]
            if part.kind is Part.NVSWITCH and part.node:
                domain = world.topology.node(part.node).nvlink_domain
            for owner in graph.by_domain.get(domain, ()):
                gpus = range(world.topology.node(owner).gpus)
                found |= dict.fromkeys(f"{owner}/gpu-{i}" for i in gpus)
        return list(found)


def _lost(index: int) -> str:
    return (
        f"ErrorCode:DCGM_FR_NVLINK_DOWN GPU:{index} GPU {index}'s NvLink link 0 is "
        "currently down Recommended Action=RESTART_VM"
    )
