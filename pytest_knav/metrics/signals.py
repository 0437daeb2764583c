"""What faults have done to GPUs, as far as only their metrics tell."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NicTrouble:
    """
    What one cause does to a NIC.

    Attributes:
        down: Whether its port has no link.
        rate_share: The share of its line rate that its link was trained to.

    """

    down: bool = False
    rate_share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NicSignal:
    """
    How the metrics of one NIC differ from those of a sound one.

    Attributes:
        causes: What is wrong with it, by what has caused it.
        times_down: How often its link went down; only the exporter's end resets it.

    """

    causes: Mapping[str, NicTrouble] = field(default_factory=dict)
    times_down: int = 0

    @property
    def down(self) -> bool:
        """Return whether its port has no link."""
        return any(trouble.down for trouble in self.causes.values())

    @property
    def rate_share(self) -> float:
        """Return the share of its line rate that its link was trained to."""
        return min((t.rate_share for t in self.causes.values()), default=1.0)


SOUND = GpuSignal()
LINKED = NicSignal()


class GpuSignals:
    """The signals of all GPUs and NICs of a cluster, by node and index; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._signals: dict[str, dict[int, GpuSignal]] = defaultdict(dict)
        self._nics: dict[str, dict[int, NicSignal]] = defaultdict(dict)

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

    def nics_of(self, node: str) -> Mapping[int, NicSignal]:
        """Return the signals of a node's NICs; those that are not in it are sound."""
        with self._lock:
            return dict(self._nics[node]) if node in self._nics else {}

    def trouble_nic(
        self, node: str, nic: int, cause: str, trouble: NicTrouble | None
    ) -> None:
        """Let a cause trouble a NIC, or no more; each loss of its link is counted."""
        with self._lock:
            before = self._nics[node].get(nic, LINKED)
            causes = {k: v for k, v in before.causes.items() if k != cause}
            if trouble is not None:
                causes[cause] = trouble
            now = replace(before, causes=causes)
            lost = int(now.down and not before.down)
            self._nics[node][nic] = replace(now, times_down=before.times_down + lost)

    def clear(self) -> None:
        """Make every GPU and NIC sound."""
        with self._lock:
            self._signals.clear()
            self._nics.clear()
