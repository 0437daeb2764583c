"""A process of a system beside a cluster."""

from __future__ import annotations

import http.client
import os
import shlex
import shutil
import socket
import ssl
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import psutil

from pytest_knav.control_plane import kwokctl
from pytest_knav.control_plane.network.links import (
    APISERVER,
    SYSTEM,
    link_named,
)
from pytest_knav.control_plane.services.process import (
    Service,
    kubeconfig_of,
    reserved_port,
)
from pytest_knav.errors import ClusterError
from pytest_knav.systems import mounts
from pytest_knav.systems.placeholders import fill


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.systems.model import System, SystemProcess

_PROBE_TIMEOUT_S: Final = 3.0
LAST_LINES: Final = 15
#: What says nothing of itself counts as ready when it has stayed so long, in seconds.
STAYS_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """
    What a process runs.

    Attributes:
        path: The binary.
        before: Arguments that come before its own, as an image's entry point has them.
        env: Variables that an image sets.

    """

    path: Path
    before: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


class SystemService(Service):
    """
    One process of a system, with the verbs of a component.

    Args:
        system: What it is a part of.
        process: What it is.
        plane: The control plane.
        program: What it runs.
        certs: The directory of its serving certificate.
        observer: Who is told of its kills and restarts.

    """

    health_path = ""

    def __init__(  # noqa: PLR0913 - it stands between all of them
        self,
        system: System,
        process: SystemProcess,
        *,
        plane: ControlPlane,
        program: Program,
        certs: Path,
        observer: Callable[[str, str], None],
    ) -> None:
        self._plane = plane
        self._process = process
        self._system = system
        self._started_with = program
        self._certs = certs
        self._spawned_s = 0.0
        super().__init__(process.name, plane, program.path, observer)
        values = {**dict(program.env), **process.env}
        self._environment = {
            "KUBECONFIG": str(self._kubeconfig),
            **{name: self.fill(value) for name, value in values.items()},
        }

    @property
    def _kubeconfig(self) -> Path:
        return kubeconfig_of(self._plane)

    @property
    def _server(self) -> str:
        network = self._plane.network
        if network is None:
            return self._plane.endpoint.server
        port = network.port(link_named(f"{SYSTEM}->{APISERVER}"))
        return f"https://127.0.0.1:{port}"

    def port_named(self, name: str) -> int:
        """Return the number of a port by its name; empty for the process's own."""
        return system_port(self._plane, self._system, name or self.name)

    def fill(self, text: str) -> str:
        """Return a text with its placeholders filled in."""
        values = {
            "dir": str(self.directory),
            "kubeconfig": str(self._kubeconfig),
            "certs": str(self._certs),
            "server": self._server,
        }
        return fill(text, values, self.port_named)

    def arguments(self) -> list[str]:
        """Return the arguments that it is started with."""
        own = [self.fill(argument) for argument in self._process.args]
        return [*self._started_with.before, *own]

    @property
    def launcher(self) -> list[str]:
        """Return what is put before the command: where it runs, what it sees."""
        workdir = self.fill(self._process.workdir) or str(self.directory)
        script = f"cd {shlex.quote(workdir)} && "
        private = {
            path: self.fill(source) for path, source in self._process.mounts.items()
        }
        if private:
            script += mounts.script(private, self.directory / "mounts") + " && "
        inside = ["/bin/sh", "-c", script + 'exec "$@"', "sh"]
        return [*mounts.UNSHARE, *inside] if private else inside

    def prepare(self) -> None:
        """Make its directory, empty, and write its files."""
        shutil.rmtree(self.directory, ignore_errors=True)
        super().prepare()
        for name, text in self._system.files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(self.fill(text))

    def _spawn(self) -> None:
        super()._spawn()
        self._spawned_s = time.monotonic()

    def begin(self) -> None:
        """Start it with files as they were at first; do not wait."""
        self.end()
        self.prepare()
        self._ours = True
        self.start()

    def healthy(self) -> bool:
        """Return whether it runs and what it says of itself now."""
        if not self.running:
            return False
        if not self._process.ready:
            return time.monotonic() - self._spawned_s >= STAYS_S
        return answers(self.fill(self._process.ready))

    @property
    def metrics_url(self) -> str:
        """Return where its metrics are; empty when it has none."""
        return self.fill(self._process.metrics)

    def last_words(self) -> str:
        """Return the end of what it has logged since its start, indented."""
        text = kwokctl.log_text(self._workdir, self.name, since=self._log_begins)
        lines = text.splitlines()[-LAST_LINES:]
        return "".join(f"\n    {line}" for line in lines) or "it logged nothing"

    def why_not(self) -> str:
        """Return what is wrong with a process that does not get ready."""
        if not self.running:
            return f"{self.name} ended: {self.last_words()}"
        wanted = self.fill(self._process.ready)
        found = ", ".join(listening(self.pid)) or "nothing"
        return (
            f"{self.name} does not answer at {wanted}; it listens on {found}: "
            f"{self.last_words()}"
        )


def system_port(plane: ControlPlane, system: System, name: str) -> int:
    """Return a port of a system by its name; the same every time."""
    return reserved_port(plane, f"{system.name}-port-{name}")


def answers(url: str) -> bool:
    """Return whether a URL answers 2xx, or a `tcp://` one takes a connection."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 0
    if parts.scheme == "tcp":
        try:
            with socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_S):
                return True
        except OSError:
            return False
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        # Its certificate is often its own; what it says is what matters.
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            host, port, timeout=_PROBE_TIMEOUT_S, context=trusting
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_PROBE_TIMEOUT_S)
    with closing(connection):
        try:
            connection.request("GET", parts.path or "/")
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException):
            return False


def listening(pid: int | None) -> list[str]:
    """Return the addresses that a process listens on."""
    try:
        connections = psutil.Process(pid).net_connections(kind="inet")
    except psutil.Error:
        return []
    return sorted(
        f"{c.laddr.ip}:{c.laddr.port}"
        for c in connections
        if c.status == psutil.CONN_LISTEN
    )


def program_of_path(system: System, process: SystemProcess) -> Program:
    """
    Return the program that a process names by its path.

    Raises:
        ClusterError: There is none, or it cannot be executed.

    """
    # Not resolved: that would lead out of a virtual environment.
    path = Path(str(process.binary)).expanduser().absolute()
    what = f"system {system.name!r}: {process.name}: binary {path}"
    if not path.is_file():
        raise ClusterError(f"{what}: there is no such file: build it first")
    if not os.access(path, os.X_OK):
        raise ClusterError(f"{what} cannot be executed: chmod +x it")
    return Program(path=path)
