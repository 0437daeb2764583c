"""Which URL serves a kind of object, as the API server tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.control_plane.api import Api


class Discovery:
    """Paths of kinds, asked once per group and version."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[str, dict[str, tuple[str, bool]]] = {}

    def collection_path(self, manifest: Mapping[str, object], namespace: str) -> str:
        """
        Return the path to create an object at.

        Args:
            manifest: The object; its own namespace wins.
            namespace: The namespace if it names none.

        Raises:
            BadInput: The cluster serves no such kind.

        """
        version, kind = str(manifest["apiVersion"]), str(manifest["kind"])
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        kinds = self._known.get(version)
        if kinds is None or kind not in kinds:
            kinds = self._known[version] = self._ask(base)
        if kind not in kinds:
            raise BadInput(
                f"the cluster serves no {kind} of {version}: "
                f"it serves {', '.join(sorted(kinds)) or 'nothing of that version'}"
            )
        plural, namespaced = kinds[kind]
        if not namespaced:
            return f"{base}/{plural}"
        metadata = manifest["metadata"]
        own = metadata.get("namespace") if hasattr(metadata, "get") else None
        return f"{base}/namespaces/{own or namespace}/{plural}"

    def _ask(self, base: str) -> dict[str, tuple[str, bool]]:
        answer = self._api.get_or_none(base) or {}
        return {
            item["kind"]: (item["name"], item["namespaced"])
            for item in answer.get("resources", ())
            if "/" not in item["name"]
        }
