"""The process that hurts single requests of the Kubernetes API, as a component."""

from __future__ import annotations

import http.client
import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pytest_knav
from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.api import read_kubeconfig
from pytest_knav.control_plane.components import Component
from pytest_knav.control_plane.network.links import LINKS, Link
from pytest_knav.errors import ClusterError


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAME: Final = "network-layer"
_MODULE: Final = "pytest_knav.control_plane.network.layer"
_TIMEOUT_S: Final = 10.0


def port_name(link: Link) -> str:
    """Return by which name the port of a link at the layer is reserved."""
    return f"{NAME} {link.name}"


class HttpLayer(Component):
    """
    The layer of one cluster; it runs while a rule needs it.

    It ends TLS with the cluster's certificate, and goes on to the API server with the
    certificate of the component whose link it stands in.

    Args:
        directory: Where its configuration is, and the kubeconfigs of the components.
        workdir: kwokctl's directory of the cluster.
        ports: A port for it and each of its links, by name.
        upstreams: The port of the server of each link.
        client_files: The cluster's certificate and key.
        observer: Who is told of its kills and restarts.

    Attributes:
        rules: What this process has told it, by the name of the link.

    """

    def __init__(  # noqa: PLR0913 - all but one by name
        self,
        directory: Path,
        *,
        workdir: Path,
        ports: Mapping[str, int],
        upstreams: Mapping[str, int],
        client_files: tuple[str, str],
        observer: Callable[[str, str], None],
    ) -> None:
        self._directory = directory
        self._ports = ports
        self._upstreams = upstreams
        self._program = workdir / "bin" / NAME
        self._settings = directory / "layer.json"
        self.rules: dict[str, dict[str, Any]] = {}
        # The interpreter is started by a link in the cluster's directory, so it does
        # not find its virtual environment.
        root = str(Path(pytest_knav.__file__).parent.parent)
        super().__init__(
            NAME,
            workdir=workdir,
            ports=ports,
            client_files=client_files,
            observer=observer,
            environment={"PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"},
        )

    @property
    def command(self) -> list[str]:
        """Return the program and the arguments that it is started with."""
        return [str(self._program), "-m", _MODULE, str(self._settings)]

    def healthy(self) -> bool:
        """Return whether it answers."""
        try:
            self.state()
        except ClusterError:
            return False
        return True

    def ensure(self) -> None:
        """
        Return when it answers; it is started if it does not run.

        Raises:
            ClusterError: It died, or does not answer in time.

        """
        if not self.running:
            self._configure()
        self.release()
        self.start()
        self.wait_healthy()

    def close(self) -> None:
        """End it and leave no file of it but its log; harmless when repeated."""
        self.end()
        # Without a note of a pid nobody takes it for dead.
        for path in (self._stop_file, self._program, self._settings):
            path.unlink(missing_ok=True)

    def state(self) -> dict[str, Any]:
        """Return the rule and the counts of each link."""
        found: dict[str, Any] = self._ask("GET", "/")
        return found

    def put(self, link: Link, rule: Mapping[str, Any]) -> None:
        """Hurt the requests of a link by a rule, in place of the one before."""
        self.rules[link.name] = dict(rule)
        self._put(link.name, rule)

    def drop(self, link: Link) -> None:
        """Hurt the requests of a link no more; harmless when nothing does."""
        self.rules.pop(link.name, None)
        if self.running:
            self._ask("DELETE", f"/{quote(link.name, safe='')}")

    def _put(self, name: str, rule: Mapping[str, Any]) -> None:
        self._ask("PUT", f"/{quote(name, safe='')}", rule)

    def _spawn(self) -> None:
        super()._spawn()
        rules = list(self.rules.items())
        if rules:
            # It has died by itself, and somebody starts it again.
            retrying.until(self.healthy, timeout_s=_TIMEOUT_S, interval_s=0.02)
        for name, rule in rules:
            self._put(name, rule)

    def _configure(self) -> None:
        self._program.unlink(missing_ok=True)
        # Resolved: that of a virtual environment is a link itself.
        self._program.symlink_to(os.path.realpath(sys.executable))
        links = {}
        certificate: dict[str, str] = {}
        for link in LINKS:
            if not link.speaks_http:
                continue
            endpoint = read_kubeconfig(self._directory / f"{link.client}.kubeconfig")
            certificate = {
                "ca": endpoint.ca_file,
                "cert": endpoint.cert_file,
                "key": endpoint.key_file,
            }
            links[link.name] = {
                "listen": self._ports[port_name(link)],
                "upstream": self._upstreams[link.name],
                "client": certificate,
            }
        settings = {
            "control": self._ports[NAME],
            "server": certificate,
            "links": links,
        }
        self._settings.touch(mode=0o600)
        self._settings.write_text(json.dumps(settings))

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Any:  # noqa: ANN401 - JSON
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._port, timeout=_TIMEOUT_S
        )
        with closing(connection):
            try:
                content = None if body is None else json.dumps(body)
                connection.request(method, path, content)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise ClusterError(
                    f"{NAME} does not answer {method} {path}: {error!r}"
                ) from error
        if answer.status >= 400:
            said = text.decode(errors="replace").strip()
            raise ClusterError(f"{NAME}: {method} {path}: {answer.status}: {said}")
        return json.loads(text)
