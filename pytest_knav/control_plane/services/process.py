"""What every service is: one more process of a cluster, with its own way to start."""

from __future__ import annotations

import http.client
from abc import abstractmethod
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, ClassVar

from pytest_knav.control_plane import ports
from pytest_knav.control_plane.components import Component
from pytest_knav.control_plane.network.links import SYSTEM


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_knav.control_plane.plane import ControlPlane


class Service(Component):
    """
    A process of ours that a cluster gets when a test first needs it.

    It has the verbs of a component (`kill`, `pause`, `resume`, `restart`), and
    `cluster.component(name)` finds it. Nothing starts it again when it dies. It ends
    with the cluster, whoever removes that: its program is a link in the cluster's own
    directory, by which the registry knows the processes of a cluster.

    Args:
        name: What it is called.
        plane: The control plane that it stands beside.
        program: Its binary.
        observer: Who is told of its kills and restarts.

    Attributes:
        along: What is closed together with it.

    """

    #: As which client of a link it speaks to the API server, if it does as one.
    client: ClassVar[str] = ""

    def __init__(
        self,
        name: str,
        plane: ControlPlane,
        program: Path,
        observer: Callable[[str, str], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = reserved_port(plane, name)
        self.along = ExitStack()
        self.directory = plane.workdir / name
        self._program = plane.workdir / "bin" / name
        self._link, self._binary = self._program, program
        environment_of = program.parent.parent
        if (environment_of / "pyvenv.cfg").is_file():
            # A Python finds its packages by where it seems to be (PEP 405).
            self._link, self._binary = self.directory / "venv", environment_of
            self._program = self._link / program.parent.name / program.name
        self._ours = False
        super().__init__(
            name,
            workdir=plane.workdir,
            ports={name: self.port},
            client_files=(plane.endpoint.cert_file, plane.endpoint.key_file),
            observer=observer,
            environment=environment or {},
        )

    @property
    def command(self) -> list[str]:
        """Return the program and the arguments that it is started with."""
        return [str(self._program), *self.arguments()]

    @abstractmethod
    def arguments(self) -> list[str]:
        """Return the arguments that it is started with."""

    @property
    @abstractmethod
    def health_path(self) -> str:
        """Return where it says over HTTP whether it is ready."""

    @property
    def metrics_url(self) -> str:
        """Return where Prometheus finds its metrics; empty when it has none."""
        return ""

    def prepare(self) -> None:
        """Make what it needs to start for the first time in this process."""
        self.directory.mkdir(exist_ok=True, mode=0o700)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(self._binary)

    def ensure(self) -> None:
        """
        Return when it is healthy; the first call starts it.

        What a killed run has left of it is replaced. One that a test has killed or
        paused runs again.

        Raises:
            ClusterError: It died, or is not healthy in time; with its last log lines.

        """
        if not self._ours:
            self.end()
            self.prepare()
            self._ours = True
        self.release()
        self.start()
        self.wait_healthy()

    def healthy(self) -> bool:
        """Return what it says of itself now."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3)
        with closing(connection):
            try:
                connection.request("GET", self.health_path)
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False

    def close(self) -> None:
        """End it if it was started here, and what goes along with it."""
        try:
            if self._ours and self._workdir.exists():
                self.end()
        finally:
            self._ours = False
            self.along.close()


def kubeconfig_of(plane: ControlPlane) -> Path:
    """Return how a system reaches a cluster: behind its proxy, where there are any."""
    network = plane.network
    if network is None:
        return plane.entry.kubeconfig
    # So that it can be cut off.
    return network.wiring.kubeconfig(SYSTEM)


def reserved_port(plane: ControlPlane, name: str) -> int:
    """Return a port that belongs to a cluster under a name; the same every time."""
    note = plane.workdir / f"{name}.port"
    if note.exists():
        return int(note.read_text())
    (port,) = ports.reserve(plane.entry.name, 1)
    note.write_text(str(port))
    return port
