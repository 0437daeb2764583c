"""Events that faults write, device slices that come back, and what comes later."""

from __future__ import annotations

import json
import time
from threading import Event
from typing import Any

import pytest

from pytest_knav.control_plane.changes import (
    ObjectRef,
    Report,
    Withdraw,
    change_from_data,
    node,
)
from pytest_knav.errors import HarnessError
from pytest_knav.faults import NodeCordon, NodeNotReady
from pytest_knav.faults.contract import difference
from pytest_knav.plans.active import ActiveFault, Moment
from pytest_knav.plans.actor import Actor


NODE = "/api/v1/nodes/a"
SLICE = "/apis/resource.k8s.io/v1/resourceslices/a-gpu"
REPORT = Report(
    ref=node("a"), uid="a", component="kubelet", reason="NodeNotReady", message="it is"
)


class Store:
    """An API server's objects by path, and a plane that leads to them."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.api = self

    def get_or_none(self, path: str) -> Any:
        """Return an object."""
        return self.objects.get(path)

    def create(self, path: str, body: Any) -> Any:
        """Make one."""
        metadata = {**body["metadata"], "resourceVersion": "7"}
        made = {**body, "metadata": metadata}
        self.objects[f"{path}/{metadata['name']}"] = made
        return made

    def patch_or_none(self, path: str, body: Any) -> Any:
        """Change one."""
        self.objects[path] = {**self.objects[path], **body}
        return self.objects[path]

    def delete(self, path: str) -> None:
        """Take one away."""
        self.objects.pop(path, None)


def machine(uid: str) -> dict[str, Any]:
    """Return a Node object."""
    return {"metadata": {"name": "a", "uid": uid, "resourceVersion": "1"}}


def owned_by(uid: str) -> dict[str, Any]:
    """Return its slice."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": "a", "uid": uid}
    metadata = {"name": "a-gpu", "resourceVersion": "2", "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": {"devices": [{"name": "gpu-0"}]}}


class TestReport:
    """An Event as its component would write it."""

    def test_says_who_and_what(self) -> None:
        """About the object, in its namespace or the default one."""
        plane: Any = Store()

        REPORT.apply(plane)

        [(path, event)] = plane.objects.items()
        assert path.startswith("/api/v1/namespaces/default/events/a.")
        assert event["involvedObject"] == {"kind": "Node", "name": "a", "uid": "a"}
        assert event["source"]["component"] == "kubelet"
        assert (event["reason"], event["type"]) == ("NodeNotReady", "Warning")

    def test_said_again_is_counted(self) -> None:
        """As a component's recorder does it: one object, not two."""
        plane: Any = Store()

        REPORT.apply(plane)
        REPORT.apply(plane)

        [event] = plane.objects.values()
        assert event["count"] == 2

    def test_is_in_nobodys_way(self) -> None:
        """A log is not taken back, and two faults may write into it."""
        plane: Any = Store()

        assert not REPORT.inverse(plane)
        assert not REPORT.claims

    def test_of_a_kubelet(self) -> None:
        """A node that is not ready says so in an Event of its kubelet."""
        world: Any = None

        made = NodeNotReady("a").changes(world, ["a"])

        [event] = [change for change in made if isinstance(change, Report)]
        assert event.describe() == "Event NodeNotReady of kubelet about Node a"


