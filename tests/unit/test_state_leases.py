"""Node leases on their way into the store, in both forms that the store has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_knav.control_plane.state import leases, wire
from pytest_knav.control_plane.state.identity import same_object
from pytest_knav.errors import BadInput


NOW = 1_767_225_600.123456
# Between 1970 and 2100, in microseconds.
MOMENTS = st.integers(0, 4_102_444_800 * 10**6).map(lambda us: us / 10**6)
METADATA = wire.of_bytes(1, b"n0") + wire.of_bytes(5, b"uid-of-n0")
TYPE_META = wire.of_bytes(1, b"coordination.k8s.io/v1") + wire.of_bytes(2, b"Lease")
HOLDER = wire.of_bytes(1, b"kwok-of-before")
DURATION = wire.of_int(2, 40)
ACQUIRED = wire.of_bytes(3, wire.of_int(1, 1_000))
RENEWED = wire.of_bytes(4, wire.of_int(1, 2_000) + wire.of_int(2, 5_000))
TRANSITIONS = wire.of_int(5, 3)


def stored(*spec: bytes, unknown: bytes = b"") -> bytes:
    """Return a lease as protobuf."""
    lease = wire.of_bytes(1, METADATA) + wire.of_bytes(2, b"".join(spec)) + unknown
    parts = [(1, TYPE_META), (2, lease), (3, b""), (4, b"")]
    return wire.MAGIC + b"".join(wire.of_bytes(*part) for part in parts)


def as_json(**spec: Any) -> bytes:
    """Return a lease as JSON."""
    metadata = {"name": "n0", "uid": "uid-of-n0"}
    return json.dumps({"kind": "Lease", "metadata": metadata, "spec": spec}).encode()


PROTOBUF = stored(HOLDER, DURATION, ACQUIRED, RENEWED, TRANSITIONS)
JSON = as_json(
    holderIdentity="kwok-of-before",
    leaseDurationSeconds=40,
    renewTime="1970-01-01T00:33:20.000005Z",
    leaseTransitions=3,
)
BOTH = pytest.mark.parametrize("lease", [PROTOBUF, JSON], ids=["protobuf", "JSON"])


def test_of_a_protobuf_lease_only_holder_and_time_change() -> None:
    """Every other field is byte for byte what it was, unknown ones included."""
    unknown = wire.of_bytes(99, b"of a later Kubernetes")
    lease = stored(HOLDER, DURATION, ACQUIRED, RENEWED, TRANSITIONS, unknown=unknown)

    fresh = leases.fresh(lease, NOW)

    message = wire.unpack(fresh)
    spec = {f.number: f.raw for f in wire.fields(wire.first(message, 2) or b"")}
    time = wire.of_int(1, int(NOW)) + wire.of_int(2, 123_456_000)
    assert spec == {
        2: DURATION,
        3: ACQUIRED,
        4: wire.of_bytes(4, time),
        5: TRANSITIONS,
    }
    assert wire.first(message, 1) == METADATA
    assert wire.fields(message)[1].raw == unknown
    assert wire.repack(fresh, b"") == wire.repack(lease, b"")


def test_of_a_json_lease_only_holder_and_time_change() -> None:
    """Every other field is what it was."""
    before = json.loads(JSON)

    after = json.loads(leases.fresh(JSON, NOW))

    assert after["spec"].pop("renewTime") == "2026-01-01T00:00:00.123456Z"
    del before["spec"]["renewTime"], before["spec"]["holderIdentity"]
    assert after == before


@BOTH
def test_a_fresh_lease_is_fresh_once(lease: bytes) -> None:
    """To renew what was renewed changes its time and nothing else."""
    once = leases.fresh(lease, 5.0)

    assert leases.fresh(leases.fresh(lease, NOW), 5.0) == once


@settings(max_examples=100, deadline=None)
@given(MOMENTS)
@example(0.0)
@example(1.999999)
@example(1_767_225_599.999999)
def test_a_time_survives_to_the_microsecond(now: float) -> None:
    """In either form, up to what a float can tell apart."""
    in_protobuf = leases.renewed_at(leases.fresh(PROTOBUF, now))
    in_json = leases.renewed_at(leases.fresh(JSON, now))

    assert in_protobuf == pytest.approx(now, rel=0, abs=1.5e-6)
    assert in_json == pytest.approx(now, rel=0, abs=1.5e-6)


@BOTH
def test_without_a_moment_it_is_now(
    lease: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is asked when the lease is made."""
    monkeypatch.setattr("time.time", lambda: NOW)

    assert leases.renewed_at(leases.fresh(lease)) == pytest.approx(NOW, abs=1.5e-6)


@BOTH
def test_the_time_of_before_is_read(lease: bytes) -> None:
    """Seconds and what is below them."""
    assert leases.renewed_at(lease) == pytest.approx(2000.000005, rel=0, abs=1e-7)


