"""Slices of devices: one of each kind is judged, every node gets its own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_knav.control_plane.state import nodes, slices
from pytest_knav.topology import GpuSlot, Topology, make_topology
from pytest_knav.topology.devices import device_classes, resource_slices, with_dra


TOPOLOGY = with_dra(make_topology("dgx-h100", 5))


class Api:
    """An API server that adds a generation and a default to whatever it is given."""

    def __init__(self, *there: str) -> None:
        self.there = set(there)
        self.asked: list[str] = []
        self.created: list[str] = []

    def each(self, calls: Any) -> list[Any]:
        """Make calls."""
        return [call() for call in calls]

    def get_or_none(self, path: str) -> dict[str, Any] | None:
        """Return a DeviceClass that is there."""
        return {} if path.rpartition("/")[2] in self.there else None

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return what it makes of an object."""
        name = body["metadata"]["name"]
        (self.asked if "dryRun=All" in path else self.created).append(name)
        metadata = {**body["metadata"], "generation": 1, "uid": "of-the-question"}
        return {**body, "metadata": metadata, "spec": {**body["spec"], "added": True}}


def made(topology: Topology, api: Api, there: int = 1) -> dict[str, dict[str, Any]]:
    """Return the slices of a topology of which some nodes are there."""
    found = [
        {"metadata": {"name": n.name, "uid": f"uid-{n.name}"}}
        for n in topology.nodes[:there]
    ]
    copied = {
        nodes.PREFIX + n.name: json.dumps(
            {"metadata": {"uid": f"uid-{n.name}"}}
        ).encode()
        for n in topology.nodes[there:]
    }
    copied["/registry/leases/kube-node-lease/x"] = b"{}"
    values = slices.make(api, topology, found, copied)  # type: ignore[arg-type]
    return {key: json.loads(value) for key, value in values.items()}


def test_every_node_has_its_own_slice() -> None:
    """Those that are there and those to come; owned by them, and of their devices."""
    values = made(TOPOLOGY, Api(), there=2)

    for node in TOPOLOGY.nodes:
        [wanted] = resource_slices(node, f"uid-{node.name}")
        one = values[slices.PREFIX + wanted["metadata"]["name"]]
        owners = wanted["metadata"]["ownerReferences"]
        assert one["metadata"]["ownerReferences"] == owners
        assert one["spec"] == {**wanted["spec"], "added": True}
        assert one["metadata"]["generation"] == 1
        assert (one["apiVersion"], one["kind"]) == (
            "resource.k8s.io/v1",
            "ResourceSlice",
        )
    assert len(values) == 5


def test_no_slice_has_the_uid_of_another() -> None:
    """Nor that of the question."""
    uids = {one["metadata"]["uid"] for one in made(TOPOLOGY, Api()).values()}

    assert len(uids) == 5
    assert "of-the-question" not in uids


def test_the_api_server_is_asked_once_for_each_kind() -> None:
    """Also where a node has several slices; and nothing is made by asking."""
    slots = tuple(GpuSlot(pcie_root=i) for i in range(65))
    plain = make_topology("dgx-h100", 6)
    big = replace(plain.nodes[0].machine, gpus=slots)
    mixed = [replace(n, machine=big) if i % 2 else n for i, n in enumerate(plain.nodes)]
    api = Api()

    values = made(with_dra(replace(plain, nodes=tuple(mixed))), api)

    assert len(api.asked) == 1 + 2
    assert len(values) == 3 + 3 * 2
    assert not [name for name in api.created if name.startswith("dgx")]


def test_nodes_of_another_gpu_are_another_kind() -> None:
    """Although their Node objects look the same: their amounts hold no GPUs."""
    plain = make_topology("dgx-h100", 2)
    machine = plain.nodes[1].machine
    assert machine.gpu is not None
    other = replace(machine, gpu=replace(machine.gpu, compute=""))
    topology = replace(
        plain, nodes=(plain.nodes[0], replace(plain.nodes[1], machine=other))
    )
    api = Api()

    values = made(with_dra(topology), api)

    assert len(api.asked) == len(values) == 2


@pytest.mark.parametrize("there", [(), ("gpu.nvidia.com",)])
def test_classes_that_are_missing_are_made(there: tuple[str, ...]) -> None:
    """Twice made they would be refused."""
    api = Api(*there)

    made(TOPOLOGY, api)

    names = {one["metadata"]["name"] for one in device_classes(TOPOLOGY)}
    assert set(api.created) == names - set(there)


def test_without_dra_nothing_is_asked_and_nothing_made() -> None:
    """Most topologies have amounts."""
    api = Api()

    assert made(make_topology("dgx-h100", 2), api) == {}
    assert api.asked == api.created == []
