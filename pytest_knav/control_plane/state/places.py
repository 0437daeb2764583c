"""Where each object is stored, and where the API server takes it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane.discovery import Discovery, Resource
from pytest_knav.control_plane.state.served import RENAMED
from pytest_knav.control_plane.state.shapes import FOREIGN_METADATA
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_knav.control_plane.api import Api, JsonObject

# Stored by group although they are built in (apiextensions-apiserver and
# kube-aggregator, pkg/apiserver: both are API servers of their own).
_BY_GROUP: Final = frozenset({"apiextensions.k8s.io", "apiregistration.k8s.io"})
_STORED_AS: Final = {plural: name for name, plural in RENAMED.items()}
_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAMES_ALONE: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
# Creating one adds nothing, and its namespace may be as new as itself.
_NOTHING_ADDED: Final = frozenset({"ServiceAccount"})


@dataclass(frozen=True, slots=True)
class Placed:
    """An object, where it is stored, and where the API server takes it; None: not."""

    key: str
    body: JsonObject
    path: str | None

    @property
    def label(self) -> str:
        """Return kind, namespace and name."""
        return label(self.body)

    @property
    def finished(self) -> bool:
        """Return whether an API server has seen it: nothing is to be added."""
        metadata = self.body["metadata"]
        return bool(metadata.get("uid") and metadata.get("creationTimestamp"))


def place(api: Api, objects: Iterable[Mapping[str, Any]]) -> list[Placed]:
    """
    Return objects with their keys; see `key_of`.

    Namespaces and definitions that are among the objects count as there.
    """
    bodies = [_checked(item) for item in objects]
    placing = _Placing(api, bodies)
    placed = [placing.place(body) for body in bodies]
    for key, times in Counter(one.key for one in placed).items():
        if times > 1:
            twice = next(one for one in placed if one.key == key)
            raise BadInput(f"{twice.label} is given {times} times")
    return placed


def label(body: Mapping[str, Any]) -> str:
    """Return kind, namespace and name of an object, for messages."""
    metadata = body["metadata"]
    parts = (metadata.get("namespace"), metadata["name"])
    return f"{body['kind']} {'/'.join(part for part in parts if part)}"


def key_of(
    group: str, plural: str, namespace: str | None, name: str, *, custom: bool
) -> str:
    """
    Return where an object is stored.

    Args:
        group: Its API group; empty for the core one.
        plural: Its kind as in URLs.
        namespace: None for kinds without namespaces.
        name: Its name.
        custom: Whether a CustomResourceDefinition defines the kind.

    """
    by_group = custom or group in _BY_GROUP
    kind = f"{group}/{plural}" if by_group else _STORED_AS.get(plural, plural)
    return "/".join(part for part in ("/registry", kind, namespace, name) if part)


class _Placing:
    """Finds the place of each object of a list."""

    def __init__(self, api: Api, bodies: list[JsonObject]) -> None:
        self._discovery = Discovery(api)
        self._defined = _definitions(bodies)
        definitions = api.get_as(_CRDS, NAMES_ALONE)["items"]
        self._custom = {item["metadata"]["name"] for item in definitions}
        found = api.get_as("/api/v1/namespaces", NAMES_ALONE)["items"]
        self._namespaces = {item["metadata"]["name"] for item in found}
        self._namespaces |= {
            body["metadata"]["name"]
            for body in bodies
            if (body["apiVersion"], body["kind"]) == ("v1", "Namespace")
        }

    def place(self, body: JsonObject) -> Placed:
        """Return an object with its key."""
        resource = self._defined.get((body["apiVersion"], body["kind"]))
        served = resource is None
        if resource is None:
            resource = self._discovery.resource(body)
        if not {"create", "list"} <= resource.verbs:
            raise BadInput(f"{label(body)}: objects of this kind are stored nowhere")
        namespace = None
        if resource.namespaced:
            namespace = body["metadata"].setdefault("namespace", "default")
            if namespace not in self._namespaces:
                raise BadInput(
                    f"{label(body)}: there is no namespace {namespace!r}; put the "
                    "Namespace into the list, or create it first"
                )
        name = f"{resource.plural}.{resource.group}"
        key = key_of(
            resource.group,
            resource.plural,
            namespace,
            body["metadata"]["name"],
            custom=not served or name in self._custom,
        )
        asked = served and body["kind"] not in _NOTHING_ADDED
        return Placed(key, body, resource.path(namespace or "") if asked else None)


def _definitions(bodies: list[JsonObject]) -> dict[tuple[str, str], Resource]:
    """Return the kinds that definitions among objects define."""
    found = {}
    for body in bodies:
        if body["kind"] != "CustomResourceDefinition":
            continue
        spec = body.get("spec") or {}
        try:
            for version in spec["versions"]:
                name = f"{spec['group']}/{version['name']}"
                found[name, spec["names"]["kind"]] = Resource(
                    version=name,
                    plural=spec["names"]["plural"],
                    namespaced=spec["scope"] == "Namespaced",
                    verbs=frozenset({"create", "list"}),
                )
        except (KeyError, TypeError) as error:
            raise BadInput(f"{label(body)}: its spec has no {error}") from error
    return found


def _checked(item: Mapping[str, Any]) -> JsonObject:
    """Return a copy of an object with kind and name, without what means nothing."""
    metadata = item.get("metadata") if hasattr(item, "get") else None
    named = isinstance(metadata, dict) and metadata.get("name")
    if not (named and item.get("apiVersion") and item.get("kind")):
        raise BadInput(f"{str(item)[:80]!r} has no apiVersion, kind and metadata.name")
    try:
        body: JsonObject = json.loads(json.dumps(dict(item)))
    except (TypeError, ValueError) as error:
        raise BadInput(f"{label(item)} is not JSON: {error}") from error
    body["metadata"] = {
        k: v for k, v in body["metadata"].items() if k not in FOREIGN_METADATA
    }
    return body
