"""Links that work at less than their full rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pytest_knav.control_plane.changes import NicMetrics, Report, node
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import FaultCard
from pytest_knav.faults.link.agent import DEGRADED, OfFabric, nics_by_node


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind


@dataclass(frozen=True, slots=True)
class DegradedBandwidth(OfFabric):
    """
    Links of NICs work at a share of their rate: work on them is slow, and goes on.

    Changes: the series node_infiniband_rate_bytes_per_second, and an event of the node
    with the reason InfiniBandDegradationCheckIsNotHealthy: health agents report less
    than full speed without calling the node bad. Nothing is broken by it, so nothing
    counts as hit.

    Args:
        target: A NIC such as `dgx-h100-0003/nic-3`, several, or an expression such as
            `nic_of(handle, 3)`, `percent(10)`.
        share: Of the line rate that is left, between 0 and 1.
        fabric: `infiniband` or `ethernet`: by which name the agent reports it.
        taint: What the agent taints the node with, `key=value:NoSchedule`; by default
            nothing.
        label: What the agent labels the node with, `key=value`; by default nothing.
        detect_after: How long it takes the agent; by default as the time profile says:
            at once in `fast`, 5 minutes in `real`.

    """

    kind: ClassVar[Kind] = "nic"
    card: ClassVar[FaultCard] = FaultCard(
        family="link",
        layer="link",
        signals=("event", "metric", "taint", "label"),
        stands_for="a link trained to fewer lanes, symbol errors, a congested port: a "
        "straggler",
        source="NVIDIA NVSentinel, NIC health monitor (degradation checks are not "
        "fatal: events); node_exporter, collector infiniband",
        certifies="what a scheduler that reads events, labels or metrics does with a "
        "node whose links are slow",
        does_not_certify="that work on it is slower: time is not simulated",
    )

    share: float = 0.5

    def __post_init__(self) -> None:
        OfFabric.__post_init__(self)
        share = self.share
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise BadInput(f"DegradedBandwidth(share={share!r}): give a number")
        if not 0 < share < 1:
            raise BadInput(
                f"DegradedBandwidth(share={share!r}): give more than 0, less than 1"
            )

    def fabric_loss(
        self, world: World, targets: Sequence[str]
    ) -> Mapping[str, str | None]:
        """Return nothing: everybody reaches everybody."""
        del world, targets
        return {}

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return series and events, and what else the agent marks."""
        by_node = nics_by_node(targets)
        made: list[Change] = [
            NicMetrics(
                node=owner,
                nic=index,
                cause=f"{owner}/nic-{index}",
                rate_share=float(self.share),
                signal="metric",
            )
            for owner, indices in by_node.items()
            for index in indices
        ]
        told: list[Change] = [
            self._event(world, owner, indices) for owner, indices in by_node.items()
        ]
        return [*made, *self.told(world, [*told, *self.marks(by_node)])]

    def _event(self, world: World, owner: str, indices: Sequence[int]) -> Change:
        """Return what the health agent says of the NICs of a node."""
        nics = world.topology.node(owner).machine.nics
        ports = "; ".join(
            f"NIC:mlx5_{i} NICPort:1 rate {nics[i].gbps * self.share:g} of "
            f"{nics[i].gbps} Gb/s"
            for i in indices
        )
        found = world.history.get("Node", "", owner) or {"metadata": {"uid": owner}}
        return Report(
            ref=node(owner),
            uid=found["metadata"]["uid"],
            component="nic-health-monitor",
            reason=f"{DEGRADED[self.fabric]}IsNotHealthy",
            message=ports,
            signal="event",
        )
