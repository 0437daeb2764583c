"""
Objects of the API as JSON that is read only as far as it must be.

A recorder sees far more than anybody asks for. To make Python objects of all of it
takes several times as long as to compare the bytes, and every collection of garbage
walks them from then on. So an object is kept as the bytes of its normal form (see
`normalise`), members that did not change are not read, and what is asked for is decoded
then.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import msgspec

from pytest_knav.history.merge import DROPPED, UNREAD, drop_nulls, normalise


if TYPE_CHECKING:
    from pytest_knav.history.merge import JsonObject

_METADATA: Final = "metadata"
# In JSON as Go writes it, without spaces; within a string it would change nothing.
_NULL: Final = b":null"
# Of every pod, Event and template. A quote within a string is written with a backslash,
# so what is replaced is never part of one.
_USUAL_NULLS: Final = (
    (b',"lastProbeTime":null,', b","),
    (b',"eventTime":null,', b","),
    (b'{"creationTimestamp":null,', b"{"),
    (b'{"creationTimestamp":null}', b"{}"),
)
_encode: Final = msgspec.json.Encoder().encode
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value: Final = msgspec.json.Decoder().decode


class _Metadata(msgspec.Struct, gc=False):
    name: str
    uid: str
    resourceVersion: str  # noqa: N815 - as the API writes it
    namespace: str = ""


class _Object(msgspec.Struct, gc=False):
    metadata: _Metadata


class _Event(msgspec.Struct, gc=False):
    type: str
    object: dict[str, msgspec.Raw]


_object: Final = msgspec.json.Decoder(_Object).decode
_event: Final = msgspec.json.Decoder(_Event).decode


class Packed(NamedTuple):
    """One state of one object of the API, in its normal form."""

    uid: str
    revision: int
    namespace: str
    name: str
    content: bytes

    @classmethod
    def of(cls, raw: JsonObject) -> Self:
        """Return an object that was decoded already."""
        return cls.named(_encode(normalise(raw)))

    @classmethod
    def named(cls, content: bytes) -> Self:
        """Return an object of which the normal form is at hand."""
        metadata = _object(content).metadata
        return cls(
            metadata.uid,
            int(metadata.resourceVersion),
            metadata.namespace,
            metadata.name,
            content,
        )


class Said(NamedTuple):
    """What an event of a watch says: its type, and the members of its object."""

    verb: str
    members: dict[str, msgspec.Raw]
    nulls: bool

    @classmethod
    def read(cls, line: bytes) -> Self:
        """
        Return what a line says.

        Raises:
            ValueError: The line is no event.

        """
        nulls = _NULL in line
        if nulls:
            for usual, without in _USUAL_NULLS:
                line = line.replace(usual, without)
            nulls = _NULL in line
        event = _event(line)
        return cls(event.type, event.object, nulls)

    def decoded(self) -> dict[str, Any]:
        """Return its object, as it was sent."""
        return unpack(_encode(self.members))

    def packed(self) -> Packed:
        """
        Return its object in its normal form.

        Raises:
            ValueError: It is no object of the API.
            KeyError: Likewise.

        """
        members: dict[str, Any] = dict(self.members)
        metadata: dict[str, Any] = _members(members.pop(_METADATA))
        for key in DROPPED:
            members.pop(key, None)
        for key in UNREAD:
            metadata.pop(key, None)
        if self.nulls:
            _drop_nulls(members)
            _drop_nulls(metadata)
        return Packed.named(_encode({_METADATA: metadata, **members}))


def pack(value: JsonObject) -> bytes:
    """Return an object as JSON."""
    return _encode(value)


def unpack(content: bytes) -> dict[str, Any]:
    """
    Return the object that some JSON is.

    Raises:
        ValueError: It is none.

    """
    try:
        value = _value(content)
    except msgspec.DecodeError:
        # Entries of our own may hold NaN, which is no JSON but is what Python writes.
        value = json.loads(content)
    if not isinstance(value, dict):
        raise ValueError(f"no JSON object: {content!r:.80}")  # noqa: TRY004
    return value


def packed_diff(old: bytes, new: bytes) -> bytes | None:
    """Return the smallest merge patch from one normal form to another; None: equal."""
    if old == new:
        return None
    patch = _diff(old, new)
    return _encode(patch) if patch else None


def _diff(old: bytes, new: bytes) -> dict[str, Any]:
    """Compare two objects member by member; what is equal or an array is not read."""
    before, after = _members(old), _members(new)
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        known = before.get(key)
        if known is None:
            patch[key] = value
            continue
        theirs, ours = bytes(known), bytes(value)
        if theirs == ours:
            continue
        if theirs[:1] == b"{" and ours[:1] == b"{":
            inner = _diff(theirs, ours)
            if inner:
                patch[key] = inner
        else:
            patch[key] = value
    return patch


def _drop_nulls(members: dict[str, Any]) -> None:
    for key, value in list(members.items()):
        content = bytes(value)
        if content == b"null":
            del members[key]
        elif _NULL in content:
            holder = {key: _value(content)}
            drop_nulls(holder)
            members[key] = holder[key]
