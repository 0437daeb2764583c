"""One control plane of ours: made, looked after, removed."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_knav.control_plane import finishing, kwokctl, ports, registry, speed
from pytest_knav.control_plane.api import Api, ApiRefusedError, read_kubeconfig
from pytest_knav.control_plane.assets import CONTROL_PLANE
from pytest_knav.control_plane.components import Component, component_name
from pytest_knav.control_plane.config import ClusterConfig
from pytest_knav.control_plane.kubelets import Kubelets
from pytest_knav.control_plane.kwokctl import Kwokctl
from pytest_knav.control_plane.looked_after import LookedAfter
from pytest_knav.control_plane.network import toxiproxy
from pytest_knav.control_plane.network.network import Network, reserve, wiring_of
from pytest_knav.control_plane.state.restore import StateKeeper
from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.history.transport import HttpTransport
from pytest_knav.metrics.signals import GpuSignals


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_knav.control_plane.assets import AssetStore
    from pytest_knav.control_plane.network.network import Wiring
    from pytest_knav.control_plane.registry import ClusterEntry
    from pytest_knav.control_plane.services.process import Service


FREE_SPACE_BYTES = 300 * 1024**2
_PLANE_FILE = "plane.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """Where the binaries of a control plane are, and which versions they have."""

    paths: Mapping[str, Path]
    versions: Mapping[str, str]

    @classmethod
    def of(cls, store: AssetStore) -> Binaries:
        """Return those of a store; what is missing is fetched or built."""
        return cls(paths=store.paths(*CONTROL_PLANE), versions=store.versions())

    def plus(self, name: str, path: Path) -> Binaries:
        """Return these and one that only some control planes need."""
        return replace(self, paths={**self.paths, name: path})


class ControlPlane(LookedAfter):
    """
    etcd, API server, controller manager, scheduler and KWOK as processes of this host.

    Made by `create` or found again by `attach`; all verbs are harmless when repeated.
    """

    def __init__(
        self,
        entry: ClusterEntry,
        port_numbers: Mapping[str, int],
        config: ClusterConfig,
        environment: Mapping[str, str],
        wiring: Wiring | None = None,
    ) -> None:
        super().__init__()
        self.entry = entry
        self.ports = dict(port_numbers)
        self.config = config
        self.profile = config.profile
        self.endpoint = read_kubeconfig(entry.kubeconfig)
        self.api = Api(self.endpoint)
        self.states = StateKeeper(self)
        self.services: dict[str, Service] = {}
        self.signals = GpuSignals()
        #: Components that something else stands in for.
        self.replaced: set[str] = set()
        #: Whether KWOK has let a node go since the last restore.
        self.kubelets_let_go = False
        files = (self.endpoint.cert_file, self.endpoint.key_file)
        self.components = {
            name: Component(
                name,
                workdir=self.workdir,
                ports=self.ports,
                client_files=files,
                observer=self._tell,
                environment=environment,
            )
            for name in kwokctl.COMPONENTS
        }
        #: The proxies between the components, where the configuration asks for them.
        self.network = (
            None if wiring is None else Network(wiring, self.endpoint, self._tell)
        )

    @property
    def workdir(self) -> Path:
        """Return kwokctl's directory of this cluster: commands, logs, pids, keys."""
        return self.entry.directory / "kwok" / "clusters" / self.entry.name

    @classmethod
    def create(  # noqa: PLR0913 - three of them have a default
        cls,
        name: str,
        config: ClusterConfig,
        binaries: Binaries,
        *,
        owned: bool,
        port: int | None = None,
        description: str = "",
    ) -> ControlPlane:
        """
        Make a control plane and return when every component says that it is healthy.

        Args:
            name: Its name on this machine.
            config: Everything that only a new control plane can change.
            binaries: What to run.
            owned: Whether it ends with this process, or after it at the next start.
            port: The API server's port; by default a free one.
            description: What `knav cluster list` shows.

        Raises:
            ClusterError: It did not come up; nothing of it is left then.

        """
        _check_space()
        entry = registry.claim(name, owned=owned)
        try:
            return cls._create(entry, config, binaries, port, description)
        except BaseException:
            registry.remove(entry)
            raise

    @classmethod
    def _create(
        cls,
        entry: ClusterEntry,
        config: ClusterConfig,
        binaries: Binaries,
        port: int | None,
        description: str,
    ) -> ControlPlane:
        entry = registry.update(entry, key=config.key, description=description)
        numbers = _reserve(entry.name, port)
        tool = Kwokctl(
            binaries=binaries.paths,
            directory=entry.directory / "kwok",
            kubeconfig=entry.kubeconfig,
        )
        tool.check_version()
        wiring = None
        if config.network:
            wiring = reserve(entry, tool.workdir(entry.name), numbers)
            wiring.write(binaries.paths[toxiproxy.NAME])
            wiring.start()
        tool.create(entry.name, config, numbers, wiring)
        plane_file = entry.directory / _PLANE_FILE
        environment = speed.environment(config.control_plane)
        facts = {
            "ports": numbers,
            "config": config.as_data(),
            "environment": environment,
            "network": None if wiring is None else dict(wiring.ports),
        }
        plane_file.write_text(json.dumps(facts))
        plane = cls(entry, numbers, config, environment, wiring)
        # On a busy machine kube-controller-manager gives up before the API server is
        # healthy: it waits for 10 s.
        plane.supervise()
        try:
            finishing.finish(plane, config)
        except BaseException:
            plane.close()
            raise
        plane.end_supervision()
        return plane

    @classmethod
    def attach(cls, entry: ClusterEntry) -> ControlPlane:
        """
        Return a control plane that was made earlier, by this or another process.

        Raises:
            ClusterError: It does not answer, or is not the one that was written down.

        """
        try:
            facts = json.loads((entry.directory / _PLANE_FILE).read_text())
        except FileNotFoundError as error:
            raise ClusterError(
                f"cluster {entry.name!r} was never finished: "
                f"`knav cluster down {entry.name}` removes it"
            ) from error
        config = ClusterConfig.from_data(facts.get("config", {}))
        wiring = None
        if facts.get("network"):
            workdir = entry.directory / "kwok" / "clusters" / entry.name
            wiring = wiring_of(workdir, facts["network"], facts["ports"])
        plane = cls(entry, facts["ports"], config, facts["environment"], wiring)
        plane.check_ours()
        return plane

    def component(self, name: str) -> Component:
        """
        Return a component by its name or usual short form, or a service of ours.

        Raises:
            BadInput: There is none, or the service has not been needed yet.

        """
        for process in () if self.network is None else self.network.processes:
            if process.name == name:
                return process
        service = self.services.get(name)
        return self.components[component_name(name)] if service is None else service

    def service(
        self, name: str, make: Callable[[Callable[[str, str], None]], Service]
    ) -> Service:
        """
        Return a service of ours beside the components; the first call makes it.

        Args:
            name: What it is called.
            make: Makes it, given who is to be told of its kills and restarts.

        """
        if name not in self.services:
            self.services[name] = make(self._tell)
        return self.services[name]

    @property
    def etcd_url(self) -> str:
        """Return where etcd serves its clients."""
        return f"http://127.0.0.1:{self.ports['etcdPort']}"

    def transport(self) -> HttpTransport:
        """Return a new way to the API server, for streams; the caller closes it."""
        return HttpTransport(
            self.endpoint.server,
            ca_file=Path(self.endpoint.ca_file),
            cert_file=Path(self.endpoint.cert_file),
            key_file=Path(self.endpoint.key_file),
        )

    def describe(self, text: str) -> None:
        """Write down what the cluster is now, for `knav cluster list`."""
        if text != self.entry.description:
            self.entry = registry.update(
                self.entry, key=self.entry.key, description=text
            )

    def commands(self) -> dict[str, list[str]]:
        """Return the full command of each component."""
        return kwokctl.component_commands(self.workdir)

    def check_ours(self) -> None:
        """
        Return when the cluster carries our fingerprint.

        Raises:
            ClusterError: It does not answer, or carries another or none.

        """
        finishing.check_ours(self)

    def close(self) -> None:
        """
        Close every connection to it; its components go on, and nothing helps them.

        The services that were started here end.
        """
        self.end_supervision()
        for service in self.services.values():
            service.close()
        self.services.clear()
        self.api.close()
        self.states.close()

    def delete(self) -> None:
        """End every process and remove every file and port of it."""
        self.close()
        registry.remove(self.entry)

    def _new_kubelets(self) -> Kubelets:
        return Kubelets(self)


