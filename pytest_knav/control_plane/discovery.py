"""Which URL serves a kind of object, as the API server tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.control_plane.api import Api


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind as it is served: its URL without a namespace, and what it can do."""

    version: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def group(self) -> str:
        """Return the API group; empty for the core one."""
        return self.version.rpartition("/")[0]

    def path(self, namespace: str) -> str:
        """Return where its objects are, in a namespace if it has namespaces."""
        base = f"/apis/{self.version}" if self.group else f"/api/{self.version}"
        inside = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"{base}{inside}/{self.plural}"


class Discovery:
    """Paths of kinds, asked once per group and version."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[str, dict[str, Resource]] = {}

    def collection_path(self, manifest: Mapping[str, object], namespace: str) -> str:
        """
        Return the path to create an object at.

        Args:
            manifest: The object; its own namespace wins.
            namespace: The namespace if it names none.

        Raises:
            BadInput: The cluster serves no such kind.

        """
        metadata = manifest["metadata"]
        own = metadata.get("namespace") if hasattr(metadata, "get") else None
        return self.resource(manifest).path(str(own or namespace))

    def resource(self, manifest: Mapping[str, object]) -> Resource:
        """
        Return how the kind of an object is served.

        Raises:
            BadInput: The cluster serves no such kind.

        """
        version, kind = str(manifest["apiVersion"]), str(manifest["kind"])
        kinds = self._known.get(version)
        if kinds is None or kind not in kinds:
            kinds = self._known[version] = self._ask(version)
        if kind not in kinds:
            raise BadInput(
                f"the cluster serves no {kind} of {version}: "
                f"it serves {', '.join(sorted(kinds)) or 'nothing of that version'}"
            )
        return kinds[kind]

    def named(self, version: str, plural: str) -> tuple[str, Resource]:
        """
        Return the kind that is served under a plural name, and how.

        Raises:
            BadInput: There is none of that name.

        """
        kinds = self._known[version] = self._ask(version)
        for kind, resource in kinds.items():
            if resource.plural == plural:
                return kind, resource
        names = sorted(resource.plural for resource in kinds.values())
        raise BadInput(
            f"the cluster serves no {plural!r} of {version!r}: it serves "
            f"{', '.join(names) or 'nothing of that version'}"
        )

    def _ask(self, version: str) -> dict[str, Resource]:
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        answer = self._api.get_or_none(base) or {}
        return {
            item["kind"]: Resource(
                version=version,
                plural=item["name"],
                namespaced=item["namespaced"],
                verbs=frozenset(item["verbs"]),
            )
            for item in answer.get("resources", ())
            if "/" not in item["name"]
        }