@pytest.mark.parametrize(
    "lease",
    [
        stored(),
        stored(HOLDER, DURATION),
        stored(wire.of_bytes(4, b"")),
        wire.MAGIC + wire.of_bytes(2, wire.of_bytes(1, METADATA)),
        as_json(),
        as_json(renewTime=None),
        b'{"kind": "Lease", "metadata": {}}',
        b'{"kind": "Lease", "metadata": {}, "spec": null}',
    ],
)
def test_a_lease_that_was_never_renewed_is_old_and_can_be_renewed(
    lease: bytes,
) -> None:
    """A lease may lack its time, its holder and its whole spec."""
    assert leases.renewed_at(lease) == 0.0
    assert leases.renewed_at(leases.fresh(lease, NOW)) == pytest.approx(NOW, abs=1.5e-6)


@pytest.mark.parametrize(
    "lease",
    [
        stored(wire.of_bytes(4, wire.of_bytes(1, b"soon"))),
        as_json(renewTime="soon"),
        as_json(renewTime=7),
    ],
)
def test_a_time_that_is_none_is_refused(lease: bytes) -> None:
    """No time is made up: too late a one would let a node go Unknown."""
    with pytest.raises(BadInput, match="a time that is none"):
        leases.renewed_at(lease)


def test_a_time_of_kubernetes_is_always_utc() -> None:
    """With six digits, as a MicroTime wants them."""
    assert leases.micro_time(0) == "1970-01-01T00:00:00.000000Z"
    assert leases.micro_time(NOW) == "2026-01-01T00:00:00.123456Z"


@BOTH
def test_a_lease_is_held_until_it_is_made_fresh(lease: bytes) -> None:
    """By the KWOK that has renewed it; then by nobody."""
    assert leases.is_held(lease)
    assert not leases.is_held(leases.fresh(lease, NOW))


def owned(lease: bytes, *owners: str) -> bytes:
    """Return a lease that belongs to nodes with these uids."""
    if not lease.startswith(wire.MAGIC):
        body = json.loads(lease)
        body["metadata"]["ownerReferences"] = [
            {"kind": "Node", "uid": owner} for owner in owners
        ]
        return json.dumps(body).encode()
    references = (
        wire.of_bytes(13, wire.of_bytes(1, b"Node") + wire.of_bytes(4, owner.encode()))
        for owner in owners
    )
    message = wire.unpack(lease)
    metadata = (wire.first(message, 1) or b"") + b"".join(references)
    return wire.repack(lease, wire.replaced(message, 1, metadata))


@BOTH
def test_a_lease_that_its_node_made_again_stays(lease: bytes) -> None:
    """A KWOK that begins afresh makes new ones: nobody would hear of a changed uid."""
    mine, other = owned(lease, "node-1"), owned(lease, "node-2")
    young = leases.fresh(mine)
    ours = young.replace(b"uid-of-n0", b"uid-of-n1")

    assert leases.owners(mine) == {"node-1"}
    assert leases.renewed(mine, ours, lease_s=8) is None
    assert leases.renewed(mine, leases.fresh(lease), lease_s=8) is None
    old = leases.fresh(ours, NOW - 3600)
    assert b"uid-of-n1" in (leases.renewed(mine, old, lease_s=8) or b"")
    assert b"node-1" in (leases.renewed(mine, other, lease_s=8) or b"")
    assert b"node-1" in (leases.renewed(mine, None, lease_s=8) or b"")


def node(*labels: tuple[str, str]) -> tuple[bytes, bytes]:
    """Return a node with labels, as protobuf and as JSON."""
    entries = [
        wire.of_bytes(1, key.encode()) + wire.of_bytes(2, value.encode())
        for key, value in labels
    ]
    managed = wire.of_bytes(17, wire.of_bytes(7, b'{"f:pytest-knav/kubelet":{}}'))
    metadata = wire.of_bytes(1, b"n0") + b"".join(
        wire.of_bytes(11, entry) for entry in entries
    )
    message = wire.of_bytes(1, metadata + managed)
    parts = [(1, TYPE_META), (2, message), (3, b""), (4, b"")]
    body = {"kind": "Node", "metadata": {"name": "n0", "labels": dict(labels)}}
    return (
        wire.MAGIC + b"".join(wire.of_bytes(*part) for part in parts),
        json.dumps(body).encode(),
    )


@pytest.mark.parametrize("form", [0, 1], ids=["protobuf", "JSON"])
def test_only_the_label_says_that_a_node_is_played(form: int) -> None:
    """Not that it once was there, nor another value of it, nor another label."""
    label = "pytest-knav/kubelet"

    assert leases.is_played(node(("a", "b"), (label, "running"))[form])
    assert not leases.is_played(node()[form])
    assert not leases.is_played(node((label, "held"))[form])
    assert not leases.is_played(node(("a", "running"))[form])


@BOTH
def test_another_object_can_have_the_same_key(lease: bytes) -> None:
    """Its uid says so; what has no uid is one by its key."""
    again = lease.replace(b"uid-of-n0", b"uid-of-n1")
    bare = b'{"kind": "Range", "metadata": {}}'

    assert same_object(lease, leases.fresh(lease, NOW))
    assert not same_object(lease, again)
    assert not same_object(again, lease)
    assert same_object(PROTOBUF, JSON)
    assert same_object(bare, bare)
