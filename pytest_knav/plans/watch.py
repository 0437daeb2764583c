"""A fault is what was seen of it: its signal, its detection, its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from pytest_knav.control_plane import retrying
from pytest_knav.errors import HarnessError, InjectionNotObserved
from pytest_knav.history.record import FAULT
from pytest_knav.plans.active import Moment


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.control_plane.cluster import Cluster
    from pytest_knav.faults.base import Fault, Signal
    from pytest_knav.history import History
    from pytest_knav.plans.active import ActiveFault

# How often a predicate is asked again when nothing new was recorded: absence of
# renewals is an effect that brings no event.
_POLL_S = 0.1
# A busy machine may need a while for a thousand leases.
_TAKEN_S = 60.0
# KWOK knows of a first renewal a moment later than whoever watches leases.
_FIRST_S = 0.1


class Watch:
    """
    Waits until what was done to a cluster is seen there, and writes down what was.

    Args:
        cluster: The cluster.

    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def note(self, verb: str, active: ActiveFault, data: Mapping[str, Any]) -> Moment:
        """Write a moment of a fault into the history, and return it."""
        record = self._cluster.recorder.note(FAULT, verb, active.id, dict(data))
        return Moment(
            monotonic_s=record.monotonic, wall_s=record.wall, revision=record.revision
        )

    def await_kubelets(self, fault: Fault, changes: Sequence[Change]) -> None:
        """
        Return when KWOK has the lease of each kubelet that changes take away from it.

        A node that is released during its first renewal stays with KWOK for good: it
        stores its hold after that was deleted (kwok 0.8, node_lease_controller.go,
        syncWorker and ReleaseHold). Such a node would not crash.

        Raises:
            HarnessError: It has not in time.

        """
        waiting = {change.takes_kubelet for change in changes} - {""}
        # A KWOK that has begun afresh waits for the leases of the one before to expire.
        limit_s = 2 * self._cluster.profile.lease_s + _TAKEN_S

        def taken(history: History) -> bool:
            now_s = time.monotonic()
            waiting.difference_update(
                [name for name in waiting if _is_taken(history, name, now_s)]
            )
            return not waiting

        if waiting and not self._cluster.recorder.wait(taken, limit_s, poll_s=_POLL_S):
            raise HarnessError(
                f"{fault.name}: KWOK has no lease of {min(waiting)} after "
                f"{limit_s:g}s, so no kubelet is there that could fail"
            )

    def await_signal(self, active: ActiveFault) -> None:
        """
        Return when the first effect of a fault has been recorded.

        Raises:
            InjectionNotObserved: It does not show in time.

        """
        targets, started_s = sorted(active.targets), active.started_at.monotonic_s

        def signal(_: History) -> Signal | None:
            return active.fault.signal(
                self._cluster, targets, started_s, time.monotonic()
            )

        limit_s = active.fault.timeouts_s(self._cluster)["signal"]
        self._await(active, "signal", active.begun, limit_s, signal)

    def await_detected(self, active: ActiveFault) -> None:
        """
        Return when the control plane, or an agent, has noticed a fault.

        Raises:
            InjectionNotObserved: It does not in time.

        """
        targets = sorted(active.targets)
        limit_s = active.fault.timeouts_s(self._cluster)["detected"] + active.late_s
        self._await(
            active,
            "detected",
            active.changes,
            limit_s,
            lambda _: active.fault.detected(self._cluster, targets),
        )

    def await_cleared(self, active: ActiveFault, cleared_s: float) -> None:
        """
        Return when all is seen to be well again.

        Args:
            active: A fault that was taken back.
            cleared_s: When that was, on the monotonic clock.

        Raises:
            HarnessError: It is not in time.

        """
        limit_s = active.fault.timeouts_s(self._cluster)["cleared"]
        left = self._left_of(active.changes, "gone", limit_s)
        seen = None
        if not left:
            targets = sorted(active.targets)
            seen = self._cluster.recorder.wait(
                lambda _: active.fault.cleared(self._cluster, targets, cleared_s),
                limit_s,
                poll_s=_POLL_S,
            )
        if seen is None:
            raise HarnessError(
                f"{active.name} was undone, but is not seen to be well after "
                f"{limit_s:g}s: {self._states(left, active)}"
            )
        self._observed(active, seen, "cleared")

    def _await(
        self,
        active: ActiveFault,
        what: str,
        wanted: Sequence[Change],
        limit_s: float,
        predicate: Callable[[History], Signal | None],
    ) -> None:
        left = self._left_of(wanted, "seen", limit_s)
        seen = None
        if not left:
            seen = self._cluster.recorder.wait(predicate, limit_s, poll_s=_POLL_S)
        if seen is None:
            states = self._states(left, active)
            if not left:
                targets = sorted(active.targets)
                states = active.fault.unseen(self._cluster, targets) or states
            raise InjectionNotObserved(
                f"{active.name}: its {what} was not seen within {limit_s:g}s, so "
                f"nothing may be judged: {states or 'all of it was written'}"
            )
        # Nothing seen is an effect only if the recorder would have seen something.
        if not active.fault.blinds(sorted(active.targets)):
            self._cluster.catch_up()
        self._observed(active, seen, what)

    def _observed(self, active: ActiveFault, seen: Signal, what: str) -> None:
        at = self.note("OBSERVED", active, {"what": what, "evidence": seen.evidence})
        active.signals[what] = at.monotonic_s - active.started_at.monotonic_s

    def _left_of(
        self, changes: Sequence[Change], what: Literal["seen", "gone"], limit_s: float
    ) -> list[Change]:
        """Return the changes that are not seen, or not gone, within the limit."""
        plane, history = self._cluster.plane, self._cluster.history
        left = list(changes)

        def none_left(*, recorded: bool) -> bool:
            left[:] = [
                change
                for change in left
                if change.recorded(history) != recorded
                or not getattr(change, what)(plane, history)
            ]
            return not any(change.recorded(history) == recorded for change in left)

        # The history is locked while it is asked, so nothing else is asked then.
        self._cluster.recorder.wait(
            lambda _: none_left(recorded=True), limit_s, poll_s=_POLL_S
        )
        retrying.until(lambda: none_left(recorded=False), timeout_s=limit_s)
        return left

    def _states(self, left: Sequence[Change], active: ActiveFault) -> str:
        if left:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            return f"not so: {left[0].describe()}{more}"
        infos = [self._cluster.node(name) for name in sorted(active.nodes)[:5]]
        return ", ".join(
            f"{n.name} Ready={n.ready} taints={[k for k, _ in n.taints]}" for n in infos
        )


def _is_taken(history: History, node: str, now_s: float) -> bool:
    """Return whether a lease of a node was renewed twice, or once a moment ago."""
    lease = history.get("Lease", "kube-node-lease", node)
    holder = (lease or {}).get("spec", {}).get("holderIdentity")
    if lease is None or not holder:
        return False
    uid = lease["metadata"]["uid"]
    last = history.last_of(uid)
    if last is None or now_s - last.monotonic > _FIRST_S:
        return last is not None
    before = [version.object for version in history.versions(uid)[:-1]]
    held = before[-1].get("spec", {}) if before and before[-1] else {}
    return bool(held.get("holderIdentity") == holder)
