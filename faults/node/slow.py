"""Nodes whose heartbeats are late, and not late enough to be lost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane import changes as changing
from pytest_knav.control_plane.changes import label_node
from pytest_knav.control_plane.kwokctl import KUBELET_LABEL, KUBELET_RUNNING
from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.faults.base import Fault, FaultCard, Signal
from pytest_knav.faults.node.crash import (
    SILENT_INTERVALS,
    NodeCrash,
    last_renewal_s,
)
from pytest_knav.faults.node.states import check_alive
from pytest_knav.history.record import STEP


if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence
    from threading import Event

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

# What is left of the grace period by default; a busy machine makes what is late later.
_OF_GRACE: Final = 0.7
_OF_GRACE_MAX: Final = 0.9
# How long the played kubelet is there for each heartbeat: it renews its lease at once,
# and plays the pods that came meanwhile.
_AWAKE_S: Final = 0.5
_AWAKE_MAX_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class SlowHeartbeats(Fault):
    """
    Nodes renew their leases late, but never so late that they are taken for lost.

    Changes: KWOK is held off the nodes and let in again for half a second each `every`.
    It renews the lease then, and starts and ends the pods that came meanwhile: a host
    that is slow in one thing is slow in all. The node stays Ready, and no taint comes,
    as long as the control plane keeps to its grace period.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.
        every: From one renewal to the next; by default seven tenths of the grace
            period of the cluster's time profile.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="node",
        layer="node",
        signals=("lease",),
        stands_for="an overloaded host, a slow disk under the kubelet, a congested "
        "management network, an API server that answers late",
        source="Kubernetes, pkg/controller/nodelifecycle (node-monitor-grace-period); "
        "KEP-589",
        certifies=(
            "that work stays where it is while heartbeats are late within the grace "
            "period: no taint, no eviction, no second copy"
        ),
        does_not_certify="that work on a slow host is slow; that its probes pass",
        undone="the kubelets renew their leases in time again",
    )

    every: Duration | None = None

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if self.every is not None:
            seconds(self.every, name="every")

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: work goes on."""
        del world, targets
        return frozenset()

    def check(self, world: World, targets: Sequence[str]) -> None:
        """Return when it is late, and not lost, here; else as `Fault.check`."""
        check_alive(self.name, world, targets)
        profile, every_s = world.profile, self._every_s(world)
        late_s = SILENT_INTERVALS * profile.renew_interval_s
        most_s = _OF_GRACE_MAX * profile.monitor_grace_s
        if not late_s < every_s <= most_s:
            raise BadInput(
                f"SlowHeartbeats(every={every_s:g}s): in the time profile "
                f"{profile.name} kubelets renew each {profile.renew_interval_s:g}s and "
                f"are lost after {profile.monitor_grace_s:g}s: give more than "
                f"{late_s:g}s, at most {most_s:g}s"
            )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the removal of the label by which KWOK takes care of a node."""
        del world
        return [
            label_node(name, KUBELET_LABEL, None, KUBELET_RUNNING) for name in targets
        ]

    def act(
        self,
        world: World,
        targets: Sequence[str],
        choose: random.Random,
        stop: Event,
    ) -> None:
        """Let the kubelets renew their leases when that is due."""
        del choose
        asleep = self.changes(world, targets)
        awake = [back for change in asleep for back in change.inverse(world.plane)]
        due_s = time.monotonic()
        while True:
            due_s += self._every_s(world)
            if stop.wait(max(0.0, due_s - time.monotonic())):
                return
            try:
                changing.apply(world.plane, awake)
                self._await_renewals(world, targets, stop)
                changing.apply(world.plane, asleep)
            except ClusterError as error:
                # As with a kubelet: while the API server is away nothing is renewed.
                world.recorder.note(STEP, "SLOW", f"left out: {error}")

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return that the renewal of every target is late, and no target is lost."""
        del started_s
        late_s = SILENT_INTERVALS * world.profile.renew_interval_s
        renewed = [last_renewal_s(world, name) for name in targets]
        gaps = [
            max(longest_gap_s(world, name), now_s - at)
            for name, at in zip(targets, renewed, strict=True)
        ]
        if min(gaps) <= late_s:
            return None
        return Signal(
            name="late",
            evidence=f"{len(targets)} leases, no renewal for {min(gaps):.1f}s or more",
        )

    def cleared(
        self, world: World, targets: Sequence[str], cleared_s: float
    ) -> Signal | None:
        """Return that every target renews its lease and is Ready."""
        return NodeCrash.cleared(NodeCrash(self.target), world, targets, cleared_s)

    def timeouts_s(self, world: World) -> Mapping[str, float]:
        """Return those of a crash."""
        return NodeCrash.timeouts_s(NodeCrash(self.target), world)

    def _every_s(self, world: World) -> float:
        if self.every is None:
            return _OF_GRACE * world.profile.monitor_grace_s
        return seconds(self.every, name="every")

    def _await_renewals(
        self, world: World, targets: Sequence[str], stop: Event
    ) -> None:
        """Return when every lease was renewed, and pods have had a moment."""
        woken_s = time.monotonic()

        def renewed(_: Any) -> bool:  # noqa: ANN401 - the history, which the world has
            if stop.is_set():
                return True
            return all(last_renewal_s(world, name) >= woken_s for name in targets)

        world.recorder.wait(renewed, _AWAKE_MAX_S)
        stop.wait(max(0.0, woken_s + _AWAKE_S - time.monotonic()))


def longest_gap_s(world: World, node: str) -> float:
    """Return the longest time between the last renewals of a node's lease, as seen."""
    lease = world.history.get("Lease", "kube-node-lease", node)
    if lease is None:
        return 0.0
    versions = world.history.versions(lease["metadata"]["uid"])[-3:]
    at_s = [version.monotonic for version in versions]
    return max((b - a for a, b in pairwise(at_s)), default=0.0)
