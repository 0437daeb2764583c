"""What becomes of each key: the table, and the plan that is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_knav.control_plane.state import table
from pytest_knav.control_plane.state.table import MEANINGS, REST, ROWS


if TYPE_CHECKING:
    from pytest_knav.control_plane.state.table import Action, Changes, Mode, Row

R = "/registry/"
MODES: tuple[Mode, ...] = get_args(table.Mode)
NODE_LEASE = f"{R}leases/kube-node-lease/n0"
# Keys of a real store, of every row and of none.
POOL = [
    NODE_LEASE,
    f"{R}leases/kube-node-lease/n1",
    f"{R}leases/kube-system/apiserver-abc",
    f"{R}leases/default/of-a-user",
    f"{R}masterleases/127.0.0.1",
    f"{R}peerserverleases/apiserver-abc",
    f"{R}events/default/pod.17",
    f"{R}configmaps/kube-system/extension-apiserver-authentication",
    f"{R}configmaps/kube-system/pytest-knav-fingerprint",
    f"{R}configmaps/default/kube-root-ca.crt",
    f"{R}configmaps/team/kube-root-ca.crt",
    f"{R}configmaps/default/of-a-user",
    f"{R}services/specs/default/kubernetes",
    f"{R}services/specs/default/web",
    f"{R}services/endpoints/default/kubernetes",
    f"{R}endpointslices/default/kubernetes",
    f"{R}namespaces/default",
    f"{R}namespaces/team",
    f"{R}clusterroles/admin",
    f"{R}clusterroles/of-a-user",
    f"{R}apiextensions.k8s.io/customresourcedefinitions/widgets.example.org",
    f"{R}example.org/widgets/default/one",
    f"{R}minions/n0",
    f"{R}pods/default/a",
]
NEWBORN = {
    f"{R}namespaces/default",
    f"{R}clusterroles/admin",
    f"{R}configmaps/default/kube-root-ca.crt",
    f"{R}services/specs/default/kubernetes",
}
KEYS = st.sampled_from(POOL)
STORES = st.dictionaries(KEYS, st.sampled_from([b"1", b"2"]))


class Store:
    """A store that a plan can be made for and applied to."""

    def __init__(self, present: dict[str, bytes], newborn: set[str]) -> None:
        self.values = dict(present)
        self.newborn = newborn

    def plan(self, mode: Mode, wanted: dict[str, bytes]) -> Changes:
        """Return what has to be written; a lease is good once it is fresh."""

        def renew(key: str) -> bytes | None:
            fresh = b"fresh " + wanted[key]
            return None if self.values.get(key) == fresh else fresh

        return table.changes(
            mode,
            wanted,
            self.values.keys(),
            equal=lambda key: self.values[key] == wanted[key],
            renew=renew,
            newborn=self.newborn,
        )

    def apply(self, plan: Changes) -> None:
        """Write it; what is deleted must be there."""
        for key in plan.deletes:
            del self.values[key]
        self.values |= plan.puts


def key_in(row: Row) -> list[str]:
    """Return a key of each pattern of a row."""
    names = (keys.replace("*", "team") for keys in row.keys)
    return [R + (f"{name}one" if name.endswith("/") else name) for name in names]


def outcome(
    mode: Mode, key: str, before: bytes | None, wanted: bytes | None, *, newborn: bool
) -> bytes | None:
    """Return what a key holds after a restore."""
    store = Store({} if before is None else {key: before}, {key} if newborn else set())
    store.apply(store.plan(mode, {} if wanted is None else {key: wanted}))
    return store.values.get(key)


# For each action what a key holds afterwards: with one in both, one in the cluster
# alone, and one in the state alone.
OUTCOMES: dict[Action, tuple[bytes | None, bytes | None, bytes | None]] = {
    "restored": (b"saved", None, b"saved"),
    "kept": (b"there", b"there", None),
    "dropped": (None, None, None),
    "renewed": (b"fresh saved", None, b"fresh saved"),
    "newborn kept": (b"saved", None, b"saved"),
    "own kept": (b"there", None, None),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.keys[0])
def test_each_row_does_what_its_action_means(row: Row, mode: Mode) -> None:
    """To a key that is in both, in the cluster alone, and in the state alone."""
    for key in key_in(row):
        both = outcome(mode, key, b"there", b"saved", newborn=False)
        alone = outcome(mode, key, b"there", None, newborn=False)
        saved = outcome(mode, key, None, b"saved", newborn=False)

        assert (both, alone, saved) == OUTCOMES[row.action(mode)], key


@pytest.mark.parametrize("mode", MODES)
def test_what_no_row_names_becomes_what_the_state_holds(mode: Mode) -> None:
    """Whatever its kind is, also one that nobody knows yet."""
    for key in ("pods/default/a", "a.b/cs/d", "new", "leases/default/x", "events.k8s"):
        assert table.action_for(R + key, mode) == REST.action(mode) == "restored"
        both = outcome(mode, R + key, b"there", b"saved", newborn=True)
        alone = outcome(mode, R + key, b"there", None, newborn=True)
        assert (both, alone) == (b"saved", None)


def test_newborn_keys_stay_in_a_transplant_and_go_in_a_reset() -> None:
    """A namespace that a cluster was born with keeps the uid that it has there."""
    key = f"{R}namespaces/default"

    kept = outcome("transplant", key, b"there", b"saved", newborn=True)
    unknown = outcome("transplant", key, b"there", None, newborn=True)
    deleted = outcome("transplant", key, None, b"saved", newborn=True)
    reset = outcome("reset", key, b"there", b"saved", newborn=True)

    assert (kept, unknown, deleted, reset) == (b"there", b"there", b"saved", b"saved")


@pytest.mark.parametrize(
    ("key", "like"),
    [
        ("configmaps/team/kube-root-ca.crt", True),
        ("configmaps/team/x/kube-root-ca.crt", False),
        ("configmaps/kube-root-ca.crt", False),
        ("configmaps/team/kube-root-ca.crt2", False),
        ("configmaps/team/kube-root-ca-crt", False),
    ],
)
def test_a_star_is_one_part_of_a_key(key: str, *, like: bool) -> None:
    """No more and no less, and a dot is a dot."""
    assert (table.action_for(R + key, "transplant") == "own kept") is like


@pytest.mark.parametrize(
    "key",
    [
        "services/specs/default/kubernetes-dashboard",
        "services/specs/team/kubernetes",
        "endpointslices/default/kubernetes-x7k2p",
        "configmaps/kube-system/pytest-knav-fingerprint2",
        "leases/kube-node-lease2/n0",
        "masterleases2/x",
    ],
)
def test_a_name_that_only_begins_alike_is_the_users(key: str) -> None:
    """A row without a slash at its end names one key."""
    assert table.action_for(R + key, "reset") == "restored"


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(MODES), STORES, STORES, st.sampled_from([NEWBORN, set()]))
def test_after_a_restore_there_is_nothing_left_to_do(
    mode: Mode, present: dict[str, bytes], wanted: dict[str, bytes], newborn: set[str]
) -> None:
    """Whatever was there and whatever is wanted."""
    store = Store(present, newborn)

    store.apply(store.plan(mode, wanted))

    assert not store.plan(mode, wanted)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(MODES), STORES, STORES)
def test_no_write_is_in_vain_and_none_touches_what_is_kept(
    mode: Mode, present: dict[str, bytes], wanted: dict[str, bytes]
) -> None:
    """Each write changes something, each key is written once, deletes are of keys."""
    plan = Store(present, NEWBORN).plan(mode, wanted)

    assert len(set(plan.deletes)) == len(plan.deletes)
    assert set(plan.deletes) <= present.keys()
    assert not set(plan.deletes) & plan.puts.keys()
    assert all(present.get(key) != value for key, value in plan.puts.items())
    written = {*plan.puts, *plan.deletes}
    assert "kept" not in {table.action_for(key, mode) for key in written}
    assert "dropped" not in {table.action_for(key, mode) for key in plan.puts}


@settings(max_examples=100, deadline=None)
@given(STORES, STORES)
def test_after_a_reset_the_store_holds_the_state(
    present: dict[str, bytes], wanted: dict[str, bytes]
) -> None:
    """But for what is kept, dropped or renewed, key for key and value for value."""
    store = Store(present, NEWBORN)

    store.apply(store.plan("reset", wanted))

    def restored(values: dict[str, bytes]) -> dict[str, bytes]:
        return {
            k: v
            for k, v in values.items()
            if table.action_for(k, "reset") == "restored"
        }

    assert restored(store.values) == restored(wanted)


def test_a_good_lease_is_left_alone() -> None:
    """The KWOK that holds it goes on; its value is none that the state has."""
    store = Store({NODE_LEASE: b"fresh saved"}, set())

    assert not store.plan("reset", {NODE_LEASE: b"saved"})


def test_values_that_are_not_needed_are_not_compared() -> None:
    """To compare costs a read: only what is in both and would be put in."""
    asked: list[str] = []

    def equal(key: str) -> bool:
        asked.append(key)
        return True

    plan = table.changes(
        "transplant",
        dict.fromkeys(POOL, b"1"),
        [key for key in POOL if key != f"{R}pods/default/a"],
        equal=equal,
        renew=lambda _: None,
        newborn=NEWBORN,
    )

    assert plan.puts == {f"{R}pods/default/a": b"1"}
    assert f"{R}minions/n0" in asked
    assert not {f"{R}namespaces/default", NODE_LEASE, f"{R}pods/default/a"} & {*asked}


@pytest.mark.parametrize("key", POOL)
def test_a_state_leaves_away_just_what_is_never_put_in(key: str) -> None:
    """A key that neither operation writes costs room and no more."""
    puts = {
        outcome(mode, key, None, b"saved", newborn=False) is not None for mode in MODES
    }

    assert table.untouched(key) is (puts == {False})


def test_every_action_is_explained() -> None:
    """In the words that the reference prints, and none too many."""
    actions = {row.action(mode) for row in (*ROWS, REST) for mode in MODES}

    assert actions == set(MEANINGS) == set(get_args(table.Action))


def test_rows_say_why_and_none_hides_another() -> None:
    """The first row that fits a key counts, so there may be one alone."""
    for row in ROWS:
        assert row.why.endswith(".")
        for key in key_in(row):
            name = key.removeprefix(R)
            patterns = table._patterns()[name.partition("/")[0]]
            assert [found for found, p in patterns if p.match(name)] == [row]
