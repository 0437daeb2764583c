"""Protobuf, as far as stored objects need it: nothing is lost, nothing is made up."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_knav.control_plane.state import wire


NUMBERS = st.integers(1, 2**29 - 1)
VARINTS = st.integers(0, 2**64 - 1)
FIELDS = st.tuples(NUMBERS, VARINTS | st.binary(max_size=200))
MESSAGES = st.lists(FIELDS, max_size=8)
FIXED64 = bytes([3 << 3 | 1]) + b"12345678"
FIXED32 = bytes([4 << 3 | 5]) + b"1234"


def encoded(number: int, value: int | bytes) -> bytes:
    """Return one field."""
    if isinstance(value, int):
        return wire.of_int(number, value)
    return wire.of_bytes(number, value)


def stored(message: bytes) -> bytes:
    """Return an object as the API server stores it: with its type, and two blanks."""
    type_meta = wire.of_bytes(1, b"v1") + wire.of_bytes(2, b"Pod")
    parts = [(1, type_meta), (2, message), (3, b""), (4, b"")]
    return wire.MAGIC + b"".join(wire.of_bytes(*part) for part in parts)


@settings(max_examples=100, deadline=None)
@given(MESSAGES)
def test_what_is_written_is_read(parts: list[tuple[int, int | bytes]]) -> None:
    """Numbers and values come back in order, each with the bytes that made it."""
    raws = [encoded(*part) for part in parts]

    found = wire.fields(b"".join(raws))

    assert [(field.number, field.value) for field in found] == parts
    assert [field.raw for field in found] == raws


@settings(max_examples=100, deadline=None)
@given(MESSAGES, st.data())
def test_a_cut_is_refused_wherever_it_is(
    parts: list[tuple[int, int | bytes]], data: st.DataObject
) -> None:
    """Only between two fields a cut leaves a message; it is what was before it."""
    raws = [*(encoded(*part) for part in parts), FIXED64, FIXED32]
    message = b"".join(raws)
    ends = [0, *accumulate(map(len, raws))]
    cut = data.draw(st.integers(0, len(message)))

    if cut in ends:
        found = wire.fields(message[:cut])

        assert [field.raw for field in found] == raws[: ends.index(cut)]
    else:
        with pytest.raises(wire.NotProtobuf, match="cut short"):
            wire.fields(message[:cut])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_are_refused(content: bytes) -> None:
    """Nothing else is raised, and what was read makes up all that was there."""
    try:
        found = wire.fields(content)
    except wire.NotProtobuf:
        return

    assert b"".join(field.raw for field in found) == content


@pytest.mark.parametrize("value", [0, 1, 127, 128, 2**32, 2**63, 2**64 - 1])
def test_a_number_has_up_to_64_bits(value: int) -> None:
    """At every border the number that is written is the one that is read."""
    (field,) = wire.fields(wire.of_int(1, value))

    assert field.value == value


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 9 + b"\x02",
        b"\xff" * 9 + b"\x7f",
        b"\xff" * 10 + b"\x01",
        b"\x80" * 40,
    ],
    ids=["65 bits", "70 bits", "77 bits", "no end"],
)
def test_a_number_of_more_bits_is_refused(content: bytes) -> None:
    """Ten bytes can hold more than protobuf allows, and a run of bytes any number."""
    with pytest.raises(wire.NotProtobuf):
        wire.fields(b"\x08" + content)


def test_a_negative_number_cannot_be_written() -> None:
    """No field that is written here may be negative; a sign would be lost."""
    with pytest.raises(ValueError, match="range"):
        wire.of_int(1, -1)


@pytest.mark.parametrize("kind", [3, 4, 6, 7])
def test_groups_and_unknown_wire_types_are_refused(kind: int) -> None:
    """Kubernetes writes none, so their length is not known."""
    with pytest.raises(wire.NotProtobuf, match=f"wire type {kind} at byte 0"):
        wire.fields(bytes([1 << 3 | kind]) + b"12345678")


def test_field_zero_is_refused() -> None:
    """There is no such field: the bytes are something else, such as zeros."""
    with pytest.raises(wire.NotProtobuf):
        wire.fields(bytes(8))


@settings(max_examples=100, deadline=None)
@given(MESSAGES, st.integers(1, 6), st.none() | st.binary(max_size=20))
def test_a_replaced_field_is_the_only_one_of_its_number(
    parts: list[tuple[int, int | bytes]], number: int, value: bytes | None
) -> None:
    """The new value is there once, or nothing is; all else is as it was, in order."""
    message = b"".join(encoded(*part) for part in parts)

    after = wire.fields(wire.replaced(message, number, value))

    others = [f for f in wire.fields(message) if f.number != number]
    assert [f for f in after if f.number != number] == others
    same = [f.value for f in after if f.number == number]
    assert same == ([] if value is None else [value])


def test_a_path_leads_through_messages() -> None:
    """The first field of each number counts."""
    inner = wire.of_int(1, 7) + wire.of_bytes(2, b"deep") + wire.of_bytes(2, b"later")
    message = wire.of_int(3, 1) + wire.of_bytes(5, inner)

    assert wire.first(message, 5, 2) == b"deep"
    assert wire.first(message, 5) == inner
    assert wire.first(message) == message


@pytest.mark.parametrize("path", [(9,), (3,), (3, 1), (5, 9), (5, 1), (5, 1, 1)])
def test_a_path_that_leads_nowhere_is_none(path: tuple[int, ...]) -> None:
    """A field that is not there, and a number where a message should be."""
    message = wire.of_int(3, 1) + wire.of_bytes(5, wire.of_int(1, 7))

    assert wire.first(message, *path) is None


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300))
def test_an_unpacked_object_is_packed_again_to_the_same_bytes(message: bytes) -> None:
    """Around the object nothing changes, however long it is."""
    value = stored(message)

    assert wire.unpack(value) == message
    assert wire.repack(value, message) == value


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_another_object_comes_into_the_same_envelope(old: bytes, new: bytes) -> None:
    """Type and encoding stay where they are, also when lengths take more bytes."""
    assert wire.repack(stored(old), new) == stored(new)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b'{"kind": "Pod"}',
        b"k8s",
        wire.MAGIC,
        wire.MAGIC + wire.of_bytes(1, b"v1"),
        wire.MAGIC + wire.of_int(2, 7),
        stored(b"object")[:-5],
    ],
    ids=["nothing", "JSON", "half", "empty", "no object", "a number", "cut"],
)
def test_what_holds_no_object_is_neither_unpacked_nor_repacked(value: bytes) -> None:
    """An object must not be lost on the way into a stored value."""
    with pytest.raises(wire.NotProtobuf):
        wire.unpack(value)
    with pytest.raises(wire.NotProtobuf):
        wire.repack(value, b"object")