def attach_by_kubeconfig(path: Path) -> ControlPlane:
    """
    Return the control plane of ours that a kubeconfig leads to.

    Raises:
        BadInput: The file is missing or broken, or the server does not answer.
        ClusterError: The cluster is not one of ours.

    """
    endpoint = read_kubeconfig(path)
    api = Api(endpoint)
    if not api.ready():
        raise BadInput(
            f"kubeconfig {path}: the API server at {endpoint.server} does not answer"
        )
    try:
        signed = api.get(f"{finishing.FINGERPRINT_PATH}")
    except ApiRefusedError as error:
        raise ClusterError(
            f"kubeconfig {path}: the cluster at {endpoint.server} was not made by "
            "pytest-knav, and faults are for clusters of ours only; "
            "make one with `knav cluster up`"
        ) from error
    finally:
        api.close()
    return ControlPlane.attach(registry.find(signed["data"]["name"]))


def _reserve(owner: str, port: int | None) -> dict[str, int]:
    chosen = []
    if port is not None:
        ports.reserve_exactly(owner, port)
        chosen.append(port)
    chosen += ports.reserve(owner, len(kwokctl.PORT_NAMES) - len(chosen))
    return dict(zip(kwokctl.PORT_NAMES, chosen, strict=True))


def _check_space() -> None:
    home = registry.clusters_home()
    free = shutil.disk_usage(home).free
    if free < FREE_SPACE_BYTES:
        raise ClusterError(
            f"{home} has {free // 1024**2} MB free, a cluster needs "
            f"{FREE_SPACE_BYTES // 1024**2} MB: make room, or set XDG_STATE_HOME to "
            "a directory with more"
        )
