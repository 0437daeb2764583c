"""The proxies of one cluster: made before its components, looked after with them."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from pytest_knav.control_plane import ports, processes, retrying
from pytest_knav.control_plane.kwokctl import flag_value
from pytest_knav.control_plane.network import http_layer, toxiproxy
from pytest_knav.control_plane.network.http_layer import HttpLayer
from pytest_knav.control_plane.network.links import (
    APISERVER,
    ETCD,
    LINKS,
    OF_COMPONENTS,
    Link,
)
from pytest_knav.control_plane.network.toxiproxy import Toxiproxy
from pytest_knav.errors import ClusterError


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_knav.control_plane.api import Endpoint
    from pytest_knav.control_plane.components import Component
    from pytest_knav.control_plane.registry import ClusterEntry

_START_TIMEOUT_S: Final = 20.0
_PORTS: Final = {APISERVER: "kubeApiserverPort", ETCD: "etcdPort"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """
    Where everything of a network is, known before the control plane is made.

    Attributes:
        workdir: kwokctl's directory of the cluster.
        ports: A port for each process and link, by name.
        upstreams: The port of the server of each link.

    """

    workdir: Path
    ports: Mapping[str, int]
    upstreams: Mapping[str, int]

    @property
    def directory(self) -> Path:
        """Return where its files are."""
        return self.workdir / "network"

    @property
    def program(self) -> Path:
        """Return the link to toxiproxy by which its process is known as ours."""
        return self.workdir / "bin" / toxiproxy.NAME

    @property
    def command(self) -> list[str]:
        """Return what toxiproxy is started with."""
        return [
            str(self.program), "-host", "127.0.0.1",
            "-port", str(self.ports[toxiproxy.NAME]),
            "-config", str(self.directory / "proxies.json"),
        ]  # fmt: skip

    def address(self, link: Link) -> str:
        """Return where the server of a link itself listens."""
        return f"127.0.0.1:{self.upstreams[link.name]}"

    def kubeconfig(self, component: str) -> Path:
        """Return the kubeconfig of a component."""
        return self.directory / f"{component}.kubeconfig"

    def arguments(self) -> list[tuple[str, str, str]]:
        """Return component, flag and value: what leads each of them to its proxy."""
        return [
            (link.client, "kubeconfig", str(self.kubeconfig(link.client)))
            if link.speaks_http
            else (link.client, "etcd-servers", f"http://127.0.0.1:{self._port(link)}")
            for link in OF_COMPONENTS
        ]

    def _port(self, link: Link) -> int:
        return self.ports[link.name]

    def write(self, binary: Path) -> None:
        """Write the files that toxiproxy and the components read."""
        for name in ("bin", "logs", "pids", "network"):
            (self.workdir / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        self.program.unlink(missing_ok=True)
        self.program.symlink_to(binary)
        proxies = [
            {
                "name": link.name,
                "listen": f"127.0.0.1:{self._port(link)}",
                "upstream": self.address(link),
                "enabled": True,
            }
            for link in LINKS
        ]
        _write(self.directory / "proxies.json", json.dumps(proxies))
        for link in LINKS:
            if link.speaks_http:
                text = yaml.safe_dump(self._kubeconfig_of(link), sort_keys=False)
                _write(self.kubeconfig(link.client), text)

    def _kubeconfig_of(self, link: Link) -> dict[str, Any]:
        # kwokctl makes one certificate for all (pkg/kwokctl/pki/pki.go).
        keys, name = self.workdir / "pki", link.client
        cluster = {
            "certificate-authority": str(keys / "ca.crt"),
            "server": f"https://127.0.0.1:{self._port(link)}",
        }
        user = {
            "client-certificate": str(keys / "admin.crt"),
            "client-key": str(keys / "admin.key"),
        }
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }

    def start(self) -> None:
        """
        Start toxiproxy before there is a control plane.

        Raises:
            ClusterError: It ended at once.

        """
        log = self.workdir / "logs" / f"{toxiproxy.NAME}.log"
        identity = processes.spawn(
            self.command,
            directory=self.workdir,
            log=log,
            env={**os.environ, **toxiproxy.ENVIRONMENT},
        )
        if identity is None:
            raise ClusterError(f"{toxiproxy.NAME} ended at once; its log is {log}")
        pid_file = self.workdir / "pids" / f"{toxiproxy.NAME}.pid"
        pid_file.write_text(str(identity.pid))
        # What connects to a link before its proxy listens gives up or waits.
        wanted = [self._port(link) for link in LINKS]
        if not retrying.until(
            lambda: not identity.alive or not any(map(ports.is_free, wanted)),
            timeout_s=_START_TIMEOUT_S,
            interval_s=0.01,
        ):
            raise ClusterError(
                f"{toxiproxy.NAME} does not listen after {_START_TIMEOUT_S:g}s; its "
                f"log is {log}"
            )

    def differences(self, commands: Mapping[str, list[str]]) -> list[str]:
        """Return in words which components were not led to their proxy."""
        return [
            f"{component} runs with --{flag}={found}, its proxy needs {value}"
            for component, flag, value in self.arguments()
            if (found := flag_value(commands.get(component, []), flag)) != value
        ]


def reserve(entry: ClusterEntry, workdir: Path, numbers: Mapping[str, int]) -> Wiring:
    """
    Reserve the ports of a network for a cluster.

    Raises:
        ClusterError: No free ports are left.

    """
    names = [toxiproxy.NAME, http_layer.NAME]
    names += [link.name for link in LINKS]
    names += [http_layer.port_name(link) for link in LINKS if link.speaks_http]
    chosen = ports.reserve(entry.name, len(names))
    return wiring_of(workdir, dict(zip(names, chosen, strict=True)), numbers)


def wiring_of(
    workdir: Path, chosen: Mapping[str, int], numbers: Mapping[str, int]
) -> Wiring:
    """Return the wiring of ports that were reserved earlier."""
    upstreams = {link.name: numbers[_PORTS[link.server]] for link in LINKS}
    return Wiring(workdir=workdir, ports=chosen, upstreams=upstreams)


class Network:
    """
    The links of a running control plane and the proxies in them.

    Args:
        wiring: Where everything is.
        endpoint: Where the API server is and what opens it.
        observer: Who is told of kills and restarts of its processes.

    Attributes:
        proxy: toxiproxy.
        layer: What can hurt single requests; it runs only while it is needed.
        changing: Held while a link is led elsewhere: links share one layer.
        evidence: What was last measured of each link, in words.

    """

    def __init__(
        self,
        wiring: Wiring,
        endpoint: Endpoint,
        observer: Callable[[str, str], None],
    ) -> None:
        self.wiring = wiring
        self.endpoint = endpoint
        self.changing = threading.RLock()
        self.evidence: dict[str, str] = {}
        files = (endpoint.cert_file, endpoint.key_file)
        self.proxy = Toxiproxy(
            wiring.command,
            workdir=wiring.workdir,
            port=wiring.ports[toxiproxy.NAME],
            client_files=files,
            observer=observer,
        )
        self.layer = HttpLayer(
            wiring.directory,
            workdir=wiring.workdir,
            ports=wiring.ports,
            upstreams=wiring.upstreams,
            client_files=files,
            observer=observer,
        )

    def port(self, link: Link) -> int:
        """Return where the client of a link connects to."""
        return self.wiring.ports[link.name]

    def hurt_requests(self, link: Link, rule: Mapping[str, Any]) -> None:
        """Lead a link through the layer that hurts single requests, by a rule."""
        with self.changing:
            self.layer.ensure()
            self.layer.put(link, rule)
            port = self.wiring.ports[http_layer.port_name(link)]
            self.proxy.lead(link.name, f"127.0.0.1:{port}")

    def heal_requests(self, link: Link) -> None:
        """Lead a link straight to its server; the layer ends with its last rule."""
        with self.changing:
            self.layer.drop(link)
            self.proxy.lead(link.name, self.wiring.address(link))
            if not self.led_through_layer():
                self.layer.close()

    @property
    def processes(self) -> list[Component]:
        """Return what is started again when it dies by itself."""
        return [self.proxy, self.layer]

    def heal(self) -> None:
        """Make every link whole, whatever was done to it."""
        self.proxy.release()
        self.proxy.start()
        for name, proxy in self.proxy.proxies().items():
            for toxic in proxy["toxics"]:
                self.proxy.remove(name, toxic["name"])
            if not proxy["enabled"]:
                self.proxy.enable(name)
        self.layer.rules.clear()
        if self.layer.running or self.led_through_layer():
            self.layer.close()
            for link in LINKS:
                self.proxy.lead(link.name, self.wiring.address(link))

    def led_through_layer(self) -> list[str]:
        """Return the names of the links that lead through the layer."""
        proxies = self.proxy.proxies()
        return [
            link.name
            for link in LINKS
            if proxies[link.name]["upstream"] != self.wiring.address(link)
        ]

    def standing(self) -> dict[str, Any]:
        """Return what a fault must put back: proxies, toxics, processes."""
        found: dict[str, Any] = {
            f"link {name}": {k: proxy[k] for k in ("upstream", "enabled", "toxics")}
            for name, proxy in self.proxy.proxies().items()
        }
        found[f"process {http_layer.NAME}"] = self.layer.running
        return found


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
