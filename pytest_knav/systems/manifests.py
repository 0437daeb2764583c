"""Where a system's objects come from, and how they get into a cluster."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import urllib3
import yaml

from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.discovery import Discovery
from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_knav.control_plane.api import Api
    from pytest_knav.systems.model import ManifestSource

JsonObject = dict[str, Any]

ESTABLISHED_TIMEOUT_S: Final = 60.0
_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_KUSTOMIZATIONS: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# What would run the system as pods, which the processes here stand for; and what
# leads to those pods in a way that cannot be led elsewhere.
LEFT_OUT: Final = frozenset({
    "APIService", "CronJob", "DaemonSet", "Deployment", "Pod", "StatefulSet",
})  # fmt: skip
# Others live in them or are of their kinds.
_FIRST: Final = ("Namespace", "CustomResourceDefinition")
_URL_TIMEOUT_S: Final = 30.0
_URL_BYTES_MAX: Final = 32 * 1024**2
_KUSTOMIZE_TIMEOUT_S: Final = 60.0


def read(sources: Sequence[ManifestSource], kubectl: Path) -> list[JsonObject]:
    """
    Return the objects of files, folders, kustomizations, URLs, in their order.

    Args:
        sources: Where they are; an object stands for itself.
        kubectl: The binary that renders kustomizations.

    Raises:
        BadInput: One cannot be read, or holds something else; by its name.

    """
    found: list[JsonObject] = []
    for source in sources:
        if isinstance(source, Mapping):
            found += _objects(repr(dict(source))[:60], [dict(source)])
        elif isinstance(source, str) and source.startswith(("http://", "https://")):
            found += _parsed(source, _downloaded(source))
        else:
            found += _of_path(Path(source).expanduser(), kubectl)
    return found


def _of_path(path: Path, kubectl: Path) -> list[JsonObject]:
    if not path.exists():
        raise BadInput(f"manifest {path}: there is no such file or folder")
    if path.is_file():
        return _parsed(str(path), path.read_text())
    if any((path / name).exists() for name in _KUSTOMIZATIONS):
        return _parsed(str(path), _kustomized(path, kubectl))
    files = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES)
    if not files:
        raise BadInput(f"manifest {path}: the folder has no {', '.join(_SUFFIXES)}")
    return [item for file in files for item in _parsed(str(file), file.read_text())]


def _kustomized(path: Path, kubectl: Path) -> str:
    done = subprocess.run(
        [str(kubectl), "kustomize", str(path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_KUSTOMIZE_TIMEOUT_S,
    )
    if done.returncode:
        raise BadInput(f"manifest {path}: kubectl kustomize: {done.stderr.strip()}")
    return done.stdout


def _downloaded(url: str) -> str:
    try:
        with urllib3.PoolManager(retries=3, timeout=_URL_TIMEOUT_S) as pool:
            response = pool.request("GET", url, preload_content=False)
            data = response.read(_URL_BYTES_MAX + 1)
    except urllib3.exceptions.HTTPError as error:
        raise BadInput(f"manifest {url}: {error}") from error
    if response.status != 200:
        raise BadInput(f"manifest {url}: HTTP {response.status}")
    if len(data) > _URL_BYTES_MAX:
        raise BadInput(f"manifest {url}: larger than {_URL_BYTES_MAX // 1024**2} MiB")
    return data.decode()


def _parsed(name: str, text: str) -> list[JsonObject]:
    try:
        documents = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        raise BadInput(f"manifest {name} is not YAML: {error}") from error
    return _objects(name, documents)


def _objects(name: str, documents: Iterable[Any]) -> list[JsonObject]:
    found: list[JsonObject] = []
    for document in documents:
        if not document:
            continue
        if not isinstance(document, dict) or not document.get("kind"):
            raise BadInput(f"manifest {name} holds {str(document)[:60]!r}: no object")
        if document["kind"] == "List" or "items" in document:
            found += _objects(name, document.get("items") or ())
            continue
        named = document.get("metadata", {}).get("name")
        if not document.get("apiVersion") or not named:
            raise BadInput(
                f"manifest {name}: a {document['kind']} has no apiVersion or no "
                "metadata.name"
            )
        found.append(document)
    return found


class Installer:
    """Puts objects into a cluster by server-side apply."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._discovery = Discovery(api)

    def install(self, objects: Sequence[JsonObject]) -> None:
        """
        Apply objects: namespaces and definitions first, which are awaited.

        Raises:
            BadInput: The cluster serves no such kind.
            ClusterError: The API server refused one, or does not serve a definition.

        """
        first = [item for item in objects if item["kind"] in _FIRST]
        rest = [item for item in objects if item["kind"] not in _FIRST]
        self._apply(first)
        self._await_established(
            item["metadata"]["name"]
            for item in first
            if item["kind"] == "CustomResourceDefinition"
        )
        self._apply(rest)

    def _apply(self, objects: Sequence[JsonObject]) -> None:
        paths = [
            f"{self._discovery.collection_path(item, 'default')}"
            f"/{item['metadata']['name']}"
            for item in objects
        ]
        self._api.each(
            functools.partial(self._api.apply, path, item)
            for path, item in zip(paths, objects, strict=True)
        )

    def _await_established(self, names: Iterable[str]) -> None:
        left = set(names)

        def none_left() -> bool:
            items = self._api.get(_DEFINITIONS)["items"] if left else ()
            for item in items:
                # A new definition has them as null.
                conditions = item.get("status", {}).get("conditions") or ()
                if any(
                    c["type"] == "Established" and c["status"] == "True"
                    for c in conditions
                ):
                    left.discard(item["metadata"]["name"])
            return not left

        if not retrying.until(none_left, timeout_s=ESTABLISHED_TIMEOUT_S):
            raise ClusterError(
                f"the API server does not serve {', '.join(sorted(left)[:3])} after "
                f"{ESTABLISHED_TIMEOUT_S:g}s"
            )
