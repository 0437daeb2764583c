"""One line of a history: what changed, at which revision, and when it was seen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import HarnessError


if TYPE_CHECKING:
    from pytest_knav.history.merge import JsonObject

FORMAT: Final = "knav-history"
FORMAT_VERSION: Final = 1

ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"

OWN_PREFIX: Final = "knav/"
FAULT: Final = "knav/Fault"
GAP: Final = "knav/Gap"
HEARTBEAT: Final = "knav/Heartbeat"
SAMPLE: Final = "knav/Sample"
STEP: Final = "knav/Step"
WATCH: Final = "knav/Watch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    One change of one object of the API, or one entry of our own (``knav/…``).

    Attributes:
        revision: The etcd revision that made the change. For our own entries, the
            newest revision known when they were written.
        monotonic: When we saw it, on the monotonic clock of the recording process.
        wall: When we saw it, in seconds since the epoch. For display only.
        verb: ADDED, MODIFIED or DELETED for objects; INJECTED, GAP, … for our own.
        kind: ``Pod``, ``Node``, …, or ``knav/Fault``, ``knav/Gap``, ….
        namespace: Empty for what has none.
        name: Name of the object.
        uid: Uid of the object; empty for our own entries.
        data: The whole object at first sight, or the payload of our own entry.
        patch: What a MODIFIED changed, as RFC 7386 merge patch.

    """

    revision: int
    monotonic: float
    wall: float
    verb: str
    kind: str
    namespace: str
    name: str
    uid: str
    data: JsonObject | None = None
    patch: JsonObject | None = None

    @property
    def own(self) -> bool:
        """Whether this is an entry of ours and not a change in the cluster."""
        return self.kind.startswith(OWN_PREFIX)


_FIELDS: Final = tuple(Record.__slots__)
_MAY_BE_ABSENT: Final = {
    "namespace": "",
    "name": "",
    "uid": "",
    "data": None,
    "patch": None,
}
_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "revision": int,
    "monotonic": (int, float),
    "wall": (int, float),
    "data": (dict, type(None)),
    "patch": (dict, type(None)),
}


def encode(record: Record) -> str:
    """Return the record as one line of JSON, without the line's end."""
    fields = {name: getattr(record, name) for name in _FIELDS}
    kept = {k: v for k, v in fields.items() if v not in ("", None)}
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False)


def decode(line: str | bytes) -> Record:
    """
    Return the record of one line.

    Raises:
        ValueError: The line is no record; fields of later minor additions are ignored.

    """
    raw = json.loads(line)
    if not isinstance(raw, dict):
        raise ValueError(f"a record is a JSON object, not {raw!r:.80}")  # noqa: TRY004
    fields: dict[str, Any] = {}
    for name in _FIELDS:
        value = raw.get(name, _MAY_BE_ABSENT.get(name, raw))
        if not isinstance(value, _TYPES.get(name, str)):
            raise ValueError(f"a record without a valid {name}: {line!r:.200}")  # noqa: TRY004
        fields[name] = value
    return Record(**fields)


def encode_header(**extra: object) -> str:
    """Return the first line of every file: format, version, and what else is said."""
    return json.dumps({"format": FORMAT, "version": FORMAT_VERSION, **extra})


def check_header(line: str | bytes, *, where: str) -> JsonObject:
    """
    Return the header of a file.

    Raises:
        HarnessError: It is not a history, or of a version that is not supported.

    """
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise HarnessError(f"{where} is not a {FORMAT} file: it begins {line!r:.80}")
    if header.get("version") != FORMAT_VERSION:
        raise HarnessError(
            f"{where} has version {header.get('version')!r} of the format {FORMAT}; "
            f"supported is {FORMAT_VERSION}"
        )
    return header
