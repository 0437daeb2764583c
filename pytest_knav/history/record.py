"""One line of a history: what changed, at which revision, and when it was seen."""

from __future__ import annotations

import json
from typing import Any, Final, TypeAlias

import msgspec

from pytest_knav.errors import HarnessError
from pytest_knav.history.merge import JsonObject
from pytest_knav.history.packed import unpack


FORMAT: Final = "knav-history"
FORMAT_VERSION: Final = 1

ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"

OWN_PREFIX: Final = "knav/"
COLLECTIVE: Final = "knav/Collective"
FAULT: Final = "knav/Fault"
GAP: Final = "knav/Gap"
HEARTBEAT: Final = "knav/Heartbeat"
SAMPLE: Final = "knav/Sample"
STEP: Final = "knav/Step"
WATCH: Final = "knav/Watch"

Content: TypeAlias = JsonObject | bytes
"""An object, or the JSON of one that nobody has asked for yet."""

# What a record takes beside its content (sys.getsizeof, with its numbers).
_RECORD_BYTES: Final = 250
_OWN_BYTES: Final = 500
_NOTHING: Final = msgspec.Raw()
_OBJECT_OR_NOTHING: Final = frozenset({b"{", b""})


class Record:
    """
    One change of one object of the API, or one entry of our own (``knav/…``).

    It is a value: nobody may change it. What was recorded of the API is kept as JSON
    and decoded when it is asked for.

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

    __slots__ = (
        "data_content",
        "kind",
        "monotonic",
        "name",
        "namespace",
        "patch_content",
        "revision",
        "uid",
        "verb",
        "wall",
    )

    def __init__(  # noqa: PLR0913 - one for each field of a line
        self,
        *,
        revision: int,
        monotonic: float,
        wall: float,
        verb: str,
        kind: str,
        namespace: str,
        name: str,
        uid: str,
        data: Content | None = None,
        patch: Content | None = None,
    ) -> None:
        self.revision = revision
        self.monotonic = monotonic
        self.wall = wall
        self.verb = verb
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.data_content = data
        self.patch_content = patch

    @property
    def data(self) -> JsonObject | None:
        """Return the whole object at first sight, or the payload of our own entry."""
        content = self.data_content
        return _last.unpack(content) if isinstance(content, bytes) else content

    @property
    def patch(self) -> JsonObject | None:
        """Return what a MODIFIED changed."""
        content = self.patch_content
        return _last.unpack(content) if isinstance(content, bytes) else content

    @property
    def own(self) -> bool:
        """Whether this is an entry of ours and not a change in the cluster."""
        return self.kind.startswith(OWN_PREFIX)

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory."""
        held = self.data_content or self.patch_content
        return _RECORD_BYTES + (len(held) if isinstance(held, bytes) else _OWN_BYTES)

    def at(self, monotonic: float) -> Record:
        """Return the same, seen at another moment."""
        contents = {"data": self.data_content, "patch": self.patch_content}
        return Record(**{**self._fields(), **contents, "monotonic": monotonic})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((self.revision, self.verb, self.kind, self.uid, self.name))

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self._fields().items())
        return f"Record({said})"

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS}


class _Last:
    """
    Decodes, and knows what it decoded last: whoever reads a record asks several times.

    More is not kept, because it would take five times the memory of the bytes.
    """

    def __init__(self) -> None:
        self._known: tuple[bytes, dict[str, Any]] = (b"", {})

    def unpack(self, content: bytes) -> dict[str, Any]:
        """Return the object that some JSON is; nobody may change it."""
        known = self._known
        if known[0] is content:
            return known[1]
        value = unpack(content)
        # One assignment, so that another thread sees both or neither.
        self._known = (content, value)
        return value


class _Line(msgspec.Struct, gc=False):
    """A line as it is read in one go; what is in data and patch waits."""

    revision: int
    monotonic: float
    wall: float
    verb: str
    kind: str
    namespace: str = ""
    name: str = ""
    uid: str = ""
    data: msgspec.Raw = _NOTHING
    patch: msgspec.Raw = _NOTHING


_last: Final = _Last()
_read_line: Final = msgspec.json.Decoder(_Line).decode
_write_line: Final = msgspec.json.Encoder().encode
_FIELDS: Final = (
    "revision",
    "monotonic",
    "wall",
    "verb",
    "kind",
    "namespace",
    "name",
    "uid",
    "data",
    "patch",
)
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


def encode(record: Record) -> bytes:
    """Return the record as one line of JSON, without the line's end."""
    fields: dict[str, Any] = {
        name: value
        for name in _FIELDS[:-2]
        if (value := getattr(record, name)) not in ("", None)
    }
    for name, content in (
        ("data", record.data_content),
        ("patch", record.patch_content),
    ):
        if isinstance(content, bytes):
            fields[name] = msgspec.Raw(content)
        elif content is not None:
            fields[name] = msgspec.Raw(_dump(content))
    return _write_line(fields)


def _dump(content: JsonObject) -> bytes:
    # msgspec makes null of NaN, and a sample may be that.
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def decode(line: str | bytes) -> Record:
    """
    Return the record of one line.

    Raises:
        ValueError: The line is no record; fields of later minor additions are ignored.

    """
    try:
        read = _read_line(line)
    except msgspec.DecodeError:
        return _decode_slowly(line)
    data, patch = bytes(read.data), bytes(read.patch)
    if data[:1] not in _OBJECT_OR_NOTHING or patch[:1] not in _OBJECT_OR_NOTHING:
        return _decode_slowly(line)
    return Record(
        revision=read.revision,
        monotonic=read.monotonic,
        wall=read.wall,
        verb=read.verb,
        kind=read.kind,
        namespace=read.namespace,
        name=read.name,
        uid=read.uid,
        data=data or None,
        patch=patch or None,
    )


def _decode_slowly(line: str | bytes) -> Record:
    """Return the record of a line that is unusual, or say what is wrong with it."""
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
