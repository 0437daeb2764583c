"""GPUs whose memory fails: XIDs by the name of what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.errors import BadInput
from pytest_knav.faults.base import FaultCard
from pytest_knav.faults.gpu.reports import metrics
from pytest_knav.faults.gpu.xid import GpuXid


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change

_CATALOGUE: Final = (
    "NVIDIA, XID errors, catalogue for A100 and newer; NVIDIA GPU memory error "
    "management (row remapping, error containment); DCGM fields"
)


@dataclass(frozen=True, slots=True)
class _MemoryXid(GpuXid):
    """An XID of a GPU's memory: one of a few."""

    #: Its XIDs, and what each is.
    codes: ClassVar[Mapping[int, str]] = {}

    def __post_init__(self) -> None:
        GpuXid.__post_init__(self)
        if self.code not in self.codes:
            known = ", ".join(f"{code} ({what})" for code, what in self.codes.items())
            raise BadInput(
                f"{type(self).__name__}(code={self.code!r}): use one of {known}"
            )


@dataclass(frozen=True, slots=True)
class GpuEccError(_MemoryXid):
    """
    GPUs have an uncorrectable (double-bit) error in their memory.

    Changes: as GpuXid with 48, 94 or 95. With NVIDIA's table 48 and 95 end the pods and
    ask for a reset of the GPU, which cannot be used until then: clearing the fault is
    that reset. 94 was contained: one process ends, and the GPU goes on. Where a row
    remap comes with 48, drain the node too: `together(GpuEccError(gpu),
    NodeDrain(node))`, NVIDIA's DRAIN_AND_RESET.

    Args:
        target: A GPU such as `dgx-h100-0003/gpu-5`, several, or an expression such as
            `gpu_of(handle)`, `percent(1)`.
        code: 48 (double-bit error), 94 (contained) or 95 (uncontained).
        policy: `nvidia`, `eks`, or a mapping of XIDs to actions.
        detect_after: How long it takes a health agent; by default as the time profile
            says: at once in `fast`, 5 minutes in `real`.
        by: Who taints devices: `slice`, their driver, or `rule`, a DeviceTaintRule.

    """

    codes: ClassVar[Mapping[int, str]] = {
        48: "double-bit error",
        94: "contained",
        95: "uncontained",
    }
    card: ClassVar[FaultCard] = FaultCard(
        family="gpu",
        layer="gpu",
        signals=GpuXid.card.signals,
        stands_for="an uncorrectable error in HBM: XID 48, and on A100 and newer 94 "
        "where it was contained, 95 where it was not",
        source=_CATALOGUE,
        certifies="that work lost to a memory error is made again on other GPUs, and "
        "that a GPU that waits for its reset is left alone",
        does_not_certify="silent data corruption; errors that were corrected",
        undone="the GPU was reset: it can be used again",
    )

    code: int = 48


@dataclass(frozen=True, slots=True)
class GpuRowRemap(_MemoryXid):
    """
    GPUs replace a bad row of their memory, or have none left to replace it with.

    Changes: as GpuXid with 63 or 64; the series DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS
    and DCGM_FI_DEV_ROW_REMAP_FAILURE as well. With NVIDIA's table 63 asks for nothing:
    the remap is pending until the GPU is next reset, and work goes on. 64 asks for a
    reset, and in practice for another GPU.

    Args:
        target: A GPU such as `dgx-h100-0003/gpu-5`, several, or an expression such as
            `gpu_of(handle)`, `percent(1)`.
        code: 63 (remap pending) or 64 (remap failed).
        policy: `nvidia`, `eks`, or a mapping of XIDs to actions.
        detect_after: How long it takes a health agent; by default as the time profile
            says: at once in `fast`, 5 minutes in `real`.
        by: Who taints devices: `slice`, their driver, or `rule`, a DeviceTaintRule.

    """

    codes: ClassVar[Mapping[int, str]] = {63: "remap pending", 64: "remap failed"}
    card: ClassVar[FaultCard] = FaultCard(
        family="gpu",
        layer="gpu",
        signals=GpuXid.card.signals,
        stands_for="a row of HBM that is replaced by a spare one, or no longer can be",
        source=_CATALOGUE,
        certifies="that a pending remap moves nothing, and that a GPU without spare "
        "rows is left alone",
        does_not_certify="the reset that a pending remap needs; when it is due",
        undone="the GPU was reset or replaced: it can be used again",
    )

    code: int = 63

    def _series(self, targets: Sequence[str]) -> list[Change]:
        """Return the XID, the remapped row, and whether that failed."""
        failed = self.code == 64
        return [
            metrics(name, xid=self.code, remapped_rows=1, remap_failure=failed)
            for name in targets
        ]
