"""NICs that lose their link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pytest_knav.faults.base import FaultCard
from pytest_knav.faults.link.agent import OfFabric, split_nic


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind


@dataclass(frozen=True, slots=True)
class NicDown(OfFabric):
    """
    NICs of the compute fabric have no link: a rail port is down.

    Changes: their node carries the condition InfiniBandStateCheck (or
    EthernetStateCheck), and their series node_infiniband_state_id says 1 (down). The
    node stays Ready, also when all its NICs are down: the kubelet speaks over the
    management network. Collectives with a member on the node lose that member (see
    `on_member_loss`), unless all of their members run on one node: which NICs a pod
    uses the API does not say, so every NIC of its node counts.

    Args:
        target: A NIC such as `dgx-h100-0003/nic-3`, a pattern such as
            `dgx-h100-0003/nic-*`, or an expression such as `nic_of(handle, 3)`,
            `percent(1)`.
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
        signals=("condition", "metric", "taint", "label"),
        stands_for="a pulled or dirty cable, a dead transceiver, a failed adapter",
        source="NVIDIA NVSentinel, NIC health monitor (link state); node_exporter, "
        "collector infiniband; Alibaba HPN (0.057 % of NIC links a month); Llama 3 "
        "(arXiv 2407.21783): 7 of 419 interruptions",
        certifies="what comes of a collective that has lost a rail on a node that is "
        "Ready, and whether a node that is reported bad is avoided",
        does_not_certify="that the loss is detected: its report is what is made here; "
        "failover between NICs; bandwidth",
    )

    def fabric_loss(
        self, world: World, targets: Sequence[str]
    ) -> Mapping[str, str | None]:
        """Return the nodes of the NICs."""
        del world
        return {split_nic(name)[0]: None for name in targets}

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return series and condition, and what else the agent marks."""
        return self.lost_links(world, {name: name for name in targets})
