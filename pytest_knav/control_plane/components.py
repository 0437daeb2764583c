"""The processes of a control plane, one by one: kill, pause, resume, restart."""

from __future__ import annotations

import http.client
import math
import os
import signal
import ssl
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

from pytest_knav.control_plane import kwokctl, overrides, processes, retrying
from pytest_knav.control_plane.processes import ProcessIdentity
from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

# Path and scheme of each component's own health check. The scheduler's and the
# controller manager's certificates are self-signed and made anew at each start.
_HEALTH = {
    "etcd": ("http", "/health"),
    "kube-apiserver": ("https", "/readyz"),
    "kube-controller-manager": ("https", "/healthz"),
    "kube-scheduler": ("https", "/healthz"),
    "kwok-controller": ("http", "/healthz"),
}
_PORTS = {
    "etcd": "etcdPort",
    "kube-apiserver": "kubeApiserverPort",
    "kube-controller-manager": "kubeControllerManagerPort",
    "kube-scheduler": "kubeSchedulerPort",
    "kwok-controller": "kwokControllerPort",
}


# An API server would wait for its watches to end, which they do not by themselves.
CONFIGURE_GRACE_S = 1.0
# The first restart by a supervisor is at once; the bound is for a busy machine.
HELP_WITHIN_S = 2.0