class TestSlices:
    """The devices of a node that is replaced."""

    def test_come_back_with_the_new_node(self) -> None:
        """A slice that belonged to the old one would be collected as garbage."""
        plane: Any = Store()
        plane.objects = {NODE: machine("old"), SLICE: owned_by("old")}
        gone = Withdraw(ref=ObjectRef(kind="ResourceSlice", name="a-gpu"), node="a")
        [back] = gone.inverse(plane)

        gone.apply(plane)
        assert SLICE not in plane.objects
        plane.objects[NODE] = machine("new")
        back.apply(plane)

        [owner] = plane.objects[SLICE]["metadata"]["ownerReferences"]
        assert owner["uid"] == "new"
        assert plane.objects[SLICE]["spec"] == owned_by("old")["spec"]

    def test_a_slice_of_the_old_node_is_made_anew(self) -> None:
        """Where the garbage collector has not come by yet; twice is harmless."""
        plane: Any = Store()
        plane.objects = {NODE: machine("old"), SLICE: owned_by("old")}
        gone = Withdraw(ref=ObjectRef(kind="ResourceSlice", name="a-gpu"), node="a")
        [back] = gone.inverse(plane)
        plane.objects[NODE] = machine("new")

        back.apply(plane)
        made = plane.objects[SLICE]
        back.apply(plane)

        assert made["metadata"]["ownerReferences"][0]["uid"] == "new"
        assert plane.objects[SLICE] is made

    def test_is_written_down_for_the_journal(self) -> None:
        """What takes it back can be read again."""
        plane: Any = Store()
        plane.objects = {NODE: machine("old"), SLICE: owned_by("old")}
        gone = Withdraw(ref=ObjectRef(kind="ResourceSlice", name="a-gpu"), node="a")

        for change in (gone, *gone.inverse(plane), REPORT):
            data = json.loads(json.dumps(change.as_data()))
            assert change_from_data(data) == change


class Slow(NodeCordon):
    """A fault that writes down when it acts."""

    acted: Event

    def act(self, *_: Any) -> None:
        """Note it."""
        Slow.acted.set()


class TestLater:
    """Changes that come some time after the beginning."""

    def test_are_made_in_their_time(self) -> None:
        """And then the fault acts, if it does."""
        plane: Any = Store()
        Slow.acted = Event()
        late = change_from_data({**REPORT.as_data(), "after_s": 0.05})

        actor = Actor(Slow("a"), type("C", (), {"plane": plane})(), ["a"], "", [late])
        begun_s = time.monotonic()
        assert Slow.acted.wait(10)
        took_s = time.monotonic() - begun_s
        actor.close()

        assert len(plane.objects) == 1
        assert took_s > 0.03

    def test_are_left_out_when_the_fault_is_cleared_first(self) -> None:
        """Nobody reports what is over."""
        plane: Any = Store()
        late = change_from_data({**REPORT.as_data(), "after_s": 3600.0})

        actor = Actor(
            NodeCordon("a"), type("C", (), {"plane": plane})(), [], "", [late]
        )
        actor.close()

        assert not plane.objects

    def test_an_error_in_them_is_told(self) -> None:
        """By whoever clears the fault."""
        late = change_from_data({**REPORT.as_data(), "after_s": 0.01})
        broken = type("C", (), {"plane": None})()

        actor = Actor(NodeCordon("a"), broken, [], "", [late])
        actor._thread.join(10)

        with pytest.raises(HarnessError, match="stopped acting"):
            actor.close()

    def test_the_beginning_is_what_comes_at_once(self) -> None:
        """Where all comes later, that is the beginning."""
        late = change_from_data({**REPORT.as_data(), "after_s": 30.0})

        both, alone = active(REPORT, late), active(late)

        assert (list(both.begun), list(both.late), both.late_s) == (
            [REPORT],
            [late],
            30,
        )
        assert list(alone.begun) == [late]


def active(*changes: Any) -> ActiveFault:
    """Return a fault with some changes."""
    return ActiveFault(
        id="f1",
        fault=NodeCordon("a"),
        targets=frozenset("a"),
        nodes=frozenset(),
        pods=frozenset(),
        changes=changes,
        undo=(),
        started_at=Moment(monotonic_s=0.0, wall_s=0.0, revision=1),
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"x": 1}, {"x": 1}, ""),
        ({"port 1 of etcd": 1}, {}, "port 1 of etcd: 1 became None"),
        (
            {"n": {"spec": [{"a": 1}]}},
            {"n": {"spec": [{"a": 2}]}},
            "n.spec[0].a: 1 bec",
        ),
        ({"n": [1]}, {"n": [1, 2]}, "n: [1] became [1, 2]"),
    ],
)
def test_what_is_left_is_named(before: Any, after: Any, said: str) -> None:
    """By the place where it differs, not by the whole object."""
    found = difference(before, after)

    assert found.startswith(said)
    assert bool(found) == bool(said)
