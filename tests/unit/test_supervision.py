"""When what died by itself is started again: decisions, on a clock of their own."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.control_plane import diagnosis
from pytest_knav.control_plane.components import telling_line
from pytest_knav.control_plane.processes import ProcessIdentity
from pytest_knav.control_plane.supervision import (
    DELAY_MAX_S,
    DIED,
    FIRST_DELAY_S,
    FORGOTTEN_AFTER_S,
    STARTED,
    BackOff,
    Supervisor,
)
from pytest_knav.errors import ClusterError
from pytest_knav.history.record import STEP
from pytest_knav.history.sight import own_record
from pytest_knav.reports import console
from pytest_knav.reports.record import TestRecord


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from conftest import HistoryBuilder

RECORD = TestRecord(
    test="test_a.py::test_it",
    topology="dgx-h100",
    nodes=4,
    seed=1,
    time_profile="fast",
    cluster_s=1.0,
    artifacts="here",
    replay="pytest",
    verdict="pass",
)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        """Return what the time is."""
        return self.now_s


class Patient:
    """A component without a process: it runs as this process, or is dead."""

    def __init__(self, name: str = "kube-scheduler") -> None:
        self.name = name
        self.identity: ProcessIdentity | None = ProcessIdentity.mine()
        self.died: int | None = None
        self.starts: list[int] = []
        self.refusal: Exception | None = None
        self.rings: Callable[[], None] | None = None

    def die(self, pid: int) -> None:
        """End by itself."""
        self.identity, self.died = None, pid

    def end(self) -> None:
        """End on purpose."""
        self.identity, self.died = None, None

    def run(self) -> None:
        """Run again by somebody else's hand."""
        self.identity, self.died = ProcessIdentity.mine(), None

    def start_again(self, died: int) -> bool:
        """Run, unless the test refuses it."""
        self.starts.append(died)
        if self.refusal is not None:
            raise self.refusal
        self.run()
        return True

    def last_word(self) -> str:
        """Return what the test expects to read again."""
        return "panic: no such node"

    def on_start(self, observer: Callable[[], None] | None) -> None:
        """Keep what is to be called."""
        self.rings = observer


