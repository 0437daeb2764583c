"""Which list of the API shows a stored kind, and whether it has caught up."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.state.model import kind_of
from pytest_knav.errors import ClusterError


if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_knav.control_plane.api import Api, JsonObject

_DISCOVERY: Final = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
)
# Stored under names of their own, by what they are called in keys
# (pkg/kubeapiserver/default_storage_factory_builder.go).
RENAMED: Final = {
    "minions": "nodes",
    "controllers": "replicationcontrollers",
    "ingress": "ingresses",
    "services/specs": "services",
    "services/endpoints": "endpoints",
}
# Served by nothing: the API server's own notes.
_INTERNAL: Final = frozenset({"masterleases", "peerserverleases", "ranges"})
CAUGHT_UP_TIMEOUT_S: Final = 60.0


def wait_caught_up(api: Api, keys: Iterable[str], custom: Iterable[str]) -> None:
    """
    Return when the API server shows what was written to its store.

    A list without a resourceVersion is answered from the watch cache once that has
    reached the store's revision (KEP-2340), so one object of each list is proof enough.

    Args:
        api: The API server.
        keys: The keys that were written or deleted.
        custom: The kinds of custom resources, ``group/plural``, that are there now.

    Raises:
        ClusterError: It does not catch up in time.

    """
    kinds = {kind_of(key) for key in keys} - _INTERNAL
    if not kinds:
        return
    wanted = set(custom)
    paths: dict[str, str] = {}

    def served() -> bool:
        paths.clear()
        paths.update(list_paths(api))
        return wanted <= paths.keys()

    if not retrying.until(served, timeout_s=CAUGHT_UP_TIMEOUT_S):
        missing = sorted(wanted - paths.keys())
        raise ClusterError(
            f"the API server does not serve {', '.join(missing)} "
            f"{CAUGHT_UP_TIMEOUT_S:g}s after their definitions were put back"
        )
    shown = {RENAMED.get(kind, kind) for kind in kinds}
    api.each(
        functools.partial(_ask, api, paths[kind]) for kind in shown if kind in paths
    )


def _ask(api: Api, path: str) -> JsonObject:
    return api.get_or_none(path, limit="1") or {}


def _built_in(group: str) -> bool:
    return "." not in group or (
        group.endswith(".k8s.io") and not group.endswith(".x-k8s.io")
    )


def list_paths(api: Api) -> dict[str, str]:
    """Return the list of each stored kind: by plural, of CRDs also by group."""
    found: dict[str, str] = {}
    for root in ("/api", "/apis"):
        for group in api.get_as(root, _DISCOVERY)["items"]:
            name = group["metadata"].get("name", "")
            for version in reversed(group["versions"]):
                base = f"/apis/{name}/{version['version']}" if name else "/api/v1"
                for resource in version.get("resources", ()):
                    if "list" not in resource.get("verbs", ()):
                        continue
                    plural = resource["resource"]
                    found[f"{name}/{plural}"] = f"{base}/{plural}"
                    if _built_in(name):
                        found.setdefault(plural, f"{base}/{plural}")
    return found
