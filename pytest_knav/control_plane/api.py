"""
The Kubernetes API as raw JSON, for what pytest-knav itself does.

The official client's typed models cost ten times the CPU of plain JSON and know no
alpha types; users get that client as `Cluster.core` and `Cluster.api`.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import urllib3
import yaml

from pytest_knav.control_plane import retrying
from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

# One JSON object of the Kubernetes API.
JsonObject = dict[str, Any]

MAX_CONNECTIONS = 16
FIELD_MANAGER = "pytest-knav"
_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"


class ApiRefusedError(ClusterError):
    """The API server answered, and the answer is no."""

    def __init__(self, verb: str, path: str, status: int, message: str) -> None:
        super().__init__(f"{verb} {path}: HTTP {status}: {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an API server is and what opens it; paths of PEM files."""

    server: str
    ca_file: str
    cert_file: str
    key_file: str


def read_kubeconfig(path: Path) -> Endpoint:
    """
    Return the current context of a kubeconfig that names its certificates by file.

    Raises:
        BadInput: There is no such file, or it is not one that kwokctl wrote.

    """
    try:
        document = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    except OSError as error:
        raise BadInput(f"kubeconfig {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise BadInput(f"kubeconfig {path} is not YAML: {error}") from error
    try:
        wanted = document["current-context"]
        context = _named(document["contexts"], wanted)["context"]
        cluster = _named(document["clusters"], context["cluster"])["cluster"]
        user = _named(document["users"], context["user"])["user"]
        return Endpoint(
            server=cluster["server"],
            ca_file=cluster["certificate-authority"],
            cert_file=user["client-certificate"],
            key_file=user["client-key"],
        )
    except (KeyError, TypeError, StopIteration) as error:
        raise BadInput(
            f"kubeconfig {path} is not one of a pytest-knav cluster: "
            f"it has no {error}; `knav cluster kubeconfig` prints the right path"
        ) from error


class Api:
    """Requests to one API server; safe to use from several threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._pool = urllib3.PoolManager(
            maxsize=MAX_CONNECTIONS,
            block=True,
            retries=False,
            timeout=urllib3.Timeout(connect=3.0, read=30.0),
            ca_certs=endpoint.ca_file,
            cert_file=endpoint.cert_file,
            key_file=endpoint.key_file,
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.clear()

    def get(self, path: str, **params: str) -> JsonObject:
        """Return an object or a list."""
        return self._request("GET", path, params=params)

    def get_as(self, path: str, accept: str) -> JsonObject:
        """Return an answer in another representation than plain JSON objects."""
        return self._request("GET", path, accept=accept)

    def get_or_none(self, path: str, **params: str) -> JsonObject | None:
        """Return an object, or None when there is none."""
        try:
            return self.get(path, **params)
        except ApiRefusedError as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, body: Mapping[str, object]) -> JsonObject:
        """Create an object and return it."""
        return self._request("POST", path, body=body)

    def patch(self, path: str, body: Mapping[str, object]) -> JsonObject:
        """Change an object by a JSON merge patch (RFC 7386) and return it."""
        return self._request("PATCH", path, body=body, content_type=_MERGE_PATCH)

    def patch_or_none(self, path: str, body: Mapping[str, object]) -> JsonObject | None:
        """Change an object by a merge patch; None when there is none."""
        try:
            return self.patch(path, body)
        except ApiRefusedError as error:
            if error.status == 404:
                return None
            raise

    def apply(self, path: str, body: Mapping[str, object]) -> JsonObject:
        """Create or change an object by server-side apply (KEP-555) and return it."""
        return self._request(
            "PATCH",
            f"{path}?fieldManager={FIELD_MANAGER}&force=true",
            body=body,
            content_type=_APPLY_PATCH,
        )

    def delete(self, path: str, **params: str) -> JsonObject | None:
        """Delete an object; None when it was not there."""
        try:
            return self._request("DELETE", path, params=params)
        except ApiRefusedError as error:
            if error.status == 404:
                return None
            raise

    def evict(self, path: str, body: Mapping[str, object]) -> bool:
        """
        Ask for an eviction; return False where a disruption budget forbids it now.

        A pod that is gone already counts as evicted.
        """
        response = self._pool.request(
            "POST",
            self.endpoint.server + path,
            body=json.dumps(body).encode(),
            headers={"Accept": _JSON, "Content-Type": _JSON},
        )
        # 409: another pod of that name; 429: forbidden by a budget
        # (pkg/registry/core/pod/storage/eviction.go).
        if response.status >= 400 and response.status not in {404, 409, 429}:
            raise ApiRefusedError(
                "POST", path, response.status, _message(response.data)
            )
        return response.status != 429

    def each(self, calls: Iterable[Callable[[], JsonObject]]) -> list[JsonObject]:
        """Make many requests, at most `MAX_CONNECTIONS` at a time; keep the order."""
        with ThreadPoolExecutor(MAX_CONNECTIONS, "knav-api") as pool:
            return list(pool.map(lambda call: call(), calls))

    def ready(self) -> bool:
        """Return whether the API server says that it is ready, without retrying."""
        try:
            response = self._pool.request("GET", f"{self.endpoint.server}/readyz")
        except (urllib3.exceptions.HTTPError, OSError):
            return False
        return bool(response.status == 200)

    def _request(  # noqa: PLR0913 - all but two by name
        self,
        verb: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        content_type: str = _JSON,
        accept: str = _JSON,
    ) -> JsonObject:
        def attempt() -> JsonObject:
            response = self._pool.request(
                verb,
                self.endpoint.server + path,
                fields=None if body is not None else params,
                body=None if body is None else json.dumps(body).encode(),
                headers={"Accept": accept, "Content-Type": content_type},
            )
            if response.status in retrying.TRANSIENT_STATUSES:
                raise retrying.TransientStatusError(
                    response.status, response.data.decode(errors="replace")[:500]
                )
            if response.status >= 400:
                raise ApiRefusedError(
                    verb, path, response.status, _message(response.data)
                )
            parsed: JsonObject = json.loads(response.data)
            return parsed

        try:
            return retrying.call_api(attempt)
        except retrying.TRANSIENT_ERRORS as error:
            raise ClusterError(
                f"{verb} {self.endpoint.server}{path} failed for "
                f"{retrying.RETRY_FOR_S:g}s: {error}"
            ) from error


def total(api: Api, path: str, **params: str) -> int:
    """Return how many objects a list has, without reading it."""
    # With a limit of one the API server says how many more there are.
    page = api.get(path, limit="1", **params)
    remaining = page["metadata"].get("remainingItemCount", 0)
    return len(page["items"]) + int(remaining)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body).get("message"))
    except ValueError:
        return body.decode(errors="replace")[:500]


def _named(items: list[JsonObject], name: str) -> JsonObject:
    for item in items:
        if item["name"] == name:
            return item
    raise KeyError(name)
