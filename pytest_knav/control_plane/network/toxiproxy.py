"""
toxiproxy-server: one TCP proxy for each link, and what hurts the bytes in it.

Its API is documented in https://github.com/Shopify/toxiproxy#http-api; behaviour that
is not was read in the source of 2.12.0 and is cited where it matters.
"""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.components import Component
from pytest_knav.errors import ClusterError


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

NAME: Final = "toxiproxy-server"
#: It writes several lines for each connection otherwise.
ENVIRONMENT: Final = {"LOG_LEVEL": "warn"}
_TIMEOUT_S: Final = 15.0
# What the API answers when the toxic is there already, and when it is not.
_EXISTS: Final = 409
_NOT_FOUND: Final = 404


class Toxiproxy(Component):
    """
    The proxy process of one cluster.

    It has the verbs of a component. Started again by this process, it gets back what
    this process has put into it; the connections through it have ended.

    Args:
        command: Its program and arguments.
        workdir: kwokctl's directory of the cluster.
        port: Of its API.
        client_files: The cluster's certificate and key.
        observer: Who is told of its kills and restarts.

    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        workdir: Path,
        port: int,
        client_files: tuple[str, str],
        observer: Callable[[str, str], None],
    ) -> None:
        self._command = list(command)
        self._toxics: dict[tuple[str, str], dict[str, Any]] = {}
        self._upstreams: dict[str, str] = {}
        super().__init__(
            NAME,
            workdir=workdir,
            ports={NAME: port},
            client_files=client_files,
            observer=observer,
            environment=ENVIRONMENT,
        )

    @property
    def command(self) -> list[str]:
        """Return the program and the arguments that it is started with."""
        return list(self._command)

    def healthy(self) -> bool:
        """Return whether its API answers."""
        try:
            self._try("GET", "/proxies", None)
        except (OSError, http.client.HTTPException):
            return False
        return True

    def _spawn(self) -> None:
        super()._spawn()
        with self._changing:
            wanted = list(self._toxics.items()), list(self._upstreams.items())
        for (link, _), toxic in wanted[0]:
            self.add(link, toxic)
        for link, upstream in wanted[1]:
            self.lead(link, upstream)

    def proxies(self) -> dict[str, Any]:
        """Return every proxy with its toxics, by the name of the link."""
        found: dict[str, Any] = self._ask("GET", "/proxies")
        return found

    def toxics(self, link: str) -> dict[str, dict[str, Any]]:
        """Return the toxics of a link by their names."""
        proxy = self.proxies().get(link, {})
        return {toxic["name"]: toxic for toxic in proxy.get("toxics", ())}

    def add(self, link: str, toxic: Mapping[str, Any]) -> None:
        """Put a toxic into a link, or replace the one of that name."""
        path = f"{_path(link)}/toxics"
        with self._changing:
            self._toxics[link, toxic["name"]] = dict(toxic)
        if self._ask("POST", path, toxic, fine=_EXISTS) is None:
            name = quote(str(toxic["name"]), safe="")
            self._ask("PATCH", f"{path}/{name}", toxic)

    def remove(self, link: str, toxic: str) -> None:
        """Take a toxic out of a link; harmless when it is not there."""
        path = f"{_path(link)}/toxics/{quote(toxic, safe='')}"
        with self._changing:
            self._toxics.pop((link, toxic), None)
        self._ask("DELETE", path, fine=_NOT_FOUND)

    def upstream(self, link: str) -> str:
        """Return where a link leads to, as host and port."""
        return str(self.proxies()[link]["upstream"])

    def lead(self, link: str, upstream: str) -> None:
        """
        Lead a link to another address; nothing happens when it leads there.

        Every open connection of the link ends (proxy.go, Update and stop).
        """
        with self._changing:
            self._upstreams[link] = upstream
        if self.upstream(link) != upstream:
            self._ask("PATCH", _path(link), {"upstream": upstream})

    def cut(self, link: str) -> None:
        """End every open connection of a link; new ones are taken at once."""
        self._ask("PATCH", _path(link), {"enabled": False})
        self._ask("PATCH", _path(link), {"enabled": True})

    def enable(self, link: str) -> None:
        """Take connections of a link; harmless when it does."""
        self._ask("PATCH", _path(link), {"enabled": True})

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        fine: int | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        """Return the answer; None for the status that is fine as well."""
        # It may just be starting again.
        try:
            status, text = retrying.call_api(self._try, method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise ClusterError(
                f"toxiproxy does not answer {method} {path}: {error!r}"
            ) from error
        if status == fine:
            return None
        if status >= 400:
            said = text.decode(errors="replace").strip()
            raise ClusterError(f"toxiproxy: {method} {path}: {status}: {said}")
        return json.loads(text) if text else {}

    def _try(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._port, timeout=_TIMEOUT_S
        )
        with closing(connection):
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content)
            answer = connection.getresponse()
            return answer.status, answer.read()


def _path(link: str) -> str:
    return f"/proxies/{quote(link, safe='')}"
