"""
The API of any cluster that a kubeconfig leads to, as raw JSON.

Credentials are those of the official client, so that tokens, certificates and exec
plugins work; nothing asks for a cluster of ours.
"""

from __future__ import annotations

import json
import random
import threading
from typing import TYPE_CHECKING, Any, Final

import urllib3

from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    import queue
    from collections.abc import Iterator, Mapping
    from pathlib import Path

JsonObject = dict[str, Any]

NODES: Final = "/api/v1/nodes"
PODS: Final = "/api/v1/pods"
MERGE_PATCH: Final = "application/merge-patch+json"
#: Lists with keys, such as conditions by type, are merged by them.
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
_TIMEOUT: Final = urllib3.Timeout(connect=5.0, read=30.0)
# A watch that is silent for longer is taken for dead: bookmarks come every minute
# (apiserver, cacher.go, bookmarkFrequency).
_WATCH_TIMEOUT: Final = urllib3.Timeout(connect=5.0, read=90.0)
_WATCH_S: Final = 300
_PAGE: Final = 500
_BACK_OFF_S: Final = (0.2, 10.0)


class RefusedError(ClusterError):
    """The API server answered, and the answer is no."""

    def __init__(self, what: str, status: int, message: str) -> None:
        super().__init__(f"{what}: HTTP {status}: {message}")
        self.status = status


class AnyCluster:
    """
    Requests to the API server of a kubeconfig's current context.

    Args:
        kubeconfig: The file; None takes the usual one, or that of a pod.

    Raises:
        BadInput: There is no such file, or it cannot be read.

    """

    def __init__(self, kubeconfig: Path | None) -> None:
        from kubernetes import client, config  # noqa: PLC0415 - 0.8 s

        self._settings = client.Configuration()
        try:
            config.load_config(  # type: ignore[no-untyped-call]
                config_file=None if kubeconfig is None else str(kubeconfig),
                client_configuration=self._settings,
            )
        except (config.ConfigException, OSError, TypeError) as error:
            raise BadInput(f"kubeconfig {kubeconfig or '(usual)'}: {error}") from error
        self.server = str(self._settings.host)
        self._pool = urllib3.PoolManager(
            maxsize=8,
            retries=False,
            timeout=_TIMEOUT,
            ca_certs=self._settings.ssl_ca_cert,
            cert_file=self._settings.cert_file,
            key_file=self._settings.key_file,
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.clear()

    def get(self, path: str, **params: str) -> JsonObject:
        """Return an object or a list."""
        return self._ask("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, Any]) -> JsonObject:
        """Create an object."""
        return self._ask("POST", path, body=body)

    def patch(
        self, path: str, body: Mapping[str, Any], kind: str = MERGE_PATCH
    ) -> JsonObject:
        """Change an object."""
        return self._ask("PATCH", path, body=body, content_type=kind)

    def list(self, path: str, **params: str) -> tuple[list[JsonObject], str]:
        """Return all items of a list, page by page, and its resourceVersion."""
        items: list[JsonObject] = []
        more: dict[str, str] = {}
        while True:
            page = self.get(path, limit=str(_PAGE), **params, **more)
            items += page.get("items") or ()
            token = page["metadata"].get("continue", "")
            if not token:
                return items, str(page["metadata"]["resourceVersion"])
            more = {"continue": token}

    def watch(self, path: str, version: str, **params: str) -> Iterator[JsonObject]:
        """Yield the events of a list after a resourceVersion, until the server ends."""
        asked = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_S),
            **params,
        }
        response = self._pool.request(
            "GET",
            self.server + path,
            fields=asked,
            headers=self._headers(),
            preload_content=False,
            timeout=_WATCH_TIMEOUT,
        )
        try:
            if response.status != 200:
                raise _refused(f"watch {path}", response.status, response.read(2_000))
            rest = b""
            for chunk in response.stream(65_536):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line:
                        yield json.loads(line)
        finally:
            response.close()
            response.release_conn()

    def _ask(
        self,
        verb: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        what = f"{verb} {path}"
        try:
            response = self._pool.request(
                verb,
                self.server + path,
                fields=params if body is None else None,
                body=None if body is None else json.dumps(body).encode(),
                headers={**self._headers(), "Content-Type": content_type},
            )
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(f"{what}: {self.server}: {error}") from error
        if response.status >= 300:
            raise _refused(what, response.status, response.data)
        try:
            found: JsonObject = json.loads(response.data)
        except ValueError as error:
            # It died in the middle of its answer, or something between answered.
            raise ClusterError(f"{what}: {self.server}: no JSON: {error}") from error
        return found

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        token = self._settings.get_api_key_with_prefix("authorization")
        if token:
            headers["Authorization"] = token
        return headers


class Follower(threading.Thread):
    """
    Puts what a list is and becomes into a queue: `LIST` with all items, then events.

    It lists again where a watch cannot go on, and tries again with a back-off while
    the server cannot be reached.

    Args:
        api: The cluster.
        path: Of the list.
        events: Where to; bounded, so that a slow reader slows the watch.
        key: What the events are filed under; by default the path.
        params: Selectors.

    """

    def __init__(
        self,
        api: AnyCluster,
        path: str,
        events: queue.Queue[tuple[str, str, Any]],
        key: str = "",
        **params: str,
    ) -> None:
        super().__init__(name=f"knav-follow{path.replace('/', '-')}", daemon=True)
        self._key = key or path
        self._api = api
        self._path = path
        self._events = events
        self._params = params
        self._stop = threading.Event()
        #: Why it cannot follow now; empty when it does.
        self.trouble = ""

    def run(self) -> None:
        """Follow until `stop`."""
        delay_s, most_s = _BACK_OFF_S
        version = ""
        while not self._stop.is_set():
            try:
                if not version:
                    items, version = self._api.list(self._path, **self._params)
                    self._put("LIST", items)
                version = self._watch(version)
                delay_s = _BACK_OFF_S[0]
            except (ClusterError, urllib3.exceptions.HTTPError, ValueError) as error:
                self.trouble = str(error)
                if isinstance(error, RefusedError):
                    # Such as 410: the version is too old, or of another store.
                    version = ""
                # Spread, so that many clients do not come back at once.
                self._stop.wait(delay_s * random.uniform(0.5, 1.0))  # noqa: S311
                delay_s = min(2 * delay_s, most_s)

    def stop(self) -> None:
        """End; returns at once, the thread ends with its watch."""
        self._stop.set()

    def _watch(self, version: str) -> str:
        """Return where to go on; empty if only a list can tell."""
        for event in self._api.watch(self._path, version, **self._params):
            self.trouble = ""
            if self._stop.is_set():
                return version
            kind, item = event["type"], event["object"]
            if kind == "ERROR":
                return ""
            version = item["metadata"]["resourceVersion"]
            if kind != "BOOKMARK":
                self._put(kind, item)
        return version

    def _put(self, kind: str, what: object) -> None:
        self._events.put((self._key, kind, what))


def _refused(what: str, status: int, body: bytes) -> RefusedError:
    try:
        message = str(json.loads(body).get("message"))
    except ValueError:
        message = body.decode(errors="replace")[:200]
    return RefusedError(what, status, message)
