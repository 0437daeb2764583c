"""Changes of what the metrics of a GPU say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_knav.control_plane.changes.base import Change, known
from pytest_knav.metrics.signals import SOUND


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes.base import Claim
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMetrics(Change):
    """
    Some of the signals of one GPU, as its series tell them.

    They are this process's own, and gone with it.

    Attributes:
        values: Fields of `pytest_knav.metrics.GpuSignal`.

    """

    op: ClassVar[str] = "gpu-metrics"

    node: str
    gpu: int
    values: Mapping[str, Any]

    @property
    def lane(self) -> str:
        """Return the GPU."""
        return f"metrics of {self.node}/gpu-{self.gpu}"

    @property
    def claims(self) -> frozenset[Claim]:
        """Return each of the fields."""
        return frozenset((self.lane, key) for key in self.values)

    def describe(self) -> str:
        """Return the GPU and the values."""
        return f"{self.lane}: {dict(self.values)}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make it."""
        plane.signals.change(self.node, self.gpu, **self.values)
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return the values that there are now."""
        now = asdict(plane.signals.of(self.node).get(self.gpu, SOUND))
        before = {key: now[key] for key in self.values}
        return [
            GpuMetrics(node=self.node, gpu=self.gpu, values=before, signal=self.signal)
        ]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the exporter has the values."""
        del history
        now = asdict(plane.signals.of(self.node).get(self.gpu, SOUND))
        return all(now[key] == value for key, value in self.values.items())

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the exporter has other values."""
        return not self.seen(plane, history)
