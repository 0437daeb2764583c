"""Changes as data: one value inside an object, and a way back that harms nobody."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_knav.control_plane.api import ApiRefusedError
from pytest_knav.control_plane.changes import (
    KWOK,
    Create,
    Delete,
    Edit,
    Evict,
    ObjectRef,
    Process,
    apply,
    change_from_data,
    label_node,
    node,
    pod,
    undo,
)
from pytest_knav.control_plane.changes.ways import (
    holds,
    value_at,
    way_text,
    with_value,
)
from pytest_knav.control_plane.kwokctl import KUBELET_LABEL
from pytest_knav.errors import BadInput, HarnessError
from pytest_knav.history.merge import merge_apply


TAINT = ("spec", "taints", {"key": "xid", "effect": "NoExecute"})
values = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)
steps = st.sampled_from(["a", "b", {"name": "x"}, {"name": "y"}])
# A list stands in a field, never right in another list.
ways = st.lists(steps, min_size=1, max_size=4).filter(
    lambda way: (
        way[0] in ("a", "b")
        and all(isinstance(a, str) or isinstance(b, str) for a, b in pairwise(way))
    )
)


class FakeApi:
    """Objects by path, with versions, as far as a change asks for them."""

    def __init__(self, **objects: Any) -> None:
        self.objects = {
            f"/api/v1/nodes/{name}": {"metadata": {"resourceVersion": "1"}, **body}
            for name, body in objects.items()
        }
        self.writes = 0
        self.meanwhile: Any = None

    def get_or_none(self, path: str) -> Any:
        """Return an object as a copy."""
        found = self.objects.get(path)
        copied = None if found is None else json.loads(json.dumps(found))
        if self.meanwhile:
            self.meanwhile, write = None, self.meanwhile
            self.patch(path, write)
        return copied

    def patch_or_none(self, path: str, body: Any) -> Any:
        """Apply a merge patch, or return None."""
        return self.patch(path, body) if path in self.objects else None

    def patch(self, path: str, body: Any) -> Any:
        """Apply a merge patch, unless it is for another version."""
        path = path.removesuffix("/status")
        if path not in self.objects:
            raise ApiRefusedError("PATCH", path, 404, "gone")
        found = self.objects[path]
        version = found["metadata"]["resourceVersion"]
        wanted = body.get("metadata", {}).get("resourceVersion", version)
        if wanted != version:
            raise ApiRefusedError("PATCH", path, 409, "changed")
        made = merge_apply(found, body)
        made["metadata"] = {
            **made["metadata"],
            "resourceVersion": f"{int(version) + 1}",
        }
        self.objects[path] = made
        self.writes += 1
        return made


class FakePlane:
    """Just enough of a control plane: its API."""

    def __init__(self, **objects: Any) -> None:
        self.api = FakeApi(**objects)

    def at(self, name: str, way: Any) -> Any:
        """Return a value of a node."""
        return value_at(self.api.objects[f"/api/v1/nodes/{name}"], way)


class FakeKwok:
    """A component that tells what was done with it, and when."""

    def __init__(self, told: list[str], *, running: bool) -> None:
        self.told = told
        self.running = running

    def hold(self) -> None:
        """Stop it."""
        self.told.append("hold")

    def release(self) -> None:
        """Let it go on."""
        self.told.append("release")


class TestKubelets:
    """KWOK is held while nodes are taken from it, and only then."""

    @pytest.mark.parametrize(
        ("label", "running", "expected"),
        [
            (None, True, ["hold", "patch", "release"]),
            (None, False, ["patch"]),
            ("running", True, ["patch"]),
        ],
        ids=["taken", "held by a fault", "given back"],
    )
    def test_it_is_held_around_the_writes(
        self, label: str | None, *, running: bool, expected: list[str]
    ) -> None:
        """So that it renews no lease meanwhile; what is held stays held."""
        told: list[str] = []
        plane: Any = FakePlane(n1={"metadata": {"labels": {}}})
        plane.components = {KWOK: FakeKwok(told, running=running)}
        plane.api.patch_or_none = lambda _path, _body: told.append("patch")
        change = label_node("n1", KUBELET_LABEL, label, "running")

        apply(plane, [change])

        assert told == expected


class TestWays:
    """Values inside objects."""

    @given(values, ways, values)
    def test_what_was_set_is_there(self, found: Any, way: Any, value: Any) -> None:
        """Whatever was there before; a list item keeps the keys it is found by."""
        made = with_value({"a": found}, way, {"value": value})

        assert holds(value_at(made, way), {"value": value})

    @given(values, ways)
    def test_nothing_is_there_after_it_was_taken_away(
        self, found: Any, way: Any
    ) -> None:
        """To take away what is not there changes nothing that can be seen."""
        made = with_value({"a": found}, way, None)

        assert value_at(made, way) is None

    def test_what_stands_beside_it_stays(self) -> None:
        """Other items of the list, in their order; the object given is not changed."""
        other = {"key": "other", "effect": "NoSchedule"}
        before = {"spec": {"taints": [other]}}

        made = with_value(before, TAINT, {"value": "79"})
        back = with_value(made, TAINT, None)

        assert made["spec"]["taints"][0] == other
        assert value_at(made, TAINT) == {
            "key": "xid",
            "effect": "NoExecute",
            "value": "79",
        }
        assert back == before == {"spec": {"taints": [other]}}

    def test_a_way_reads_as_people_write_it(self) -> None:
        """For messages."""
        assert way_text(TAINT) == "spec.taints[key=xid,effect=NoExecute]"


class TestEdit:
    """One value of an object, set and put back."""

    @pytest.mark.parametrize("before", [None, "6", "8"])
    def test_the_inverse_puts_back_what_was_there(self, before: str | None) -> None:
        """Also when there was nothing."""
        amounts = {} if before is None else {"gpu": before}
        plane: Any = FakePlane(n={"status": {"allocatable": amounts}})
        way = ("status", "allocatable", "gpu")
        change = Edit(ref=node("n"), way=way, value="7", subresource="status")
        inverse = change.inverse(plane)

        apply(plane, [change])
        broken = plane.at("n", way)
        undo(plane, inverse)
        undo(plane, inverse)

        assert broken == "7"
        assert plane.at("n", way) == before

    def test_what_others_wrote_since_stays(self) -> None:
        """An undo that overwrote it would be a second fault."""
        plane: Any = FakePlane(n={"status": {"allocatable": {"gpu": "8"}}})
        way = ("status", "allocatable", "gpu")
        change = Edit(ref=node("n"), way=way, value="7")
        inverse = change.inverse(plane)

        apply(plane, [change])
        apply(plane, [Edit(ref=node("n"), way=way, value="3")])
        undo(plane, inverse)

        assert plane.at("n", way) == "3"

    def test_an_undo_of_what_was_never_made_does_nothing(self) -> None:
        """The process was killed between the journal and the change."""
        plane: Any = FakePlane(n={"spec": {}})
        change = Edit(ref=node("n"), way=TAINT, value={"value": "79"})

        undo(plane, change.inverse(plane))

        assert plane.api.writes == 0

    def test_a_write_in_between_is_not_lost(self) -> None:
        """The version that was read goes with the patch; then it is read again."""
        plane: Any = FakePlane(n={"spec": {"taints": []}})
        other = [{"key": "other", "effect": "NoSchedule"}]
        plane.api.meanwhile = {"spec": {"taints": other}}

        apply(plane, [Edit(ref=node("n"), way=TAINT, value={"value": "79"})])

        assert len(plane.at("n", ("spec", "taints"))) == 2

    def test_what_is_so_already_is_not_written(self) -> None:
        """And needs no way back."""
        plane: Any = FakePlane(n={"spec": {"unschedulable": True}})
        change = Edit(ref=node("n"), way=("spec", "unschedulable"), value=True)

        inverse = change.inverse(plane)
        apply(plane, [change])

        assert inverse == []
        assert plane.api.writes == 0

    def test_an_object_that_is_gone_needs_no_undo(self) -> None:
        """It was deleted meanwhile."""
        plane: Any = FakePlane()
        label = label_node("n", "k", None, "v")

        undo(plane, [*label.inverse(plane), Edit(ref=node("n"), way=TAINT)])

        assert plane.api.writes == 0


@pytest.mark.parametrize(
    "change",
    [
        Edit(ref=node("n"), way=TAINT, value={"value": "79"}, signal="taint"),
        Edit(ref=node("n"), way=TAINT, guarded=True, only_if={"value": "79"}),
        label_node("n", "k", None, "v"),
        Create(ref=ObjectRef(kind="Thing", name="t", root="/x", plural="ts"), body={}),
        Delete(ref=pod("default", "p"), grace_s=0),
        Evict(ref=pod("default", "p"), uid="u"),
        Process(component="kube-scheduler", verb="kill"),
    ],
    ids=["edit", "undo", "patch", "create", "delete", "evict", "process"],
)
def test_the_journal_gives_back_what_was_written(change: Any) -> None:
    """Through JSON, for another process."""
    again = change_from_data(json.loads(json.dumps(change.as_data())))

    assert again == change
    assert again.lane == change.lane


def test_an_unknown_operation_is_refused() -> None:
    """By a journal of another version."""
    with pytest.raises(HarnessError, match="'op': 'melt'"):
        change_from_data({"op": "melt"})


def test_an_unknown_kind_needs_its_path() -> None:
    """The message shows the kinds that are known."""
    with pytest.raises(BadInput, match=r"'Thing' is none of .*Node.*give root="):
        ObjectRef(kind="Thing", name="t")
