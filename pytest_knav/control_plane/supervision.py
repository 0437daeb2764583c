"""
Components that die by themselves are started again, as a kubelet does it.

The components of a real control plane are static pods: their kubelet restarts what
exits, with a back-off. Without that, a kube-controller-manager that gave up because the
API server was down for a moment would stay away for good, and every verdict after it
would be about a cluster that nobody runs.

What we end ourselves (`Component.kill`, `end`) stays dead: it is a fault that a test
asked for, or a part of a restore.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from pytest_knav.control_plane import retrying
from pytest_knav.errors import ClusterError, HarnessError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_knav.control_plane.processes import ProcessIdentity

# containerBackOffPeriod and MaxContainerBackOff (Kubernetes, pkg/kubelet/kubelet.go and
# pkg/kubelet/apis/config/v1beta1): the first restart is at once, the second after 10 s,
# then twice as long each time.
FIRST_DELAY_S: Final = 10.0
DELAY_MAX_S: Final = 300.0
# A run of twice the longest delay is a success (client-go, util/flowcontrol/backoff.go,
# hasExpired).
FORGOTTEN_AFTER_S: Final = 2 * DELAY_MAX_S
# Verbs of the plane's observers.
DIED: Final = "died"
STARTED: Final = "restarted by itself"
_GONE_TIMEOUT_S: Final = 5.0
_STOP_TIMEOUT_S: Final = 10.0


class Supervised(Protocol):
    """What a supervisor asks of a component and does to it."""

    name: str

    @property
    def identity(self) -> ProcessIdentity | None:
        """Return the process, None when there is none."""

    @property
    def died(self) -> int | None:
        """Return the pid of a process that ended by itself, else None."""

    def start_again(self, died: int) -> bool:
        """Start it if that process is still the one that died; return whether."""

    def last_word(self) -> str:
        """Return the one log line that says most about its end."""

    def on_start(self, observer: Callable[[], None] | None) -> None:
        """Call a function, or none any more, whenever the process was started."""


@dataclass(slots=True)
class BackOff:
    """How long a component that died has to wait for its next start."""

    delay_s: float = 0.0
    _started_s: float = -math.inf

    def due_s(self, died_s: float) -> float:
        """Return when a component that died at a moment may start."""
        if died_s - self._started_s > FORGOTTEN_AFTER_S:
            self.delay_s = 0.0
        return died_s + self.delay_s

    def started(self, now_s: float) -> None:
        """Make the next wait longer: it was started, after however long."""
        self.delay_s = min(max(2 * self.delay_s, FIRST_DELAY_S), DELAY_MAX_S)
        self._started_s = now_s


@dataclass(slots=True)
class _Watched:
    """
    One component and what is known of it.

    Attributes:
        running: The process that was last seen alive.
        pidfd: What becomes readable when that process ends.
        mourned: The pid of the death that was told of.
        due_s: When it is to be started again, on the supervisor's clock.

    """

    component: Supervised
    back_off: BackOff = field(default_factory=BackOff)
    running: ProcessIdentity | None = None
    pidfd: int | None = None
    mourned: int | None = None
    due_s: float = math.inf


class Supervisor:
    """
    Starts the components of one control plane again when they die by themselves.

    One thread sleeps until a process ends (pidfd_open(2)), one was started, or a
    back-off is over; nothing is polled.

    Args:
        components: Who is looked after.
        tell: Told of each death and each start, by component, verb and details.
        clock: Seconds that never go back.

    """

    def __init__(
        self,
        components: Iterable[Supervised],
        tell: Callable[[str, str, Mapping[str, Any]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watched = [_Watched(component) for component in components]
        self._tell = tell
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="knav-supervisor", daemon=True
        )

    def start(self) -> None:
        """Look after the components from now on; who died before is started too."""
        for watched in self._watched:
            watched.component.on_start(self._ring)
        self._thread.start()

    def close(self) -> None:
        """
        Start nothing any more; returns when nothing of it is left. Twice is harmless.

        Raises:
            HarnessError: Its thread does not end.

        """
        if self._stopping.is_set():
            return
        self._stopping.set()
        for watched in self._watched:
            watched.component.on_start(None)
        self._ring()
        self._thread.join(_STOP_TIMEOUT_S)
        if self._thread.is_alive():
            raise HarnessError("the thread that restarts components does not end")
        for watched in self._watched:
            self._let_go(watched)
        self._selector.close()
        os.close(self._bell)

    def step(self) -> float:
        """Do what is due now; return when there is something to do next."""
        return min((self._look(w) for w in self._watched), default=math.inf)

    def _run(self) -> None:
        while not self._stopping.is_set():
            due_s = self.step()
            wait_s = None if due_s == math.inf else max(0.0, due_s - self._clock())
            for key, _ in self._selector.select(wait_s):
                if key.fd == self._bell:
                    with contextlib.suppress(BlockingIOError):
                        os.eventfd_read(self._bell)
                else:
                    _await_gone(key.data.running)

    def _ring(self) -> None:
        os.eventfd_write(self._bell, 1)

    def _look(self, watched: _Watched) -> float:
        """Compare a component with what is known of it; return its next moment."""
        component = watched.component
        identity = component.identity
        if identity is not None:
            self._watch(watched, identity)
            return watched.due_s
        self._let_go(watched)
        died = component.died
        if died is None:
            # Ended on purpose, so what comes after it is a new beginning.
            watched.back_off, watched.due_s = BackOff(), math.inf
            return math.inf
        if died != watched.mourned:
            self._mourn(watched, died)
        if watched.due_s <= self._clock() and not self._stopping.is_set():
            self._start(watched, died)
        return watched.due_s

    def _mourn(self, watched: _Watched, died: int) -> None:
        now_s = self._clock()
        watched.mourned = died
        watched.due_s = watched.back_off.due_s(now_s)
        details = {
            "pid": died,
            "last_log": watched.component.last_word(),
            "again_in_s": watched.due_s - now_s,
        }
        self._tell(watched.component.name, DIED, details)

    def _start(self, watched: _Watched, died: int) -> None:
        component = watched.component
        watched.back_off.started(self._clock())
        try:
            if not component.start_again(died):
                # Somebody was faster; they rang, so it is looked at again.
                watched.due_s = math.inf
                return
        except (ClusterError, OSError):
            # It ended at once, the disk is full, or somebody removed the cluster.
            watched.due_s = watched.back_off.due_s(self._clock())
            return
        watched.due_s = math.inf
        identity = component.identity
        if identity is None:
            watched.due_s = self._clock()
            return
        self._watch(watched, identity)
        self._tell(component.name, STARTED, {"pid": identity.pid})

    def _watch(self, watched: _Watched, identity: ProcessIdentity) -> None:
        watched.due_s = math.inf
        if identity == watched.running:
            return
        self._let_go(watched)
        try:
            watched.pidfd = os.pidfd_open(identity.pid)
        except ProcessLookupError:
            # It has ended since: the next look finds it dead.
            watched.due_s = self._clock()
            return
        watched.running = identity
        self._selector.register(watched.pidfd, selectors.EVENT_READ, watched)
        if not identity.alive:
            # The pid may be another's by now.
            watched.due_s = self._clock()

    def _let_go(self, watched: _Watched) -> None:
        pidfd, watched.pidfd, watched.running = watched.pidfd, None, None
        if pidfd is not None:
            self._selector.unregister(pidfd)
            os.close(pidfd)


def _await_gone(identity: ProcessIdentity | None) -> None:
    """Return when /proc shows what the kernel has told: a process has ended."""
    if identity is not None:
        retrying.until(
            lambda: not identity.alive, timeout_s=_GONE_TIMEOUT_S, interval_s=0.005
        )
