"""
NIC series under the names of node_exporter's collector `infiniband`.

Names, units and values are those of its collector/infiniband_linux.go; the devices are
called as the driver of NVIDIA's adapters calls them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_knav.metrics.current import Current
from pytest_knav.metrics.signals import LINKED
from pytest_knav.metrics.text import Family, labels, page


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_knav.history import History
    from pytest_knav.metrics.signals import GpuSignals, NicSignal
    from pytest_knav.topology import NodeSpec, Topology

FAMILIES: Final = (
    Family(
        "node_infiniband_state_id",
        "gauge",
        "State of the InfiniBand port (0: no change, 1: down, 2: init, 3: armed, "
        "4: active, 5: act defer)",
    ),
    Family(
        "node_infiniband_physical_state_id",
        "gauge",
        "Physical state of the InfiniBand port (0: no change, 1: sleep, 2: polling, "
        "3: disable, 4: shift, 5: link up, 6: link error recover, 7: phytest)",
    ),
    Family(
        "node_infiniband_rate_bytes_per_second",
        "gauge",
        "Maximum signal transfer rate",
    ),
    Family(
        "node_infiniband_link_downed_total",
        "counter",
        "Number of times the link failed to recover from an error state and went down",
    ),
)
_ACTIVE, _DOWN = "4", "1"
_LINK_UP, _POLLING = "5", "2"


class NicSeries:
    """
    Writes the page of all NICs of the compute fabric.

    Args:
        topology: The simulated machines.
        signals: What faults have done to them.
        served: Whether the exporter of a node is alive, given its Node object.

    """

    def __init__(
        self,
        topology: Topology,
        signals: GpuSignals,
        served: Callable[[Mapping[str, Any]], bool],
    ) -> None:
        self._signals = signals
        self._served = served
        self._specs = topology.nodes
        self._nodes = Current("Node")
        self._alive: dict[str, str] = {}
        self._sound: dict[str, list[tuple[str, ...]]] = {}

    def text(self, history: History) -> str:
        """Return the series of every NIC of the nodes that are up, as they are now."""
        changes = self._nodes.look(history)
        for uid, node in changes.changed.items():
            self._alive.pop(uid, None)
            if self._served(node):
                self._alive[uid] = node["metadata"]["name"]
        for uid in changes.gone:
            self._alive.pop(uid, None)
        alive = set(self._alive.values())
        parts = [
            lines
            for node in self._specs
            if node.name in alive
            for lines in self._of_node(node)
        ]
        return page(FAMILIES, parts)

    def _of_node(self, node: NodeSpec) -> list[tuple[str, ...]]:
        signals = self._signals.nics_of(node.name)
        if node.name not in self._sound:
            self._sound[node.name] = [
                _lines(node, index, LINKED) for index in range(len(node.machine.nics))
            ]
        sound = self._sound[node.name]
        return [
            _lines(node, index, signals[index]) if index in signals else lines
            for index, lines in enumerate(sound)
        ]


def _lines(node: NodeSpec, index: int, signal: NicSignal) -> tuple[str, ...]:
    own = labels(("device", f"mlx5_{index}"), ("node", node.name), ("port", "1"))
    rate = node.machine.nics[index].gbps * 1e9 / 8 * signal.rate_share
    values = (
        _DOWN if signal.down else _ACTIVE,
        _POLLING if signal.down else _LINK_UP,
        f"{rate:.0f}",
        str(signal.times_down),
    )
    return tuple(
        f"{family.name}{{{own}}} {value}\n"
        for family, value in zip(FAMILIES, values, strict=True)
    )
