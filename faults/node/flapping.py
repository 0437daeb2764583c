"""Nodes that come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal, get_args

from pytest_knav.control_plane import changes as changing
from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.faults.base import FaultCard, Signal
from pytest_knav.faults.node.crash import SILENT_INTERVALS, NodeCrash
from pytest_knav.faults.node.kubelet import NodeNotReady
from pytest_knav.faults.node.states import check_alive
from pytest_knav.history.record import STEP


if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence
    from threading import Event

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import Fault, World

Way = Literal["condition", "lease"]
_WAYS: Final[tuple[Way, ...]] = get_args(Way)


@dataclass(frozen=True, slots=True)
class NodeFlapping(NodeCrash):
    """
    Nodes fail and come back, again and again.

    Changes: by `condition`, kubelets say Ready=False for the first part of each period
    and Ready=True for the rest, as NodeNotReady does it once. By `lease`, they are
    silent for that part, as in NodeCrash; whether the control plane notices hangs on
    the grace period: with a shorter silence the node stays Ready and its heartbeats
    have holes. It begins with a failure and ends whole, wherever it is cleared.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.
        period: From one failure to the next.
        down: The share of a period for which it is down, above 0 and below 1.
        by: `condition` or `lease`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="node",
        layer="node",
        signals=("condition", "lease", "taint", "event"),
        stands_for="a flapping network link, a kubelet that is restarted again and "
        "again, a container runtime that hangs and recovers",
        source="Kubernetes, pkg/controller/nodelifecycle; Alibaba HPN (SIGCOMM 2024): "
        "5,000 to 60,000 link flaps a day",
        certifies=(
            "that work is not moved back and forth, and that a scheduler keeps its "
            "promises when nodes come and go faster than it settles"
        ),
        does_not_certify="what a flap does to connections and processes",
        undone="the kubelets are well and renew their leases, whatever part it was in",
    )

    period: Duration = "10s"
    down: float = 0.5
    by: Way = "condition"

    def __post_init__(self) -> None:
        NodeCrash.__post_init__(self)
        if seconds(self.period, name="period") <= 0:
            raise BadInput(f"NodeFlapping(period={self.period!r}): give more than 0")
        number = isinstance(self.down, int | float) and not isinstance(self.down, bool)
        if not number or not 0 < self.down < 1:
            raise BadInput(
                f"NodeFlapping(down={self.down!r}): give a number above 0, below 1"
            )
        if self.by not in _WAYS:
            raise BadInput(
                f"NodeFlapping(by={self.by!r}): use one of {', '.join(_WAYS)}"
            )

    @property
    def down_s(self) -> float:
        """Return for how long of each period it is down."""
        return seconds(self.period, name="period") * self.down

    def check(self, world: World, targets: Sequence[str]) -> None:
        """Return when it can be seen with this time profile; else as `Fault.check`."""
        check_alive(self.name, world, targets)
        silent_s = SILENT_INTERVALS * world.profile.renew_interval_s
        if self.by == "lease" and self.down_s <= silent_s:
            raise BadInput(
                f"{self.name}: it is silent for {self.down_s:g}s of each period, which "
                f"nobody can tell from a sound node: kubelets renew their leases each "
                f"{world.profile.renew_interval_s:g}s in the time profile "
                f"{world.profile.name}: give more than {silent_s:g}s"
            )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the first failure."""
        return self._once.changes(world, targets)

    def act(
        self,
        world: World,
        targets: Sequence[str],
        choose: random.Random,
        stop: Event,
    ) -> None:
        """Bring the nodes back and let them fail again, in time."""
        del choose
        fail = [c for c in self.chosen(world, targets) if c.signal != "event"]
        recover = [back for change in fail for back in change.inverse(world.plane)]
        up_s = seconds(self.period, name="period") - self.down_s
        while not stop.wait(self.down_s):
            _try(world, recover)
            if stop.wait(up_s):
                return
            _try(world, fail)

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return that every target has failed for the first time."""
        return self._once.signal(world, targets, started_s, now_s)

    def detected(self, world: World, targets: Sequence[str]) -> Signal | None:
        """Return that every target is tainted, at the same moment."""
        return self._once.detected(world, targets)

    def cleared(
        self, world: World, targets: Sequence[str], cleared_s: float
    ) -> Signal | None:
        """Return that every target is Ready, without a taint, and renews its lease."""
        if not NodeNotReady.cleared(self._not_ready, world, targets, cleared_s):
            return None
        return NodeCrash.cleared(self, world, targets, cleared_s)

    def timeouts_s(self, world: World) -> Mapping[str, float]:
        """Return those of a crash, and a period for each."""
        limits = NodeCrash.timeouts_s(self, world)
        more_s = seconds(self.period, name="period")
        return {what: limit_s + more_s for what, limit_s in limits.items()}

    @property
    def _once(self) -> Fault:
        return NodeCrash(self.target) if self.by == "lease" else self._not_ready

    @property
    def _not_ready(self) -> NodeNotReady:
        return NodeNotReady(self.target)


def _try(world: World, changes: Sequence[Change]) -> None:
    """Make changes; while the API server is away, this part of a period is left out."""
    try:
        changing.apply(world.plane, changes)
    except ClusterError as error:
        world.recorder.note(STEP, "FLAP", f"left out: {error}")
