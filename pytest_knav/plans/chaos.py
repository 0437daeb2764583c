"""Injecting, observing and clearing faults on one cluster."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

from pytest_knav.checks.following import FaultSpan
from pytest_knav.control_plane import changes as changing
from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.changes import Edit
from pytest_knav.errors import BadInput, HarnessError, InjectionNotObserved
from pytest_knav.faults.base import Fault
from pytest_knav.history.record import FAULT, STEP
from pytest_knav.plans.actor import Actor
from pytest_knav.plans.journal import JOURNAL_FILE, Journal
from pytest_knav.plans.plan import schedule


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.control_plane.cluster import Cluster
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.faults.base import Signal
    from pytest_knav.history import History
    from pytest_knav.plans.plan import Part

Until = Literal["signal", "detected"]
UNTIL: tuple[Until, ...] = ("signal", "detected")
# How often a predicate is asked again when nothing new was recorded: absence of
# renewals is an effect that brings no event.
_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point of a run: monotonic clock and wall clock in seconds, revision."""

    monotonic_s: float
    wall_s: float
    revision: int


@dataclass(slots=True, kw_only=True)
class ActiveFault:
    """
    A fault that was injected.

    Attributes:
        id: Unique within the cluster.
        fault: What it is.
        targets: The names that its target came to.
        nodes: The nodes in its blast radius: all of each of them.
        pods: Uids of the pods that it hits though their node goes on.
        started_at: Time and revision of its first write: the zero of every duration.
        signals: What was observed of it, by name, in seconds since the start.

    """

    id: str
    fault: Fault
    targets: frozenset[str]
    nodes: frozenset[str]
    pods: frozenset[str]
    changes: Sequence[Change]
    undo: Sequence[Change]
    started_at: Moment
    actor: Actor | None = None
    signals: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the fault with its target expression and what it came to."""
        names = sorted(self.targets)
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        return f"{self.fault.name} on {shown}"

    @property
    def span(self) -> FaultSpan:
        """Return what checks need of it."""
        return FaultSpan(
            name=self.name,
            id=self.id,
            started_revision=self.started_at.revision,
            started_s=self.started_at.monotonic_s,
            nodes=self.nodes,
            pods=self.pods,
        )


class Injector:
    """
    Makes faults on one cluster and takes every one of them back.

    Args:
        cluster: The cluster; it must be one of ours.
        seed: Choices come from it and the number of the injection alone.

    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        seed: str,
        observer: Callable[[str, ActiveFault], None] = lambda _event, _fault: None,
    ) -> None:
        self.active: dict[str, ActiveFault] = {}
        self._cluster = cluster
        self._seed = seed
        self._observer = observer
        self._step = 0
        self._journal = Journal(cluster.plane.entry.directory / JOURNAL_FILE)

    @contextmanager
    def inject(self, fault: Fault, until: Until = "signal") -> Iterator[ActiveFault]:
        """
        Break something for the length of the block.

        Args:
            fault: What to break.
            until: `signal` returns at the first observed effect; `detected` when the
                control plane has noticed.

        Raises:
            BadInput: `until` is something else, or the target does not exist.
            InjectionNotObserved: The effect did not show; all is undone then.

        """
        active = self.start(fault, until)
        try:
            yield active
        except BaseException as error:
            self._keep_state(error)
            self._clear_after(active, error)
            raise
        self.clear(active)

    def start(self, fault: Fault, until: Until = "signal") -> ActiveFault:
        """Break something until `clear` or the end of the test; else as `inject`."""
        if until not in UNTIL:
            raise BadInput(f"until={until!r}: use one of {', '.join(UNTIL)}")
        self._cluster.plane.check_ours()
        self._cluster.catch_up()
        with self._cluster.step(f"inject {fault.name} until {until}"):
            active = self._intend(fault)
            try:
                self._write(active)
                self._await(active, "signal", self._signal_of(active))
                if until == "detected":
                    self._await(active, "detected", self._detected_of(active))
            except BaseException as error:
                self._clear_after(active, error)
                raise
        return active

    def run(self, plan: Part) -> list[ActiveFault]:
        """
        Run a plan to its end and return its faults, in the order of the plan.

        What the plan does not take back itself stays broken, until `clear` or the end
        of the test. Where a step takes longer than the plan has time for it, what comes
        after it comes later; nothing is left out.

        Raises:
            BadInput: A target does not exist, or is broken already.
            InjectionNotObserved: An effect did not show; the plan ends there.

        """
        steps = schedule(plan)
        self._cluster.recorder.note(STEP, "PLAN", str(plan))
        begun_s = time.monotonic()
        active: dict[int, ActiveFault] = {}
        for step in steps:
            # Nothing happens until then; the event is never set.
            Event().wait(max(0.0, begun_s + step.at_s - time.monotonic()))
            if step.verb == "inject":
                active[step.number] = self.start(step.fault)
            else:
                self.clear(active[step.number])
        return [active[number] for number in sorted(active)]

    def clear(self, active: ActiveFault) -> None:
        """
        Take a fault back and return when all is seen to be well; twice is harmless.

        Raises:
            HarnessError: It does not get well in time.

        """
        if self.active.pop(active.id, None) is None:
            return
        with self._cluster.step(f"clear {active.name}"):
            self._clear(active)

    def _clear(self, active: ActiveFault) -> None:
        self._note("CLEARING", active, {})
        if active.actor is not None:
            active.actor.close()
        fault, targets = active.fault, sorted(active.targets)
        changing.apply(self._cluster.plane, fault.aftermath(self._cluster, targets))
        cleared_s = time.monotonic()
        changing.undo(self._cluster.plane, active.undo)
        self._journal.cleared(active.id)
        self._note("CLEARED", active, {})
        self._observer("cleared", active)
        limit_s = fault.timeouts_s(self._cluster)["cleared"]
        left = self._left_of(active.changes, "gone", limit_s)
        seen = None
        if not left:
            seen = self._cluster.recorder.wait(
                lambda _: fault.cleared(self._cluster, targets, cleared_s),
                limit_s,
                poll_s=_POLL_S,
            )
        if seen is None:
            raise HarnessError(
                f"{active.name} was undone, but is not seen to be well after "
                f"{limit_s:g}s: {self._states(left, active)}"
            )
        self._observed(active, seen, "cleared")

    def _clear_after(self, active: ActiveFault, error: BaseException) -> None:
        """Take a fault back; what the test raised wins over what goes wrong here."""
        try:
            self.clear(active)
        except HarnessError as failure:
            error.add_note(f"and then the fault could not be taken back: {failure}")

    def _keep_state(self, error: BaseException) -> None:
        """Keep the cluster as it is now: the next step takes the fault back."""
        self._cluster.keep_state_after(error)

    def clear_all(self) -> None:
        """Take back what is still broken, the newest first."""
        errors = []
        for active in reversed(list(self.active.values())):
            try:
                self.clear(active)
            except HarnessError as error:
                errors.append(str(error))
        if errors:
            raise HarnessError("; ".join(errors))

    def _intend(self, fault: Fault) -> ActiveFault:
        """Choose the targets and write the undo down; nothing is changed yet."""
        self._step += 1
        # Not for secrets: the same seed and step must choose the same targets.
        choose = random.Random(f"{self._seed}:{self._step}")  # noqa: S311
        targets = fault.resolve(self._cluster, choose)
        already = {t for a in self.active.values() for t in a.targets} & set(targets)
        if already:
            raise BadInput(
                f"{fault.name} comes to {', '.join(sorted(already))}, which another "
                "fault has broken already: clear that one first"
            )
        nodes = fault.blast_radius(self._cluster, targets)
        changes = tuple(fault.chosen(self._cluster, targets))
        plane = self._cluster.plane
        undo = tuple(inverse for c in changes for inverse in c.inverse(plane))
        # What is so already needs no way back; some changes have none at all.
        if not undo and changes and all(c.op == Edit.op for c in changes):
            raise BadInput(
                f"{fault.name} would change nothing: {changes[0].describe()} already"
            )
        fault_id = f"f{self._step}-{time.time_ns():x}"
        expression = {"expression": str(fault.target), "names": list(targets)}
        self._journal.intend(fault_id, fault.describe(), expression, undo)
        begun = self._now()
        active = ActiveFault(
            id=fault_id,
            fault=fault,
            targets=frozenset(targets),
            nodes=nodes,
            pods=fault.pods_hit(self._cluster, targets),
            changes=changes,
            undo=undo,
            started_at=begun,
        )
        self.active[fault_id] = active
        return active

    def _write(self, active: ActiveFault) -> None:
        begun = active.started_at
        payload = {
            "fault": active.fault.describe(),
            "targets": sorted(active.targets),
            "nodes": sorted(active.nodes),
            "pods": sorted(active.pods),
            "started_s": begun.monotonic_s,
        }
        self._note("INJECTING", active, payload)
        revisions = changing.apply(self._cluster.plane, active.changes)
        first = min(revisions, default=begun.revision)
        active.started_at = Moment(
            monotonic_s=begun.monotonic_s, wall_s=begun.wall_s, revision=first
        )
        self._note("INJECTED", active, {**payload, "started_revision": first})
        self._journal.injected(active.id)
        if type(active.fault).act is not Fault.act:
            seed = f"{self._seed}:{self._step}:act"
            active.actor = Actor(active.fault, self._cluster, active.targets, seed)

    def _signal_of(self, active: ActiveFault) -> Callable[[History], Signal | None]:
        targets, started_s = sorted(active.targets), active.started_at.monotonic_s
        return lambda _: active.fault.signal(
            self._cluster, targets, started_s, time.monotonic()
        )

    def _detected_of(self, active: ActiveFault) -> Callable[[History], Signal | None]:
        targets = sorted(active.targets)
        return lambda _: active.fault.detected(self._cluster, targets)

    def _await(
        self,
        active: ActiveFault,
        what: Until,
        predicate: Callable[[History], Signal | None],
    ) -> None:
        limit_s = active.fault.timeouts_s(self._cluster)[what]
        left = self._left_of(active.changes, "seen", limit_s)
        seen = None
        if not left:
            seen = self._cluster.recorder.wait(predicate, limit_s, poll_s=_POLL_S)
        if seen is None:
            raise InjectionNotObserved(
                f"{active.name}: its {what} was not seen within {limit_s:g}s, so "
                f"nothing may be judged: {self._states(left, active)}"
            )
        # Nothing seen is an effect only if the recorder would have seen something.
        if not active.fault.blinds(sorted(active.targets)):
            self._cluster.catch_up()
        self._observed(active, seen, what)
        if what == "signal":
            self._observer("injected", active)

    def _observed(self, active: ActiveFault, seen: Signal, what: str) -> None:
        at = self._note("OBSERVED", active, {"what": what, "evidence": seen.evidence})
        active.signals[what] = at.monotonic_s - active.started_at.monotonic_s

    def _note(self, verb: str, active: ActiveFault, data: Mapping[str, Any]) -> Moment:
        record = self._cluster.recorder.note(FAULT, verb, active.id, dict(data))
        return Moment(
            monotonic_s=record.monotonic, wall_s=record.wall, revision=record.revision
        )

    def _now(self) -> Moment:
        return Moment(
            monotonic_s=time.monotonic(),
            wall_s=time.time(),
            revision=self._cluster.history.newest_revision,
        )

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


def replay_journal(plane: ControlPlane) -> list[str]:
    """Undo what killed runs left broken on a cluster; return what it was."""
    journal = Journal(plane.entry.directory / JOURNAL_FILE)
    undone = []
    for pending in reversed(journal.pending()):
        changing.undo(plane, pending.undo)
        journal.cleared(pending.id)
        undone.append(f"{pending.fault.get('fault')} on {pending.targets.get('names')}")
    return undone
