"""The processes of a control plane, one by one: kill, pause, resume, restart."""

from __future__ import annotations

import http.client
import os
import signal
import ssl
from contextlib import closing
from typing import TYPE_CHECKING

from pytest_knav.control_plane import kwokctl, processes, retrying
from pytest_knav.control_plane.processes import ProcessIdentity
from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
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
        self._port = ports[_PORTS[name]]
        self._observer = observer
        self._environment = dict(environment)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        self._tls.load_cert_chain(*client_files)

    def __repr__(self) -> str:
        return f"Component({self.name!r})"

    @property
    def pid(self) -> int | None:
        """Return the pid of the running process, or None."""
        identity = self._identity()
        return identity.pid if identity else None

    @property
    def running(self) -> bool:
        """Return whether the process is there and not held by a signal."""
        identity = self._identity()
        return identity is not None and not processes.is_stopped(identity.pid)

    @property
    def command(self) -> list[str]:
        """Return the program and the arguments that it is started with."""
        return kwokctl.component_commands(self._workdir)[self.name]

    def kill(self) -> None:
        """End the process at once (SIGKILL), as a crash would. Nothing restarts it."""
        self._need()
        self._observer(self.name, "kill")
        self.end()

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

    def restart(self, *, timeout: Duration = "60s") -> None:
        """End the process if it runs, start it again, wait until it is healthy."""
        identity = self._identity()
        self._observer(self.name, "restart")
        if identity is not None:
            processes.end(identity, grace_s=5.0)
        self.start()
        self.wait_healthy(timeout=timeout)

    def end(self) -> None:
        """
        End the process at once without telling the observer; harmless when it is gone.

        Raises:
            ClusterError: It does not end.

        """
        identity = self._identity()
        if identity is not None and not processes.end(identity):
            raise ClusterError(f"{self.name} (pid {identity.pid}) does not end")
        self._pid_file.unlink(missing_ok=True)

    def hold(self) -> None:
        """Hold the process without telling the observer; harmless when it is gone."""
        self._signal(signal.SIGSTOP, stopped=True)

    def release(self) -> None:
        """Let it go on without telling the observer; harmless when it is gone."""
        self._signal(signal.SIGCONT, stopped=False)

    def start(self) -> None:
        """Start the process with the arguments that kwokctl gave it."""
        if self._identity() is not None:
            return
        identity = processes.spawn(
            self.command,
            directory=self._workdir,
            log=self._workdir / "logs" / f"{self.name}.log",
            env={**os.environ, **self._environment},
        )
        if identity is None:
            raise ClusterError(f"{self.name} ended at once: {self.last_words()}")
        self._pid_file.write_text(str(identity.pid))

    def wait_started(self) -> None:
        """
        Return when the process is there.

        Raises:
            ClusterError: It died, though kwokctl said that all is well.

        """
        if self._identity() is None:
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
        state = {"dead": False}

        def settled() -> bool:
            state["dead"] = self._identity() is None
            return state["dead"] or self.healthy()

        in_time = retrying.until(settled, timeout_s=timeout_s)
        if state["dead"]:
            raise ClusterError(f"{self.name} died: {self.last_words()}")
        if not in_time:
            raise ClusterError(
                f"{self.name} is not healthy after {timeout_s:g}s: {self.last_words()}"
            )

    def last_words(self) -> str:
        """Return the end of the log, indented, for error messages."""
        lines = kwokctl.last_log_lines(self._workdir, self.name)
        return "".join(f"\n    {line}" for line in lines) or "its log is empty"

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

    def _identity(self) -> ProcessIdentity | None:
        try:
            pid = int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        # A pid is reused after a crash; the program's path is the cluster's own. While
        # a child of ours is being executed the kernel shows no arguments yet.
        program = (processes.command_line(pid) or [""])[0]
        ours = program.startswith(str(self._workdir)) or processes.is_child(pid)
        if not ours:
            return None
        return ProcessIdentity.of(pid)

    def _need(self) -> ProcessIdentity:
        identity = self._identity()
        if identity is None:
            raise ClusterError(
                f"{self.name} does not run: start it with "
                f'cluster.component("{self.name}").restart()'
            )
        return identity


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
