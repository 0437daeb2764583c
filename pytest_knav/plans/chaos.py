"""Injecting, observing and clearing faults on one cluster."""

from __future__ import annotations

import random
import time
from contextlib import nullcontext
from threading import Event, Lock, current_thread
from typing import TYPE_CHECKING, Literal

from pytest_knav.checks.effect import LEFT_OUT
from pytest_knav.control_plane import changes as changing
from pytest_knav.control_plane.changes import Edit
from pytest_knav.errors import BadInput, HarnessError
from pytest_knav.faults.base import Fault
from pytest_knav.history.record import STEP
from pytest_knav.plans.active import ActiveFault, Moment
from pytest_knav.plans.actor import Actor
from pytest_knav.plans.background import RunningPlan, perform
from pytest_knav.plans.guards import check_overlap, check_reach, claims_of, limit_of
from pytest_knav.plans.hands import Hands
from pytest_knav.plans.injection import Injection
from pytest_knav.plans.journal import JOURNAL_FILE, Journal
from pytest_knav.plans.plan import schedule
from pytest_knav.plans.watch import Watch


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from pytest_knav.control_plane.cluster import Cluster
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.plans.guards import Limit
    from pytest_knav.plans.plan import Part

__all__ = [
    "UNTIL",
    "ActiveFault",
    "AtMost",
    "Injector",
    "Moment",
    "Until",
    "replay_journal",
]

Until = Literal["signal", "detected"]
AtMost = int | str | None
UNTIL: tuple[Until, ...] = ("signal", "detected")


