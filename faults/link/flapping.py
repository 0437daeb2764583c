"""Links that come and go."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from pytest_knav.control_plane.changes import Edit, Findings, NicMetrics
from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.faults.base import FaultCard
from pytest_knav.faults.link.agent import OfFabric


if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from threading import Event

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind

# Of the length of each phase, by the seed: real links do not flap in step.
_JITTER = 0.25


@dataclass(frozen=True, slots=True)
class LinkFlapping(OfFabric):
    """
    Links of NICs go down and come back, again and again.

    Changes: as NicDown, for a share of each period; then all of it is taken back, until
    the next. How long each phase lasts is drawn by the seed around its length. It
    begins down, and node_infiniband_link_downed_total counts each time. Collectives
    are not broken: the adapter's retries outlast a link that comes back within seconds.

    Args:
        target: A NIC such as `dgx-h100-0003/nic-3`, several, or an expression such as
            `nic_of(handle, 3)`.
        period: From one loss to the next.
        duty: The share of each period in which the link is down, between 0 and 1.
        fabric: `infiniband` or `ethernet`: by which name the agent reports it.
        taint: What the agent taints the node with while it is down; by default nothing.
        label: What the agent labels the node with while it is down; by default nothing.
        detect_after: How long it takes the agent; by default as the time profile says:
            at once in `fast`, 5 minutes in `real`.

    """

    kind: ClassVar[Kind] = "nic"
    card: ClassVar[FaultCard] = FaultCard(
        family="link",
        layer="link",
        signals=("condition", "metric", "taint", "label"),
        stands_for="a loose or dirty connector, a transceiver that overheats",
        source="Alibaba HPN (5,000 to 60,000 flaps a day); NVIDIA NVSentinel, health "
        "events analyzer (a NIC that flaps 3 times an hour)",
        certifies="that a node whose health changes all the time does not make a "
        "scheduler move work back and forth",
        does_not_certify="what packets are lost; a link that stays down for longer "
        "than a collective waits: that is NicDown",
    )

    period: Duration = "2s"
    duty: float = 0.5

    def __post_init__(self) -> None:
        OfFabric.__post_init__(self)
        if seconds(self.period, name="LinkFlapping(period)") <= 0:
            raise BadInput(f"LinkFlapping(period={self.period!r}): more than 0")
        duty = self.duty
        if isinstance(duty, bool) or not isinstance(duty, int | float):
            raise BadInput(f"LinkFlapping(duty={duty!r}): give a number")
        if not 0 < duty < 1:
            raise BadInput(
                f"LinkFlapping(duty={duty!r}): give more than 0, less than 1"
            )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return series and condition, and what else the agent marks, while down."""
        return self.lost_links(world, {name: name for name in targets})

    def act(
        self,
        world: World,
        targets: Sequence[str],
        choose: random.Random,
        stop: Event,
    ) -> None:
        """Take back and make again what the fault has changed, until it is over."""
        down = self.chosen(world, targets)
        up = [_without(change) for change in down]
        period_s = seconds(self.period)
        try:
            while not stop.wait(_about(period_s * self.duty, choose)):
                _make(up, world)
                if stop.wait(_about(period_s * (1 - self.duty), choose)):
                    break
                _make(down, world)
        finally:
            # What takes the fault back looks for what the fault has made.
            _make(down, world)


def _about(length_s: float, choose: random.Random) -> float:
    return length_s * choose.uniform(1 - _JITTER, 1 + _JITTER)


def _without(change: Change) -> Change:
    """Return the change that shows a link as sound again."""
    if isinstance(change, NicMetrics | Findings):
        return replace(change, present=False)
    if isinstance(change, Edit):
        return replace(change, value=None, guarded=True, only_if=change.value)
    raise TypeError(f"{change} does not flap")


def _make(changes: Sequence[Change], world: World) -> None:
    for change in changes:
        # Where the API server is broken as well, nobody can be told of this turn.
        with suppress(ClusterError):
            change.apply(world.plane)