class Component:
    """
    One process of the control plane.

    Every verb returns when it has taken effect. `observer` is told of each, so that a
    run's history says who killed what.
    """

    def __init__(  # noqa: PLR0913 - all but one by name
        self,
        name: str,
        *,
        workdir: Path,
        ports: Mapping[str, int],
        client_files: tuple[str, str],
        observer: Callable[[str, str], None],
        environment: Mapping[str, str],
    ) -> None:
        self.name = name
        self._workdir = workdir
        self._port = ports[_PORTS.get(name, name)]
        self._observer = observer
        self._environment = dict(environment)
        # Starting and ending are one at a time: a supervisor has a thread of its own.
        self._changing = threading.RLock()
        self._on_start: Callable[[], None] | None = None
        self._known: ProcessIdentity | None = None
        self._log_begins = 0
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        self._tls.load_cert_chain(*client_files)

    def __repr__(self) -> str:
        return f"Component({self.name!r})"

    @property
    def pid(self) -> int | None:
        """Return the pid of the running process, or None."""
        identity = self.identity
        return identity.pid if identity else None

    @property
    def identity(self) -> ProcessIdentity | None:
        """Return the running process as nothing else can be taken for, or None."""
        return self._identity()

    @property
    def died(self) -> int | None:
        """Return the pid of the process that ended by itself, None if none did."""
        if self._stop_file.exists():
            return None
        pid = self._noted_pid()
        if pid is None or self._identity() is not None:
            return None
        # One that is ending shows no arguments any more and may still hold its port.
        ending = ProcessIdentity.of(pid) and not processes.command_line(pid)
        return None if ending else pid

    @property
    def running(self) -> bool:
        """Return whether the process is there and not held by a signal."""
        identity = self._identity()
        return identity is not None and not processes.is_stopped(identity.pid)

    @property
    def command(self) -> list[str]:
        """Return the program and the arguments that it is started with."""
        stock = kwokctl.component_commands(self._workdir)[self.name]
        return overrides.command(self._workdir, self.name, stock)

    @property
    def launcher(self) -> list[str]:
        """Return what is put before the command; it must become the program."""
        return []

    def kill(self) -> None:
        """End the process at once (SIGKILL), as a crash would. Nothing restarts it."""
        self._need()
        self._observer(self.name, "kill")
        self.end()

    def crash(self) -> None:
        """End the process as if by itself: who looks after it starts it again."""
        with self._changing:
            identity = self._need()
            self._observer(self.name, "crash")
            processes.end(identity)

    def pause(self) -> None:
        """Hold the process (SIGSTOP): it keeps its connections and does nothing."""
        self._need()
        self._observer(self.name, "pause")
        self.hold()

    def resume(self) -> None:
        """Let a held process go on (SIGCONT); harmless when it was not held."""
        self._need()
        self._observer(self.name, "resume")
        self.release()

    def configure(self, override: overrides.Override) -> None:
        """
        Start the process with other arguments; an empty override is kwokctl's own.

        Nothing is done where it runs so already.
        """
        if self.override == override and self.running:
            return
        self._observer(self.name, "configure")
        self.end(grace_s=CONFIGURE_GRACE_S)
        overrides.write(self._workdir, self.name, override)
        self.start()

    @property
    def override(self) -> overrides.Override:
        """Return how its command differs from kwokctl's."""
        return overrides.read(self._workdir, self.name)

    @property
    def as_commanded(self) -> bool:
        """Return whether the process was started with the command of now."""
        pid = self.pid
        return pid is not None and processes.command_line(pid) == self.command

    def restart(self, *, timeout: Duration = "60s", grace: Duration = "5s") -> None:
        """
        End the process if it runs, start it again, wait until it is healthy.

        Args:
            timeout: How long it may take to become healthy.
            grace: How long it may take to end by itself (SIGTERM) before it is killed.

        """
        self._observer(self.name, "restart")
        self.end(grace_s=seconds(grace, name="grace"))
        self.start()
        self.wait_healthy(timeout=timeout)

    def end(self, *, grace_s: float = 0.0) -> None:
        """
        End the process without telling the observer; harmless when it is gone.

        Args:
            grace_s: How long it may take to finish by itself; by default it is killed.

        Raises:
            ClusterError: It does not end.

        """
        with self._changing:
            # Before the signal: whoever sees it dead, in any process, sees why.
            self._stop_file.touch()
            identity = self._identity()
            if identity is None:
                self._end_unknown(self.command[0])
            elif not processes.end(identity, grace_s=grace_s):
                raise ClusterError(f"{self.name} (pid {identity.pid}) does not end")
            self._pid_file.unlink(missing_ok=True)

    def hold(self) -> None:
        """Hold the process without telling the observer; harmless when it is gone."""
        self._signal(signal.SIGSTOP, stopped=True)

    def release(self) -> None:
        """Let it go on without telling the observer; harmless when it is gone."""
        self._signal(signal.SIGCONT, stopped=False)

    def start(self) -> None:
        """
        Start the process with the arguments that kwokctl gave it, unless it runs.

        Raises:
            ClusterError: It ended at once.

        """
        with self._changing:
            self._stop_file.unlink(missing_ok=True)
            if self._identity() is None:
                self._spawn()
        if self._on_start is not None:
            self._on_start()

    def start_again(self, died: int) -> bool:
        """
        Start it if `died` still says so; return whether it was started here.

        Raises:
            ClusterError: It ended at once.

        """
        with self._changing:
            if self.died != died:
                return False
            self._spawn()
        return True

    def on_start(self, observer: Callable[[], None] | None) -> None:
        """Call a function whenever `start` is done; None calls nothing any more."""
        self._on_start = observer

    def _spawn(self) -> None:
        processes.reap()
        command = self.command
        self._end_unknown(command[0])
        log = self._workdir / "logs" / f"{self.name}.log"
        self._log_begins = log.stat().st_size if log.exists() else 0
        identity = processes.spawn(
            [*self.launcher, *command],
            directory=self._workdir,
            log=log,
            env={**os.environ, **self._environment},
        )
        if identity is None:
            raise ClusterError(f"{self.name} ended at once: {self.last_words()}")
        self._known = identity
        self._pid_file.write_text(str(identity.pid))

    def wait_started(self) -> None:
        """
        Return when the process is there.

        Raises:
            ClusterError: It died, though kwokctl said that all is well.

        """
        # Somebody else's child: for a moment the kernel shows no arguments of what is
        # being executed, and who looks after it may be starting it again.
        if not retrying.until(
            lambda: self._identity() is not None, timeout_s=HELP_WITHIN_S
        ):
            raise ClusterError(f"{self.name} died at start: {self.last_words()}")

    def healthy(self) -> bool:
        """Return what the component's own health check says now."""
        scheme, path = _HEALTH[self.name]
        connection: http.client.HTTPConnection
        if scheme == "https":
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self._port, timeout=3, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=3)
        with closing(connection):
            try:
                connection.request("GET", path)
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False

    def wait_healthy(self, *, timeout: Duration = "60s") -> None:
        """
        Return when the component says that it is healthy.

        Raises:
            ClusterError: It died, or is not healthy in time; with its last log lines.

        """
        timeout_s = seconds(timeout, name="timeout")
        # When it was first seen dead, and has not been seen alive since.
        dead_since_s = math.inf

        def dead() -> bool:
            nonlocal dead_since_s
            if self._identity() is not None:
                dead_since_s = math.inf
                return False
            now_s = time.monotonic()
            dead_since_s = min(dead_since_s, now_s)
            # Somebody who looks after it would have started it again by now.
            return self._on_start is None or now_s - dead_since_s > HELP_WITHIN_S

        in_time = retrying.until(
            lambda: dead() or (dead_since_s == math.inf and self.healthy()),
            timeout_s=timeout_s,
        )
        if dead():
            raise ClusterError(f"{self.name} died: {self.last_words()}")
        if not in_time:
            raise ClusterError(
                f"{self.name} is not healthy after {timeout_s:g}s: {self.last_words()}"
            )

    def last_words(self) -> str:
        """Return the end of the log, indented, for error messages."""
        lines = kwokctl.last_log_lines(self._workdir, self.name)
        return "".join(f"\n    {line}" for line in lines) or "its log is empty"

    def _end_unknown(self, program: str) -> None:
        """
        End what runs without a note of its pid.

        Whoever is killed between a start and the note leaves such a process: it holds
        the port, and goes on writing while a state is put back.
        """
        other = overrides.program(self._workdir, self.name)
        for path in (program, str(other)) if other.is_symlink() else (program,):
            for identity in processes.of_program(path):
                processes.end(identity)

    def last_word(self) -> str:
        """Return the log line that says most about why the process ended."""
        log = kwokctl.log_text(self._workdir, self.name, since=self._log_begins)
        return telling_line(log.splitlines())

    def _signal(self, number: signal.Signals, *, stopped: bool) -> None:
        identity = self._identity()
        if identity is None:
            return
        processes.send(identity, number)

        def done() -> bool:
            return processes.is_stopped(identity.pid) == stopped or not identity.alive

        retrying.until(done, timeout_s=5, interval_s=0.005)

    @property
    def _pid_file(self) -> Path:
        return self._workdir / "pids" / f"{self.name}.pid"

    @property
    def _stop_file(self) -> Path:
        """There from a deliberate end to the next start."""
        return self._workdir / "pids" / f"{self.name}.stop"

    def _noted_pid(self) -> int | None:
        try:
            return int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _identity(self) -> ProcessIdentity | None:
        pid = self._noted_pid()
        identity = None if pid is None else ProcessIdentity.of(pid)
        if pid is None or identity is None or identity == self._known:
            return identity
        # A pid is reused after a crash; the program's path is the cluster's own. While
        # a child of ours is being executed the kernel shows no arguments yet.
        program, *arguments = processes.command_line(pid) or [""]
        ours = processes.is_of(program, arguments, f"{self._workdir}{os.sep}")
        if not ours and not processes.is_child(pid):
            return None
        self._known = identity
        return identity

    def _need(self) -> ProcessIdentity:
        identity = self._identity()
        if identity is None:
            raise ClusterError(
                f"{self.name} does not run: start it with "
                f'cluster.component("{self.name}").restart()'
            )
        return identity


def telling_line(lines: Sequence[str]) -> str:
    """Return the line of a Go program's log that says why it ended, else the last."""
    said = [line.strip() for line in lines if line.strip()]
    for line in reversed(said):
        # What the Go runtime prints before the stacks, which are all that follows.
        if line.startswith(("panic: ", "fatal error: ")):
            return line
    return said[-1] if said else ""


def component_name(name: str) -> str:
    """
    Return a component's name, given by itself or by its usual short form.

    Raises:
        BadInput: There is no such component.

    """
    short = {
        "apiserver": "kube-apiserver",
        "kcm": "kube-controller-manager",
        "controller-manager": "kube-controller-manager",
        "scheduler": "kube-scheduler",
        "kwok": "kwok-controller",
    }
    full = short.get(name, name)
    if full not in kwokctl.COMPONENTS:
        raise BadInput(
            f"component {name!r} is unknown: use one of {', '.join(kwokctl.COMPONENTS)}"
        )
    return full