class Injector:
    """
    Makes faults on one cluster and takes every one of them back.

    Args:
        cluster: The cluster; it must be one of ours.
        seed: Choices come from it and the number of the injection alone.
        at_most: How many nodes may be touched at a time, by all faults together: a
            number, or a share such as `10%`; by default any number.
        observer: Who is told when a fault was `injected`, `cleared` or `left out`.
        leave_out: Whether to break nothing: choices are made and written down, and
            that is all.

    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        seed: str,
        at_most: AtMost = None,
        leave_out: bool = False,
        observer: Callable[[str, ActiveFault], None] = lambda _event, _fault: None,
    ) -> None:
        self.active: dict[str, ActiveFault] = {}
        self._cluster = cluster
        self.seed = seed
        self._observer = observer
        self._leave_out = leave_out
        self._watch = Watch(cluster)
        self._at_most = limit_of(at_most)
        self._step = 0
        self._plans: list[RunningPlan] = []
        self._injections: list[Injection] = []
        # A plan in the background chooses, and writes its undo, when a test may too.
        self._choosing = Lock()
        self._home = current_thread()
        self._journal = Journal(cluster.plane.entry.directory / JOURNAL_FILE)

    def inject(
        self, fault: Fault, until: Until = "signal", *, at_most: AtMost = None
    ) -> Injection:
        """
        Return a block for whose length something is broken.

        Args:
            fault: What to break.
            until: `signal` enters at the first observed effect; `detected` when the
                control plane, or the agent that the fault stands for, has noticed.
            at_most: How many nodes may be touched, by this fault and those that last:
                a number, or a share such as `10%`.

        Entering raises:
            BadInput: An argument is something else, the target does not exist or is
                broken already, this cluster cannot express the fault, or it would
                touch more nodes; nothing was changed.
            InjectionNotObserved: The effect did not show; all is undone then.

        """
        injection = Injection(
            fault.name if isinstance(fault, Fault) else repr(fault),
            lambda: self.start(fault, until, at_most=at_most),
            self._end,
        )
        self._injections.append(injection)
        return injection

    def _end(self, active: ActiveFault, error: BaseException | None) -> None:
        if error is None:
            self.clear(active)
            return
        self._keep_state(error)
        self._clear_after(active, error)

    def start(
        self, fault: Fault, until: Until = "signal", *, at_most: AtMost = None
    ) -> ActiveFault:
        """Break something until `clear` or the end of the test; else as `inject`."""
        return self.start_drawn(fault, "", until, at_most)

    def start_drawn(
        self, fault: Fault, draw: str, until: Until, at_most: AtMost
    ) -> ActiveFault:
        """
        Break something; its choices come from the seed and from `draw`.

        Where `draw` is empty, the number of the injection stands for it.
        """
        if not isinstance(fault, Fault):
            raise BadInput(
                f"{fault!r} is no fault: give one of pytest_knav.faults, such as "
                "NodeCrash(node_of(gang)); `knav faults list` shows all"
            )
        if until not in UNTIL:
            raise BadInput(f"until={until!r}: use one of {', '.join(UNTIL)}")
        limits = (self._at_most, limit_of(at_most))
        self._cluster.plane.check_ours()
        self._cluster.catch_up()
        if self._leave_out:
            with self._shown(f"leave out {fault.name}"), self._choosing:
                return self._left_out(fault, draw)
        with self._shown(f"inject {fault.name} until {until}"):
            with self._choosing:
                active = self._intend(fault, draw, limits)
            try:
                self._write(active)
                self._watch.await_signal(active)
                self._observer("injected", active)
                if until == "detected":
                    self._watch.await_detected(active)
            except BaseException as error:
                self._clear_after(active, error)
                raise
        return active

    def start_plan(self, plan: Part, *, at_most: AtMost = None) -> RunningPlan:
        """
        Run a plan while the test goes on; else as `run`.

        Its choices do not depend on what the test does meanwhile.
        """
        limit_of(at_most)
        self._cluster.plane.check_ours()
        self._cluster.recorder.note(STEP, "PLAN", str(plan))
        hands = Hands(self, f"plan{len(self._plans)}.", at_most)
        self._plans.append(RunningPlan(plan, hands))
        return self._plans[-1]

    def run(self, plan: Part, *, at_most: AtMost = None) -> list[ActiveFault]:
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
        active: dict[int, ActiveFault] = {}
        # The event is never set: it runs to its end.
        perform(steps, Hands(self, "", at_most), Event(), active)
        return [active[number] for number in sorted(active)]

    def clear(self, active: ActiveFault) -> None:
        """
        Take a fault back and return when all is seen to be well; twice is harmless.

        Raises:
            HarnessError: It does not get well in time.

        """
        if self.active.pop(active.id, None) is None:
            return
        with self._shown(f"clear {active.name}"):
            self._clear(active)

    def _clear(self, active: ActiveFault) -> None:
        self._watch.note("CLEARING", active, {})
        stuck = None
        try:
            if active.actor is not None:
                active.actor.close()
        except HarnessError as error:
            # What it has changed is taken back all the same.
            stuck = error
        fault, targets = active.fault, sorted(active.targets)
        changing.apply(self._cluster.plane, fault.aftermath(self._cluster, targets))
        cleared_s = time.monotonic()
        changing.undo(self._cluster.plane, active.undo)
        self._journal.cleared(active.id)
        self._watch.note("CLEARED", active, {})
        self._observer("cleared", active)
        self._watch.await_cleared(active, cleared_s)
        if stuck is not None:
            raise stuck

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
        """
        End plans that still run, and take back what is broken, the newest first.

        Raises:
            HarnessError: It does not get well, or a fault was never begun.

        """
        errors = [unused for one in self._injections if (unused := one.unused())]
        self._injections.clear()
        for plan in self._plans:
            try:
                plan.stop()
            except HarnessError as error:
                errors.append(str(error))
        for active in reversed(list(self.active.values())):
            try:
                self.clear(active)
            except HarnessError as error:
                errors.append(str(error))
        if errors:
            raise HarnessError("; ".join(errors))

    def _intend(
        self, fault: Fault, draw: str, limits: Sequence[Limit | None]
    ) -> ActiveFault:
        """Choose the targets and write the undo down; nothing is changed yet."""
        draw, choose = self._choice(draw)
        world = self._cluster
        targets = fault.resolve(world, choose)
        touched = fault.reach(world, targets)
        others = list(self.active.values())
        already = {node for other in others for node in other.touched}
        check_reach(fault, touched, already, len(world.topology.nodes), limits)
        taken = [(other.name, other.claims) for other in others]
        check_overlap(fault, fault.claims(world, targets), taken)
        fault.check(world, targets)
        changes = tuple(fault.chosen(world, targets))
        claims = claims_of(fault, world, targets, changes)
        check_overlap(fault, claims, taken)
        self._watch.await_kubelets(fault, changes)
        plane = world.plane
        undo = tuple(inverse for c in changes for inverse in c.inverse(plane))
        # What is so already needs no way back; some changes have none at all.
        if not undo and changes and all(c.op == Edit.op for c in changes):
            raise BadInput(
                f"{fault.name} would change nothing: {changes[0].describe()} already"
            )
        fault_id = f"f{draw.rpartition(':')[2]}-{time.time_ns():x}"
        expression = {"expression": str(fault.target), "names": list(targets)}
        self._journal.intend(fault_id, fault.describe(), expression, undo)
        begun = self._now()
        active = ActiveFault(
            id=fault_id,
            fault=fault,
            targets=frozenset(targets),
            nodes=fault.blast_radius(world, targets),
            pods=fault.pods_hit(world, targets),
            touched=touched,
            claims=claims,
            draw=draw,
            changes=changes,
            undo=undo,
            started_at=begun,
        )
        self.active[fault_id] = active
        return active

    def _choice(self, draw: str) -> tuple[str, random.Random]:
        """Return what the next choices are drawn from; the same in every run."""
        if not draw:
            self._step += 1
            draw = f"{self.seed}:{self._step}"
        # Not for secrets: the same seed and step must choose the same targets.
        return draw, random.Random(draw)  # noqa: S311

    def _left_out(self, fault: Fault, draw: str) -> ActiveFault:
        """Choose the targets of a fault, write them down, and change nothing."""
        draw, choose = self._choice(draw)
        world = self._cluster
        targets = fault.resolve(world, choose)
        active = ActiveFault(
            id=f"f{draw.rpartition(':')[2]}-left-out",
            fault=fault,
            targets=frozenset(targets),
            nodes=fault.blast_radius(world, targets),
            pods=fault.pods_hit(world, targets),
            draw=draw,
            changes=(),
            undo=(),
            started_at=self._now(),
            left_out=True,
        )
        data = {"fault": fault.describe(), "targets": sorted(targets)}
        world.recorder.note(STEP, LEFT_OUT, active.name, data)
        self._observer("left out", active)
        return active

    def _write(self, active: ActiveFault) -> None:
        begun = active.started_at
        payload = {
            "fault": active.fault.describe(),
            "targets": sorted(active.targets),
            "nodes": sorted(active.nodes),
            "pods": sorted(active.pods),
            "kind": active.fault.kind,
            "started_s": begun.monotonic_s,
        }
        fabric = active.fault.fabric_loss(self._cluster, sorted(active.targets))
        if fabric:
            payload["fabric"] = dict(fabric)
        self._watch.note("INJECTING", active, payload)
        revisions = changing.apply(self._cluster.plane, active.begun)
        # What does not tell its revision, such as an eviction, may have come first.
        told = len(revisions) == len(active.begun)
        first = min(revisions, default=begun.revision) if told else begun.revision
        active.started_at = Moment(
            monotonic_s=begun.monotonic_s, wall_s=begun.wall_s, revision=first
        )
        self._watch.note("INJECTED", active, {**payload, "started_revision": first})
        self._journal.injected(active.id)
        late = [change for change in active.late if change not in active.begun]
        if late or type(active.fault).act is not Fault.act:
            active.actor = Actor(
                active.fault,
                self._cluster,
                active.targets,
                f"{active.draw}:act",
                late,
            )

    def _now(self) -> Moment:
        return Moment(
            monotonic_s=time.monotonic(),
            wall_s=time.time(),
            revision=self._cluster.history.newest_revision,
        )

    def _shown(self, title: str) -> AbstractContextManager[object]:
        """Return the step of the test's report, where it is the test that does it."""
        # A report knows one thread: the steps of others would belong to no test.
        here = current_thread() is self._home
        return self._cluster.step(title) if here else nullcontext()


def replay_journal(plane: ControlPlane) -> list[str]:
    """Undo what killed runs left broken on a cluster; return what it was."""
    journal = Journal(plane.entry.directory / JOURNAL_FILE)
    undone = []
    left = journal.pending()
    if left:
        # It is held while nodes are taken from it.
        plane.components[changing.KWOK].release()
    for pending in reversed(left):
        changing.undo(plane, pending.undo)
        journal.cleared(pending.id)
        undone.append(f"{pending.fault.get('fault')} on {pending.targets.get('names')}")
    return undone
