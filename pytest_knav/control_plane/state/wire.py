r"""
Just enough of protobuf to look into a stored object and to change a field of it.

The API server stores built-in types as ``k8s\0`` and a `runtime.Unknown`
(apimachinery, pkg/runtime/types.go): field 1 is the TypeMeta, field 2 the object
itself. Custom resources are stored as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Iterable

MAGIC: Final = b"k8s\0"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZE: Final = {_FIXED64: 8, _FIXED32: 4}


class NotProtobuf(BadInput):
    """The bytes are not what they should be."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message: its number and its value, and how it was written."""

    number: int
    value: int | bytes
    raw: bytes


def fields(message: bytes) -> list[Field]:
    """
    Return the fields of a message in order.

    Raises:
        NotProtobuf: The bytes are cut short or no message.

    """
    found = []
    at = 0
    while at < len(message):
        begin = at
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        value: int | bytes
        if kind == _VARINT:
            value, at = _varint(message, at)
        else:
            if kind == _BYTES:
                size, at = _varint(message, at)
            elif kind in _FIXED_SIZE:
                size = _FIXED_SIZE[kind]
            else:
                raise NotProtobuf(f"wire type {kind} at byte {begin}")
            value = message[at : at + size]
            at += size
        if at > len(message) or number == 0:
            raise NotProtobuf(f"cut short in field {number} at byte {begin}")
        found.append(Field(number, value, message[begin:at]))
    return found


def first(message: bytes, *path: int) -> bytes | None:
    """Return the first message, string or bytes field that a path of numbers names."""
    value: int | bytes | None = message
    for number in path:
        if not isinstance(value, bytes):
            return None
        value = next((f.value for f in fields(value) if f.number == number), None)
    return value if isinstance(value, bytes) else None


def replaced(message: bytes, number: int, value: bytes | None) -> bytes:
    """Return a message with one field set to bytes, or without it for None."""
    kept = b"".join(f.raw for f in fields(message) if f.number != number)
    return kept if value is None else kept + of_bytes(number, value)


def of_bytes(number: int, value: bytes) -> bytes:
    """Return a field that holds bytes, a string or a message."""
    return _encoded(number << 3 | _BYTES) + _encoded(len(value)) + value


def of_int(number: int, value: int) -> bytes:
    """Return a field that holds a number of zero or more."""
    return _encoded(number << 3 | _VARINT) + _encoded(value)


def unpack(stored: bytes) -> bytes:
    """
    Return the object inside a stored value.

    Raises:
        NotProtobuf: It is none, for example because it is JSON.

    """
    if not stored.startswith(MAGIC):
        raise NotProtobuf("not stored as protobuf")
    found = first(stored[len(MAGIC) :], 2)
    if found is None:
        raise NotProtobuf("the envelope holds no object")
    return found


def repack(stored: bytes, message: bytes) -> bytes:
    """
    Return a stored value with another object inside.

    Raises:
        NotProtobuf: It has none that could be replaced.

    """
    unpack(stored)
    envelope = stored[len(MAGIC) :]
    parts: Iterable[bytes] = (
        of_bytes(2, message) if field.number == 2 else field.raw
        for field in fields(envelope)
    )
    return MAGIC + b"".join(parts)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise NotProtobuf(f"cut short at byte {at}")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                raise NotProtobuf(f"a number of more than 64 bits before byte {at}")
            return value, at
        shift += 7


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
