"""How a history keeps objects: as JSON, with every sixteenth state whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_knav.errors import BadInput, Inconclusive
from pytest_knav.history import History, Record
from pytest_knav.history import chain as chains
from pytest_knav.history.chain import CHECKPOINT_EVERY, Chain
from pytest_knav.history.merge import merge_apply, normalise
from pytest_knav.history.packed import Packed, Said, packed_diff, unpack
from pytest_knav.history.sight import Moment, Sight


if TYPE_CHECKING:
    from collections.abc import Callable

NOW = Moment(1.0, 2.0)
# Texts with all that JSON must escape, and what looks like a member that is null.
TEXTS = st.text('a",:{}[]\\n\u00e4', max_size=6) | st.just(',"lastProbeTime":null,')
KEYS = st.sampled_from(
    ["a", "lastProbeTime", 'x"lastProbeTime', "creationTimestamp", "eventTime"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


def sent(fields: dict[str, Any], revision: int = 1) -> dict[str, Any]:
    """Return an object as the apiserver sends it."""
    metadata = {
        "name": "a",
        "namespace": "default",
        "uid": "u",
        "resourceVersion": str(revision),
        "managedFields": [{"manager": "kwok", "time": None}],
    }
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, **fields}


def event(raw: dict[str, Any]) -> bytes:
    """Return the line of a watch that tells of an object, as Go writes it."""
    said = {"type": "MODIFIED", "object": raw}
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()


def renewed(count: int, *, known: bool) -> Chain:
    """Return the chain of a lease that was renewed so often."""
    chain = Chain()
    state: dict[str, Any] = {"spec": {"n": 0}, "x": "same"}
    for revision in range(count + 1):
        record = Record(
            revision=revision,
            monotonic=0.0,
            wall=0.0,
            verb="MODIFIED" if revision else "ADDED",
            kind="Lease",
            namespace="",
            name="n",
            uid="u",
            data=None if revision else json.dumps(state).encode(),
            patch=b'{"spec":{"n":%d}}' % revision if revision else None,
        )
        after = {**state, "spec": {"n": revision}}
        chain.append(record, json.dumps(after).encode() if known else None)
    return chain


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """Return the records that were looked at to work out a state."""
    seen: list[Record] = []
    follow: Callable[..., Any] = chains.follow

    def watched(state: Any, record: Record) -> Any:
        seen.append(record)
        return follow(state, record)

    monkeypatch.setattr(chains, "follow", watched)
    return seen


@settings(max_examples=150, deadline=None)
@given(OBJECTS)
def test_an_event_is_read_as_its_object_would_be(fields: dict[str, Any]) -> None:
    """Whatever an object holds, its bytes lead to the normal form of the object."""
    raw = sent(fields)

    packed = Said.read(event(raw)).packed()

    assert unpack(packed.content) == normalise(raw)
    assert packed == Packed.of(raw)._replace(content=packed.content)


@settings(max_examples=150, deadline=None)
@given(OBJECTS, OBJECTS)
def test_a_patch_of_bytes_leads_from_one_object_to_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    """What the history keeps as changed, applied to what was, gives what is."""
    old = Said.read(event(sent(before, 1))).packed().content
    new = Said.read(event(sent(after, 2))).packed().content

    patch = packed_diff(old, new)

    assert patch is not None
    assert merge_apply(unpack(old), unpack(patch)) == unpack(new)


def test_what_did_not_change_is_not_in_a_patch() -> None:
    """A pod that was bound is told with its node and its revision."""
    old = sent({"spec": {"containers": [1]}, "status": {"phase": "Pending"}}, 1)
    new = sent({"spec": {"containers": [1], "nodeName": "n"}, "status": {}}, 2)

    patch = packed_diff(Packed.of(old).content, Packed.of(new).content)

    assert unpack(patch or b"") == {
        "metadata": {"resourceVersion": "2"},
        "spec": {"nodeName": "n"},
        "status": {"phase": None},
    }


def test_the_same_object_again_is_no_change() -> None:
    """A list that shows what is known says nothing new."""
    sight = Sight("Pod")
    sight.seen(Packed.of(sent({"a": 1})), NOW)

    assert sight.seen(Packed.of(sent({"a": 1})), NOW) == []


@pytest.mark.parametrize("told", [False, True], ids=["untold", "told"])
def test_another_object_of_a_name_is_the_end_of_the_one_before(*, told: bool) -> None:
    """Who writes to the store may replace it without a word; an end comes once."""
    sight = Sight("Pod")
    first, second = sent({"a": 1}), sent({"a": 1}, revision=7)
    second["metadata"]["uid"] = "v"
    changes = sight.seen(Packed.of(first), NOW)

    if told:
        changes += sight.seen(Packed.of(sent({}, revision=6)), NOW, deleted=True)
    changes += sight.seen(Packed.of(second), NOW)

    seen = [(c.record.verb, c.record.uid, c.record.revision) for c in changes]
    ended = ("DELETED", "u", 6 if told else 7)
    assert seen == [("ADDED", "u", 1), ended, ("ADDED", "v", 7)]
    assert sight.seen(Packed.of(first), NOW, deleted=True) == []


@pytest.mark.parametrize("known", [True, False], ids=["recorded", "loaded"])
def test_any_state_of_a_long_life_can_be_had(*, known: bool) -> None:
    """In whatever order they are asked for."""
    chain = renewed(100, known=known)
    asked = [99, 3, 50, 100, 0, 17, 16, 33, 99]

    found = [(chain.at(revision) or {})["spec"]["n"] for revision in asked]

    assert found == asked
    assert chain.present() == {"spec": {"n": 100}, "x": "same"}


@pytest.mark.parametrize("known", [True, False], ids=["recorded", "loaded"])
def test_a_state_is_never_far_from_one_that_is_kept(
    followed: list[Record], *, known: bool
) -> None:
    """However often a lease was renewed; a loaded one is walked through once."""
    chain = renewed(5_000, known=known)
    if not known:
        chain.at(5_000)
    followed.clear()

    for revision in (4_999, 2_501, 1_234):
        chain.at(revision)

    assert len(followed) <= 3 * CHECKPOINT_EVERY


def test_the_present_is_followed_not_read_again(followed: list[Record]) -> None:
    """Who asks after each change pays for the change alone."""
    chain = renewed(40, known=True)
    before = chain.present()
    rest = renewed(42, known=True).records[41:]
    for record in rest:
        chain.append(record, None)
    followed.clear()

    after = chain.present()

    assert after == {"spec": {"n": 42}, "x": "same"}
    assert followed == rest
    assert (before or {})["x"] is (after or {})["x"]


@pytest.mark.parametrize("boundary", [0, 15, 16, 17, 40])
def test_a_folded_chain_knows_what_came_after(boundary: int) -> None:
    """What is kept whole stays with its record."""
    chain = renewed(100, known=True)

    folded = chain.folded(boundary)

    assert folded is not None
    assert folded.data == {"spec": {"n": boundary}, "x": "same"}
    states = [chain.at(revision) for revision in range(boundary, 101)]
    found = [(state or {})["spec"]["n"] for state in states]
    assert found == list(range(boundary, 101))


def pod(revision: int, text: str) -> Record:
    """Return a change of the only pod."""
    return Record(
        revision=revision,
        monotonic=0.0,
        wall=0.0,
        verb="MODIFIED" if revision > 1 else "ADDED",
        kind="Pod",
        namespace="",
        name="a",
        uid="u",
        data=None if revision > 1 else {"text": text},
        patch=json.dumps({"text": text}).encode() if revision > 1 else None,
    )


def test_a_history_is_bounded_in_bytes() -> None:
    """Few large changes are folded as many small ones are."""
    history = History(max_bytes=200_000)
    held: list[int] = []
    folds: set[int] = set()

    for revision in range(1, 500):
        history.add(pod(revision, "x" * 5_000))
        held.append(sum(record.size for record in history.records()))
        folds.add(history.truncated_before)

    assert max(held) <= 200_000
    # Each fold frees an eighth, so most changes need none.
    assert 1 < len(folds) < 250
    assert history.latest("Pod")["u"]["text"] == "x" * 5_000
    with pytest.raises(Inconclusive, match="no longer in this history"):
        history.state_at(1, "Pod")


def test_one_object_larger_than_allowed_is_kept() -> None:
    """What lives now is never folded away."""
    history = History(max_bytes=100)

    for revision in range(1, 50):
        history.add(pod(revision, f"{revision}" * 500))

    assert history.latest("Pod")["u"]["text"] == "49" * 500


def test_a_bound_below_one_is_refused() -> None:
    """The message shows the value and what is allowed."""
    with pytest.raises(BadInput, match="max_bytes=0: give at least 1"):
        History(max_bytes=0)
