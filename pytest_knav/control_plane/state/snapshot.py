"""
Files to restore from: states of ours, and lists of Kubernetes objects.

Of the latter kind are `kwokctl snapshot save --format k8s` and `kubectl get -o yaml`
or `-o json`. Which it is, the content says.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import yaml

from pytest_knav.control_plane.state.model import FORMAT, State
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import IO

    from pytest_knav.control_plane.api import JsonObject

_STATE_BEGINS: Final = f'{{"format": "{FORMAT}"'.encode()
# Where the pages of a bbolt database, an etcd's snapshot, say what they are
# (go.etcd.io/bbolt, internal/common/meta.go); little-endian.
_BOLT_AT: Final = 16
_BOLT_MAGIC: Final = bytes.fromhex("edda0ced")
_HEAD_BYTES: Final = 64
_SAY_EVERY_S: Final = 5.0
_MIB: Final = 1024**2


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: what looks like a time is a string."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if not tag.endswith(":timestamp")]
    for first, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def is_state(path: Path) -> bool:
    """Return whether a file says that it is a state, damaged or not."""
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES).startswith(_STATE_BEGINS)


def read(path: Path, say: Callable[[str], None]) -> State | list[JsonObject]:
    """
    Return what is in a file: a state, or objects.

    Args:
        path: The file.
        say: Told how far it is, if that takes long.

    Raises:
        BadInput: It is missing, damaged or something else.

    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if head.startswith(_STATE_BEGINS):
                return State.read(path)
            if head[_BOLT_AT : _BOLT_AT + 4] in {_BOLT_MAGIC, _BOLT_MAGIC[::-1]}:
                raise BadInput(
                    f"{path} is an etcd snapshot: save it with `kwokctl snapshot save "
                    "--format k8s`"
                )
            file.seek(0)
            objects = list(_objects(path, file, say))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    if not objects:
        raise BadInput(f"{path} holds no objects")
    return objects


def _objects(
    path: Path, file: IO[bytes], say: Callable[[str], None]
) -> Iterator[JsonObject]:
    count = 0
    size = path.stat().st_size
    said = time.monotonic()
    for document in _documents(path, file):
        for item in _flat(path, document):
            count += 1
            yield item
        if time.monotonic() - said > _SAY_EVERY_S:
            said = time.monotonic()
            done = f"{file.tell() / _MIB:.0f} of {size / _MIB:.0f} MiB"
            say(f"reading {path.name}: {count} objects, {done}")


def _documents(path: Path, file: IO[bytes]) -> Iterator[Any]:
    # JSON is YAML as well, but read as such it takes ten times as long.
    if file.read(1) == b"{":
        file.seek(0)
        with suppress(ValueError):
            yield json.load(file)
            return
    file.seek(0)
    try:
        yield from yaml.load_all(file, Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> BadInput:
    detail = " ".join(str(error).split())[:200]
    return BadInput(
        f"{path} is neither a state (`knav cluster save`) nor a list of Kubernetes "
        f"objects (`kwokctl snapshot save --format k8s`): {detail}"
    )


def _flat(path: Path, document: Any) -> Iterator[JsonObject]:  # noqa: ANN401 - YAML
    """Yield the objects of a document, also those of a list."""
    if document is None:
        return
    if not isinstance(document, dict) or not document.get("kind"):
        raise _unreadable(path, ValueError(f"it holds {str(document)[:60]!r}"))
    kind, version = str(document["kind"]), document.get("apiVersion")
    if not (kind.endswith("List") and isinstance(document.get("items"), list)):
        yield document
        return
    # The items of a typed list, such as PodList, carry no kind of their own.
    own = {"apiVersion": version, "kind": kind.removesuffix("List")}
    for item in document["items"]:
        if not isinstance(item, dict):
            raise _unreadable(path, ValueError(f"it holds {str(item)[:60]!r}"))
        yield {**(own if own["kind"] else {}), **item}