class Told:
    """What a supervisor tells, and a way to wait for it."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, Mapping[str, Any]]] = []
        self.started = threading.Event()

    def __call__(self, name: str, verb: str, details: Mapping[str, Any]) -> None:
        """Hear of something."""
        self.entries.append((name, verb, details))
        if verb == STARTED:
            self.started.set()

    @property
    def verbs(self) -> list[str]:
        """Return what happened, in order."""
        return [verb for _, verb, _ in self.entries]


@contextmanager
def supervised(
    patient: Patient, tell: Told, clock: Clock | None = None
) -> Iterator[Supervisor]:
    """Look after one component for the length of a block, by hand."""
    supervisor = Supervisor([patient], tell, clock or Clock())
    try:
        yield supervisor
    finally:
        # A thread that was never started cannot be joined.
        supervisor.start()
        supervisor.close()


def die_often(patient: Patient, supervisor: Supervisor, clock: Clock) -> list[float]:
    """Let a component die as soon as it runs; return how long each wait was."""
    waits = []
    for pid in range(1, 9):
        patient.die(pid)
        due_s = supervisor.step()
        waits.append(max(0.0, min(due_s, 1e9) - clock.now_s) if patient.died else 0.0)
        clock.now_s += waits[-1]
        supervisor.step()
        assert patient.identity is not None
    return waits


def test_the_wait_is_that_of_a_kubelet() -> None:
    """At once, then 10 s, then twice as long each time, at most five minutes."""
    patient, clock = Patient(), Clock()

    with supervised(patient, Told(), clock) as supervisor:
        waits = die_often(patient, supervisor, clock)

    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    assert (FIRST_DELAY_S, DELAY_MAX_S) == (10, 300)


def test_a_long_run_forgets_the_wait() -> None:
    """Ten minutes count as a success; a second less does not."""
    back_off = BackOff()
    back_off.started(0.0)

    short = back_off.due_s(FORGOTTEN_AFTER_S)
    long = back_off.due_s(FORGOTTEN_AFTER_S + 1)

    assert short == FORGOTTEN_AFTER_S + FIRST_DELAY_S
    assert long == FORGOTTEN_AFTER_S + 1


def test_what_died_is_started_and_told_of() -> None:
    """With its pid and its last words."""
    patient, told = Patient(), Told()

    with supervised(patient, told) as supervisor:
        supervisor.step()
        patient.die(42)
        supervisor.step()

    name, verb, details = told.entries[0]
    assert (name, verb) == ("kube-scheduler", DIED)
    assert details == {"pid": 42, "last_log": "panic: no such node", "again_in_s": 0}
    assert told.verbs == [DIED, STARTED]
    assert patient.starts == [42]


def test_what_was_ended_on_purpose_stays_dead() -> None:
    """Nothing is started and nothing told of."""
    patient, told = Patient(), Told()

    with supervised(patient, told) as supervisor:
        supervisor.step()
        patient.end()
        due_s = supervisor.step()

    assert due_s == float("inf")
    assert (patient.starts, told.entries) == ([], [])


def test_ending_it_on_purpose_takes_a_planned_start_back() -> None:
    """A restore that comes during the wait is not disturbed by its end."""
    patient, told, clock = Patient(), Told(), Clock()

    with supervised(patient, told, clock) as supervisor:
        for pid in (1, 2):
            patient.die(pid)
            waiting_s = supervisor.step() - clock.now_s
        patient.end()
        supervisor.step()
        clock.now_s += DELAY_MAX_S
        supervisor.step()

    assert waiting_s == FIRST_DELAY_S
    assert patient.starts == [1]
    assert told.verbs == [DIED, STARTED, DIED]


def test_a_new_beginning_forgets_the_wait() -> None:
    """After a deliberate end, the next death is the first again."""
    patient, told = Patient(), Told()

    with supervised(patient, told) as supervisor:
        patient.die(1)
        supervisor.step()
        patient.end()
        supervisor.step()
        patient.run()
        supervisor.step()
        patient.die(2)
        supervisor.step()

    assert patient.starts == [1, 2]


@pytest.mark.parametrize("refusal", [ClusterError("ended at once"), OSError("full")])
def test_a_start_that_fails_is_tried_again_later(refusal: Exception) -> None:
    """With the same back-off, and the death is told of only once."""
    patient, told, clock = Patient(), Told(), Clock()
    patient.refusal = refusal

    with supervised(patient, told, clock) as supervisor:
        patient.die(1)
        first_s = supervisor.step() - clock.now_s
        clock.now_s += first_s
        second_s = supervisor.step() - clock.now_s

    assert (first_s, second_s) == (FIRST_DELAY_S, 2 * FIRST_DELAY_S)
    assert patient.starts[:2] == [1, 1]
    assert told.verbs == [DIED]


def test_its_thread_sleeps_until_it_is_called() -> None:
    """A start rings; after close nothing is started and no thread is left."""
    patient, told = Patient(), Told()
    supervisor = Supervisor([patient], told)
    before = threading.active_count()

    supervisor.start()
    ring = patient.rings
    assert ring is not None
    patient.die(7)
    ring()
    started = told.started.wait(30)
    supervisor.close()
    supervisor.close()
    patient.die(8)

    assert started
    assert patient.starts == [7]
    assert patient.rings is None
    assert threading.active_count() == before


def test_deaths_are_told_with_number_and_last_words(seen: HistoryBuilder) -> None:
    """One line a component, and none for what was killed; also behind xdist."""
    for at, word in enumerate(["first", "panic: at the end"]):
        own_step(seen, at, DIED, "kube-scheduler", last_log=word)
    own_step(seen, 3, "kill", "etcd")

    told = diagnosis.deaths(seen.history)

    kept = RECORD.with_deaths(told)
    sent = TestRecord.from_data(json.loads(json.dumps(kept.as_data())))
    assert told == ["died by itself: kube-scheduler (2x): panic: at the end"]
    assert sent == kept
    assert f"test_it: {told[0]}" in list(console.closing([sent]))


def own_step(
    seen: HistoryBuilder, at: float, verb: str, name: str, **data: str
) -> None:
    """Add what a cluster notes of a component."""
    record = own_record(STEP, name, verb.upper(), seen.revision, data)
    seen.history.add(record.at(at))
    seen.revision += 1


def test_the_reason_is_found_before_the_stacks() -> None:
    """A panic says why first and then where; other ends have their last line."""
    panic = ["I 1", "panic: nil map", "", "goroutine 1 [running]:", "main.main()"]
    gave_up = ["I 1", 'E "command failed" err="no API server"', ""]

    assert telling_line(panic) == "panic: nil map"
    assert telling_line(gave_up) == 'E "command failed" err="no API server"'
    assert telling_line([]) == ""
