"""Writes to etcd: what may share a revision, and what must not."""

from __future__ import annotations

import json
from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st

from pytest_knav.control_plane.state import etcd
from pytest_knav.control_plane.state.model import kind_of


PREFIXES = (
    "/registry/minions/",
    "/registry/leases/kube-node-lease/",
    "/registry/resourceslices/",
    "/registry/services/specs/default/",
    "/registry/services/endpoints/default/",
    "/registry/kwok.x-k8s.io/stages/",
)
keys = st.lists(
    st.tuples(st.sampled_from(PREFIXES), st.integers(0, 40)).map(
        lambda pair: f"{pair[0]}n{pair[1]}"
    ),
    unique=True,
)


def grouped(wanted: list[str]) -> list[list[str]]:
    """Return the keys of each transaction."""
    writes = [etcd._Write(key, b"v") for key in wanted]
    return [[w.key for w in group] for group in etcd.of_different_kinds(writes)]


@given(keys)
def test_no_two_keys_of_a_kind_share_a_revision(wanted: list[str]) -> None:
    """A watch that is resumed behind a revision would lose the second one."""
    for group in grouped(wanted):
        kinds = [kind_of(key) for key in group]

        assert len(kinds) == len(set(kinds))


@given(keys)
def test_every_key_is_written_once(wanted: list[str]) -> None:
    """Whatever kinds there are, and however unequal in number."""
    assert sorted(key for group in grouped(wanted) for key in group) == sorted(wanted)


def test_leases_of_all_namespaces_are_of_one_kind() -> None:
    """One watch sees them all."""
    both = ["/registry/leases/a/x", "/registry/leases/b/x"]

    assert grouped(both) == [[both[0]], [both[1]]]


def test_a_node_shares_its_revision_with_its_lease_and_slice() -> None:
    """A third of the transactions."""
    wanted = [f"{prefix}n{i}" for prefix in PREFIXES[:3] for i in range(5)]

    groups = grouped(wanted)

    assert [len(group) for group in groups] == [3] * 5


def test_a_group_is_one_transaction() -> None:
    """With a put for each value, and a deletion for each key that goes."""
    group = [
        etcd._Write("/registry/minions/a", b'{"k": 1}'),
        etcd._Write("/registry/pods/x", None),
    ]

    path, body = etcd._request(group)

    put, delete = json.loads(body)["success"]
    assert path == "/v3/kv/txn"
    assert b64decode(put["request_put"]["key"]) == b"/registry/minions/a"
    assert b64decode(put["request_put"]["value"]) == b'{"k": 1}'
    assert b64decode(delete["request_delete_range"]["key"]) == b"/registry/pods/x"
    assert "range_end" not in delete["request_delete_range"]
