"""GPUs that are slow though they work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, FaultCard
from pytest_knav.faults.gpu.holders import split
from pytest_knav.faults.gpu.reports import metrics


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind


@dataclass(frozen=True, slots=True)
class GpuThrottle(Fault):
    """
    GPUs run hot and draw less power than they could.

    Changes: their series alone: temperature and power. Nothing in the API tells of it,
    so that a scheduler acts on metrics or not at all.

    Args:
        target: A GPU such as `dgx-h100-0003/gpu-5`, several, or an expression such as
            `gpu_of(handle)`, `percent(1)`.
        temperature_c: What the series say, in degrees Celsius.
        power_share: The share of its power that it still draws at most, from 0 to 1.

    """

    kind: ClassVar[Kind] = "gpu"
    card: ClassVar[FaultCard] = FaultCard(
        family="gpu",
        layer="gpu",
        signals=("metric",),
        stands_for="a failed fan, a hot aisle, a power cap: a straggler",
        source="NVIDIA, DCGM fields GPU_TEMP and POWER_USAGE; arXiv 2410.21680",
        certifies="what a scheduler that reads GPU metrics does with a hot GPU",
        does_not_certify="that work on it is slower: time is not simulated",
    )

    temperature_c: float = 92.0
    power_share: float = 0.5

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        for name, low, high in (("temperature_c", 0, 150), ("power_share", 0, 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise BadInput(f"GpuThrottle({name}={value!r}): give a number")
            if not low < value <= high:
                raise BadInput(
                    f"GpuThrottle({name}={value!r}): give more than {low}, at most "
                    f"{high}"
                )

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: work goes on."""
        del world, targets
        return frozenset()

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the series of each GPU."""
        made = []
        for name in targets:
            owner, index = split(name)
            watts = world.topology.node(owner).gpu(index).model.power_w
            made.append(
                metrics(
                    name,
                    temperature_c=float(self.temperature_c),
                    power_cap_w=watts * self.power_share,
                )
            )
        return made
