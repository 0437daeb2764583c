"""Work of a higher priority: what it takes, and where it cannot come."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_knav.errors import BadInput
from pytest_knav.faults import PreemptingWork, World
from pytest_knav.topology import make_topology


NODE = "dgx-h100-0000"
GPU = "nvidia.com/gpu"
CLASSES = {
    "high": {"metadata": {"name": "high"}, "value": 1_000},
    "polite": {
        "metadata": {"name": "polite"},
        "value": 1_000,
        "preemptionPolicy": "Never",
    },
}


def pod(uid: str, *, gpus: int = 1, priority: int = 0, **more: Any) -> dict[str, Any]:
    """Return a pod on the node."""
    requests = {GPU: str(gpus)} if gpus else {"cpu": "1"}
    return {
        "metadata": {"namespace": "default", "name": uid, "uid": uid},
        "spec": {
            "nodeName": NODE,
            "priority": priority,
            "containers": [{"resources": {"requests": requests}}],
        },
        "status": {"phase": "Running", **more},
    }


def world(
    *pods: dict[str, Any], gpus: int = 8, ready: str = "True", dra: bool = False
) -> World:
    """Return a cluster with one node and pods on it."""
    node = {
        "metadata": {"name": NODE},
        "status": {
            "allocatable": {GPU: str(gpus)} if gpus else {},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }
    objects = {"Node": {NODE: node}, "Pod": {p["metadata"]["uid"]: p for p in pods}}
    history = SimpleNamespace(
        get=lambda kind, _space, name: objects[kind].get(name),
        latest=lambda kind: objects[kind],
    )
    api = SimpleNamespace(get=lambda _path: {"items": list(CLASSES.values())})
    topology = replace(make_topology("dgx-h100", 1), dra=dra)
    made = SimpleNamespace(
        history=history, topology=topology, plane=SimpleNamespace(api=api)
    )
    return cast("World", made)


def test_it_asks_for_all_gpus_of_its_node_and_fits_nowhere_else() -> None:
    """So that everything with GPUs there is in its way."""
    (change,) = PreemptingWork(NODE, "high").changes(world(), [NODE])

    spec = cast("Any", change).body["spec"]
    assert spec["containers"][0]["resources"]["requests"] == {GPU: "8"}
    assert spec["priorityClassName"] == "high"
    assert f"'values': ['{NODE}']" in str(spec["affinity"])


def test_pods_with_gpus_are_hit_and_others_stay() -> None:
    """What has ended holds no GPU either."""
    here = world(pod("a"), pod("b", gpus=0), pod("c", phase="Succeeded"))

    assert PreemptingWork(NODE).pods_hit(here, [NODE]) == {"a"}


@pytest.mark.parametrize(
    ("here", "name", "said"),
    [
        (world(), "none", "there is no PriorityClass 'none': use one of high, polite"),
        (world(), "polite", "polite has the preemptionPolicy Never"),
        (world(pod("a", priority=1_000)), "high", "default/a .* cannot be preempted"),
        (world(ready="Unknown"), "high", "takes no work now"),
        (world(gpus=0), "high", "it has no GPUs"),
        (world(gpus=0, dra=True), "high", "given by ResourceClaims"),
    ],
)
def test_where_it_cannot_come_is_said_before_anything_changes(
    here: World, name: str, said: str
) -> None:
    """With what is in the way."""
    with pytest.raises(BadInput, match=said):
        PreemptingWork(NODE, name).check(here, [NODE])


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ([], "no scheduler has looked at it"),
        ([{"type": "PodScheduled", "message": "0/4 nodes fit"}], "0/4 nodes fit"),
    ],
)
def test_work_that_nobody_places_is_explained(
    conditions: list[dict[str, str]], said: str
) -> None:
    """By what the scheduler says of it, if anything."""
    name = f"pytest-knav-preempting-{NODE}"
    waiting = {"metadata": {"name": name, "uid": name}, "spec": {}}
    here = world(waiting | {"status": {"conditions": conditions}})
    fault = PreemptingWork(NODE)

    seen, told = fault.signal(here, [NODE], 0.0, 0.0), fault.unseen(here, [NODE])

    assert seen is None
    assert told == f"the pod {name} is not bound: {said}"
