"""
GPU series under the names, units and labels of dcgm-exporter.

Names and types are those of its etc/dcp-metrics-included.csv, the default of its Helm
chart. What a simulated GPU has no cause to know, such as clocks or PCIe traffic, is
left out, and so are the labels `pci_bus_id` and `DCGM_FI_DRIVER_VERSION`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from pytest_knav.metrics.assignment import Assignment, Holder
from pytest_knav.metrics.current import Current
from pytest_knav.metrics.signals import SOUND, GpuSignal
from pytest_knav.metrics.text import Family, labels, page
from pytest_knav.metrics.xid import describe


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_knav.history import History
    from pytest_knav.metrics.signals import GpuSignals
    from pytest_knav.topology import NodeSpec, Topology

FAMILIES: Final = (
    Family("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %)."),
    Family(
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "gauge",
        "Ratio of time the graphics engine is active.",
    ),
    Family("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB)."),
    Family("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB)."),
    Family("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W)."),
    Family("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C)."),
    Family(
        "DCGM_FI_DEV_XID_ERRORS", "gauge", "Value of the last XID error encountered."
    ),
    Family(
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "counter",
        "Number of remapped rows for uncorrectable errors",
    ),
    Family(
        "DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping of rows has failed"
    ),
    Family(
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "counter",
        "Total energy consumption since boot (in mJ).",
    ),
    Family(
        "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
        "counter",
        "Total number of NVLink bandwidth counters for all lanes.",
    ),
)
# The last two of them grow with time; the others change with load and signals alone.
_STEADY: Final = len(FAMILIES) - 2

# A model of a GPU, good enough to tell busy from idle and capped from free. An H100 SXM
# of 700 W idles at about 70 W and 30 C, and runs at about 70 C.
_IDLE_POWER_SHARE: Final = 0.1
_IDLE_C: Final = 30.0
_BUSY_C: Final = 70.0
# Training frameworks reserve nearly all memory at the start (PyTorch's and JAX's
# allocators; JAX takes three quarters at once).
_HELD_MEMORY_SHARE: Final = 0.9
_NVLINK_SHARE: Final = 0.25
# Where no profile says anything, a GPU that a running pod holds is busy.
_BUSY_PERCENT: Final = 100.0


class GpuLoad(Protocol):
    """Who knows how busy GPUs are."""

    def gpu_percent(
        self, pod: tuple[str, str] | None, node: str, gpu: int, now_s: float
    ) -> float | None:
        """
        Return how busy a GPU is, from 0 to 100; None where nobody has said.

        Args:
            pod: Namespace and name of the pod that holds it; None when it is free.
            node: The node it sits in.
            gpu: Its index in the node.
            now_s: The time on the monotonic clock.

        """
        ...


class NoLoad:
    """Says nothing of any GPU."""

    def gpu_percent(
        self, pod: tuple[str, str] | None, node: str, gpu: int, now_s: float
    ) -> float | None:
        """Return None."""
        del pod, node, gpu, now_s
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFacts:
    """What the series of one GPU are made of and never changes."""

    index: int
    labels: str
    memory_mib: int
    power_w: float
    nvlink_mb_s: float


def gpus_of(node: NodeSpec) -> tuple[GpuFacts, ...]:
    """Return the GPUs of a node that dcgm-exporter would serve: those of NVIDIA."""
    model = node.machine.gpu
    if model is None or model.vendor != "nvidia":
        return ()
    found = []
    for index in range(node.gpus):
        own = labels(
            ("gpu", str(index)),
            ("UUID", node.gpu(index).uuid),
            ("device", f"nvidia{index}"),
            ("modelName", model_name(model.product)),
            ("Hostname", node.name),
        )
        found.append(
            GpuFacts(
                index=index,
                labels=own,
                memory_mib=model.memory_mib,
                power_w=model.power_w,
                nvlink_mb_s=model.scale_up_gbps * 1000 / 8 * _NVLINK_SHARE,
            )
        )
    return tuple(found)


def model_name(product: str) -> str:
    """
    Return the driver's name of a model from that of GPU feature discovery.

    The latter has dashes for spaces, but the driver writes some dashes itself:
    `NVIDIA A100-SXM4-80GB`.
    """
    spaced = product.replace("-", " ")
    return re.sub(r"(\w+) (SXM\d|PCIE) (\d+GB)\b", r"\1-\2-\3", spaced)


class GpuSeries:
    """
    Writes the page of all GPUs of a topology.

    Args:
        topology: The simulated machines.
        signals: What faults have done to them.
        load: How busy they are.
        served: Whether the exporter of a node is alive, given its Node object.

    """

    def __init__(
        self,
        topology: Topology,
        signals: GpuSignals,
        load: GpuLoad,
        served: Callable[[Mapping[str, Any]], bool],
    ) -> None:
        self._signals = signals
        self._load = load
        self._served = served
        self._nodes = Current("Node")
        self._alive: dict[str, str] = {}
        self._assignment = Assignment(topology)
        self._gpus = {
            node.name: [_Gpu(node.name, facts) for facts in gpus_of(node)]
            for node in topology.nodes
        }
        self._asked_s: float | None = None

    def text(self, history: History, now_s: float) -> str:
        """Return the series of every GPU that is there, as they are now."""
        passed_s = 0.0 if self._asked_s is None else now_s - self._asked_s
        self._asked_s = now_s
        self._look_at_nodes(history)
        self._assignment.look(history)
        alive = set(self._alive.values())
        parts = []
        for node, gpus in self._gpus.items():
            if node not in alive:
                continue
            signals = self._signals.of(node)
            holders = self._assignment.holders(node)
            for gpu in gpus:
                signal = signals.get(gpu.facts.index, SOUND)
                if signal.lost:
                    continue
                holder = holders.get(gpu.facts.index)
                percent = self._percent(gpu, holder, now_s)
                parts.append(gpu.lines(holder, percent, signal, passed_s))
        return page(FAMILIES, parts)

    def _percent(self, gpu: _Gpu, holder: Holder | None, now_s: float) -> float:
        if holder is not None and not holder.running:
            return 0.0
        key = None if holder is None else holder.key
        said = self._load.gpu_percent(key, gpu.node, gpu.facts.index, now_s)
        if said is None:
            return 0.0 if holder is None else _BUSY_PERCENT
        return said

    def _look_at_nodes(self, history: History) -> None:
        changes = self._nodes.look(history)
        for uid, node in changes.changed.items():
            if self._served(node):
                self._alive[uid] = node["metadata"]["name"]
            else:
                self._alive.pop(uid, None)
        for uid in changes.gone:
            self._alive.pop(uid, None)


class _Gpu:
    """The lines of one GPU, made anew when something is different."""

    def __init__(self, node: str, facts: GpuFacts) -> None:
        self.node = node
        self.facts = facts
        self._made_for: tuple[Holder | None, float, GpuSignal] | None = None
        self._labels = facts.labels
        self._steady: tuple[str, ...] = ()
        self._power_w = 0.0
        self._nvlink_mb_s = 0.0
        self._energy_mj = 0.0
        self._nvlink_mb = 0.0

    def lines(
        self,
        holder: Holder | None,
        percent: float,
        signal: GpuSignal,
        passed_s: float,
    ) -> tuple[str, ...]:
        # What went by until now did so at the old rates.
        self._energy_mj += self._power_w * passed_s * 1000
        self._nvlink_mb += self._nvlink_mb_s * passed_s
        now = (holder, percent, signal)
        if self._made_for != now:
            self._made_for = now
            self._make(holder, percent, signal)
        return (
            *self._steady,
            f"{FAMILIES[-2].name}{{{self._labels}}} {self._energy_mj:.0f}\n",
            f"{FAMILIES[-1].name}{{{self._labels}}} {self._nvlink_mb:.0f}\n"
            if self.facts.nvlink_mb_s
            else "",
        )

    def _make(self, holder: Holder | None, percent: float, signal: GpuSignal) -> None:
        facts, busy = self.facts, percent / 100
        idle_w = facts.power_w * _IDLE_POWER_SHARE
        power_w = idle_w + (facts.power_w - idle_w) * busy
        if signal.power_cap_w is not None:
            power_w = min(power_w, signal.power_cap_w)
        celsius = signal.temperature_c
        if celsius is None:
            celsius = _IDLE_C + (_BUSY_C - _IDLE_C) * busy
        used = round(facts.memory_mib * _HELD_MEMORY_SHARE) if holder else 0
        self._power_w = power_w
        self._nvlink_mb_s = 0.0 if signal.nvlink_down else facts.nvlink_mb_s * busy
        self._labels = facts.labels + (f",{holder.labels}" if holder else "")
        values = (
            f"{percent:.0f}",
            f"{busy:.6f}",
            str(used),
            str(facts.memory_mib - used),
            f"{power_w:.6f}",
            f"{celsius:.0f}",
            str(signal.xid),
            str(signal.remapped_rows),
            str(int(signal.remap_failure)),
        )
        own = self._labels
        error = labels(("err_code", str(signal.xid)), ("err_msg", describe(signal.xid)))
        self._steady = tuple(
            f"{family.name}{{{own}{',' + error if 'XID' in family.name else ''}}} "
            f"{value}\n"
            for family, value in zip(FAMILIES[:_STEADY], values, strict=True)
        )
