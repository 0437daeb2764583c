"""A state: every key of a cluster's store at one moment, and its file."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FORMAT: Final = "pytest-knav-state"
VERSION: Final = 1
# Level 1 packs a state of 10,000 pods to a tenth in a third of a second; level 6 takes
# three times as long for a file that is a fifth smaller (measured).
_LEVEL: Final = 1
_LENGTHS: Final = struct.Struct(">II")
_HEADER: Final[dict[str, type | tuple[type, ...]]] = {
    "config": dict,
    "description": str,
    "fingerprint": str,
    "key": str,
    "revision": int,
    "sha256": str,
    "taken": (int, float),
}
# The scheduler's configuration is in it.
_HEADER_BYTES_MAX: Final = 1024 * 1024
SUFFIX: Final = ".knavstate"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """
    Every key of a cluster's store at one revision.

    Attributes:
        key: The control-plane key of the cluster: only clusters with the same one
            can take it.
        config: The settings behind that key, as `ClusterConfig.as_data` gives them.
        fingerprint: The cluster that it was taken from.
        description: What that cluster was, in words.
        revision: The revision of the store.
        taken: When, as seconds since the epoch; for display alone.
        values: The stored bytes by key, below ``/registry/``.

    """

    key: str
    config: Mapping[str, Any]
    fingerprint: str
    description: str
    revision: int
    taken: float
    values: Mapping[str, bytes]

    def __repr__(self) -> str:
        return f"State({self.summary})"

    @property
    def summary(self) -> str:
        """Return what is in it, in words."""
        nodes, pods = self.count("/registry/minions/"), self.count("/registry/pods/")
        taken = datetime.fromtimestamp(self.taken, UTC)
        return (
            f"{nodes} nodes, {pods} pods, {len(self.values)} keys; "
            f"taken {taken:%Y-%m-%d %H:%M:%S} UTC from {self.description or '?'}"
        )

    def count(self, prefix: str) -> int:
        """Return how many keys begin with a prefix."""
        return sum(key.startswith(prefix) for key in self.values)

    def kinds(self) -> dict[str, int]:
        """Return how many objects there are of each stored kind."""
        return dict(sorted(Counter(kind_of(key) for key in self.values).items()))

    def write(self, path: Path) -> None:
        """
        Write it to a file; the file is there whole or not at all.

        Raises:
            ClusterError: It cannot be written, for example because the disk is full.

        """
        body = zlib.compress(b"".join(_packed(self.values)), _LEVEL)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "key": self.key,
            "config": self.config,
            "fingerprint": self.fingerprint,
            "description": self.description,
            "revision": self.revision,
            "taken": self.taken,
            "keys": len(self.values),
        }
        header["sha256"] = _checksum(header, body)
        line = json.dumps(header).encode() + b"\n"
        if len(line) > _HEADER_BYTES_MAX:
            raise ClusterError(
                f"the state cannot be written to {path}: its settings take "
                f"{len(line)} bytes, at most {_HEADER_BYTES_MAX} have room"
            )
        temporary = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                dir=path.parent, prefix=f".{path.name}-", delete=False
            ) as file:
                temporary = Path(file.name)
                file.write(line + body)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException as error:
            if temporary is not None:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise ClusterError(
                    f"the state cannot be written to {path}: {error.strerror}; "
                    f"{len(body) // 1024} KiB are needed"
                ) from error
            raise

    @classmethod
    def read(cls, path: Path) -> State:
        """
        Return what `write` wrote.

        Raises:
            BadInput: There is no such file, it is damaged, or of another version.

        """
        header, body = _read_file(path)
        if _checksum(header, body) != header["sha256"]:
            raise BadInput(
                f"state {path} is damaged or cut short: its checksum is not the one "
                "in its header; save it again"
            )
        values = dict(_unpacked(zlib.decompress(body)))
        return cls(
            key=header["key"],
            config=header["config"],
            fingerprint=header["fingerprint"],
            description=header["description"],
            revision=header["revision"],
            taken=header["taken"],
            values=values,
        )


def kind_of(key: str) -> str:
    """Return the part of a key that names its kind, such as `pods` or `jobs`."""
    parts = key.split("/")[2:]
    if len(parts) > 1 and ("." in parts[0] or parts[0] == "services"):
        return "/".join(parts[:2])
    return parts[0]


def _checksum(header: Mapping[str, Any], body: bytes) -> str:
    """Return the checksum of all but itself; a wrong fingerprint does harm as well."""
    rest = {name: value for name, value in header.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest).encode() + b"\n" + body).hexdigest()


def _packed(values: Mapping[str, bytes]) -> Iterator[bytes]:
    for key, value in values.items():
        encoded = key.encode()
        yield _LENGTHS.pack(len(encoded), len(value))
        yield encoded
        yield value


def _unpacked(body: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    while at < len(body):
        key_size, value_size = _LENGTHS.unpack_from(body, at)
        at += _LENGTHS.size
        middle = at + key_size
        yield body[at:middle].decode(), body[middle : middle + value_size]
        at = middle + value_size


def _read_file(path: Path) -> tuple[dict[str, Any], bytes]:
    try:
        with path.open("rb") as file:
            line = file.readline(_HEADER_BYTES_MAX)
            header = _header(path, line)
            return header, file.read()
    except OSError as error:
        raise BadInput(f"state {path}: {error.strerror}") from error


def _header(path: Path, line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise BadInput(
            f"{path} is no state: `knav cluster save` and cluster.save() make them"
        )
    if header.get("version") != VERSION:
        raise BadInput(
            f"state {path} has format version {header.get('version')}, this "
            f"pytest-knav reads version {VERSION}: save it again with this one"
        )
    for name, kind in _HEADER.items():
        if not isinstance(header.get(name), kind):
            raise BadInput(f"state {path} is damaged: its header has no valid {name!r}")
    return header
