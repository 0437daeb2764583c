"""Merge patches between two states of one object."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_knav.history.merge import drop_nulls, merge_apply, merge_diff, normalise


SCALARS = st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


def exactly(value: object) -> object:
    """Tell True from 1, which Python's == does not."""
    return repr(value)


@settings(max_examples=100, deadline=None)
@given(OBJECTS, OBJECTS)
def test_a_patch_leads_from_one_object_to_the_other(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    """Whatever two objects are, the patch between them turns one into the other."""
    assert merge_apply(old, merge_diff(old, new)) == new


@settings(max_examples=50, deadline=None)
@given(OBJECTS, OBJECTS)
def test_applying_a_patch_changes_neither_argument(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    """Older versions stay what they were, though they share structure with new ones."""
    patch = merge_diff(old, new)
    before = exactly((old, patch))

    merge_apply(old, patch)

    assert exactly((old, patch)) == before


def test_equal_objects_have_an_empty_patch() -> None:
    """Nothing changed is said with nothing."""
    assert merge_diff({"a": {"b": [1]}}, {"a": {"b": [1]}}) == {}


def test_true_is_not_one() -> None:
    """A value whose type changes has changed."""
    assert exactly(merge_diff({"a": 1}, {"a": True})) == exactly({"a": True})


def test_what_a_patch_does_not_name_is_shared() -> None:
    """A thousand versions of a pod share its spec."""
    old = {"spec": {"containers": [1, 2, 3]}, "status": {"phase": "Pending"}}

    new = merge_apply(old, {"status": {"phase": "Running"}})

    assert new["spec"] is old["spec"]


def test_arrays_are_replaced_whole() -> None:
    """A merge patch cannot name an element of an array."""
    old, new = {"a": [{"x": 1}, {"x": 2}]}, {"a": [{"x": 1}, {"x": 3}]}

    assert merge_diff(old, new) == new


def test_normalise_drops_what_a_patch_cannot_say_and_nobody_reads() -> None:
    """Nulls at any depth, managedFields, and the type that only a watch sends."""
    raw = {
        "kind": "Job",
        "apiVersion": "batch/v1",
        "metadata": {"name": "j", "managedFields": [{"manager": "kubectl"}]},
        "spec": {"template": {"metadata": {"creationTimestamp": None}}},
        "status": {"conditions": [{"type": "Complete", "lastProbeTime": None}]},
    }

    assert normalise(raw) == {
        "metadata": {"name": "j"},
        "spec": {"template": {"metadata": {}}},
        "status": {"conditions": [{"type": "Complete"}]},
    }


def test_drop_nulls_keeps_the_length_of_arrays() -> None:
    """A null element of an array has a place, so it stays."""
    value = {"a": [None, 1], "b": None, "c": {"d": None}}

    drop_nulls(value)

    assert value == {"a": [None, 1], "c": {}}
