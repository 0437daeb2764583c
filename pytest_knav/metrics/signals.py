"""What faults have done to GPUs, as far as only their metrics tell."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSignal:
    """
    How the metrics of one GPU differ from those of a sound one.

    Attributes:
        xid: The last XID error; 0 for none.
        lost: Whether the driver no longer sees it: it has no series then, as with
            dcgm-exporter.
        temperature_c: Its temperature, whatever its load; None to follow the load.
        power_cap_w: The most it draws; None for what its model can.
        nvlink_down: Whether nothing passes its NVLinks.
        remapped_rows: Rows of memory remapped for uncorrectable errors.
        remap_failure: Whether a row could not be remapped.

    """

    xid: int = 0
    lost: bool = False
    temperature_c: float | None = None
    power_cap_w: float | None = None
    nvlink_down: bool = False
    remapped_rows: int = 0
    remap_failure: bool = False


SOUND = GpuSignal()


class GpuSignals:
    """The signals of every GPU of a cluster, by node and index; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._signals: dict[str, dict[int, GpuSignal]] = defaultdict(dict)

    def of(self, node: str) -> Mapping[int, GpuSignal]:
        """Return the signals of a node's GPUs; those that are not in it are sound."""
        with self._lock:
            return dict(self._signals[node]) if node in self._signals else {}

    def change(self, node: str, gpu: int, **changes: Any) -> GpuSignal:  # noqa: ANN401 - the fields of a GpuSignal
        """Change some of a GPU's signals; return all of them as they were before."""
        with self._lock:
            before = self._signals[node].get(gpu, SOUND)
            self._signals[node][gpu] = replace(before, **changes)
            return before

    def put(self, node: str, gpu: int, signal: GpuSignal) -> None:
        """Set a GPU's signals to what `change` returned, or anything else."""
        with self._lock:
            self._signals[node][gpu] = signal

    def clear(self) -> None:
        """Make every GPU sound."""
        with self._lock:
            self._signals.clear()
