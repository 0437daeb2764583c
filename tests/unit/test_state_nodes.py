"""Copies of finished nodes: what is their own is their own, the rest the model's."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_knav.control_plane.api import ApiRefusedError
from pytest_knav.control_plane.state import leases, nodes
from pytest_knav.topology import NodeSpec, Topology, make_topology


if TYPE_CHECKING:
    from collections.abc import Callable

TTL = "node.alpha.kubernetes.io/ttl"
METRICS = "metrics.k8s.io/resource-metrics-path"
BORN = "2026-01-01T00:00:00Z"
NOW = 1_767_312_000.5
TOPOLOGY = make_topology("dgx-h100", 6)


def finished(spec: NodeSpec, **labels: str) -> dict[str, Any]:
    """Return a node as the API server, KWOK and others have left it."""
    made = nodes.manifest_of(spec)
    made["metadata"] |= {
        "uid": f"uid-{spec.name}",
        "resourceVersion": "77",
        "creationTimestamp": BORN,
    }
    made["metadata"]["labels"] |= {"beta.kubernetes.io/os": "linux", **labels}
    made["metadata"]["annotations"][TTL] = "0"
    made["spec"] = {"podCIDR": "10.0.0.0/24"}
    made["status"] |= {
        "addresses": [
            {"type": "InternalIP", "address": "10.1.2.3"},
            {"type": "Hostname", "address": spec.name},
        ],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    return made


def copied(
    topology: Topology = TOPOLOGY, models: list[dict[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """Return what is made of all nodes but the first, which is the model."""
    models = [finished(topology.nodes[0])] if models is None else models
    have = {model["metadata"]["name"] for model in models}
    missing = [node.name for node in topology.nodes if node.name not in have]
    values = nodes.copies(topology, missing, models, lease_s=40.0)
    return {key: json.loads(value) for key, value in values.items()}


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)


def test_each_missing_node_is_made_with_its_lease() -> None:
    """And nothing else: the model is there already."""
    names = [node.name for node in TOPOLOGY.nodes[1:]]

    made = copied()

    wanted = {prefix + n for prefix in (nodes.PREFIX, leases.PREFIX) for n in names}
    assert made.keys() == wanted
    assert nodes.copies(TOPOLOGY, [], [], lease_s=40.0) == {}


def test_a_copy_is_what_its_own_manifest_says() -> None:
    """Its name, labels and annotations are as if it had been made the usual way."""
    made = copied()

    for spec in TOPOLOGY.nodes[1:]:
        node, manifest = made[nodes.PREFIX + spec.name], nodes.manifest_of(spec)
        metadata = node["metadata"]
        assert metadata["name"] == spec.name
        assert metadata["labels"].items() >= manifest["metadata"]["labels"].items()
        assert metadata["annotations"][METRICS].split("/")[3] == spec.name
        assert node["status"]["capacity"] == manifest["status"]["capacity"]


def test_what_others_added_to_the_model_is_copied() -> None:
    """Labels, spec and conditions, but not what the API server gives to each object."""
    model = finished(TOPOLOGY.nodes[0], **{"example.org/of-a-controller": "yes"})

    made = copied(models=[model])[nodes.PREFIX + TOPOLOGY.nodes[5].name]

    added = {"beta.kubernetes.io/os": "linux", "example.org/of-a-controller": "yes"}
    own = nodes.manifest_of(TOPOLOGY.nodes[5])["metadata"]["labels"]
    assert made["metadata"]["labels"] == {**own, **added}
    assert made["spec"] == model["spec"]
    assert made["status"]["conditions"] == model["status"]["conditions"]
    assert made["metadata"]["creationTimestamp"] == "2026-01-02T00:00:00Z"
    assert "resourceVersion" not in made["metadata"]


def test_labels_of_ours_are_not_the_models() -> None:
    """Also where somebody has changed one of them on the model."""
    first, last = TOPOLOGY.nodes[0], TOPOLOGY.nodes[5]
    model = finished(first, **{"kubernetes.io/hostname": "changed"})

    labels = copied(models=[model])[nodes.PREFIX + last.name]["metadata"]["labels"]

    assert labels["kubernetes.io/hostname"] == last.name
    assert labels["topology.kubernetes.io/rack"] == last.rack != first.rack


def test_the_hostname_is_the_nodes_own() -> None:
    """Every other address is KWOK's, the same for all."""
    name = TOPOLOGY.nodes[3].name

    made = copied()[nodes.PREFIX + name]

    assert made["status"]["addresses"] == [
        {"type": "InternalIP", "address": "10.1.2.3"},
        {"type": "Hostname", "address": name},
    ]


def test_no_uid_is_there_twice() -> None:
    """Neither among nodes and leases, nor is the model's taken."""
    made = copied()

    uids = {value["metadata"]["uid"] for value in made.values()}

    assert len(uids) == len(made) == 10
    assert "uid-dgx-h100-0000" not in uids


def test_a_lease_is_owned_by_its_node_and_held_by_nobody() -> None:
    """Fresh, in the form in which KWOK takes it at once."""
    name = TOPOLOGY.nodes[1].name

    values = nodes.copies(TOPOLOGY, [name], [finished(TOPOLOGY.nodes[0])], lease_s=8.0)

    node = json.loads(values[nodes.PREFIX + name])
    stored = values[leases.PREFIX + name]
    lease = json.loads(stored)
    assert lease["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "name": name,
            "uid": node["metadata"]["uid"],
        }
    ]
    assert (lease["metadata"]["name"], lease["metadata"]["namespace"]) == (
        name,
        "kube-node-lease",
    )
    assert lease["spec"].keys() == {"leaseDurationSeconds", "renewTime"}
    assert lease["spec"]["leaseDurationSeconds"] == 8
    assert leases.renewed_at(stored) == NOW


def test_the_model_is_not_changed() -> None:
    """The copies share nothing with it."""
    model = finished(TOPOLOGY.nodes[0])
    before = copy.deepcopy(model)

    copied(models=[model])

    assert model == before


def test_a_model_that_a_list_gave_without_its_kind_becomes_whole() -> None:
    """A stored object must say what it is; an item of a list does not."""
    model = finished(TOPOLOGY.nodes[0])
    del model["apiVersion"], model["kind"]

    made = copied(models=[model])[nodes.PREFIX + TOPOLOGY.nodes[1].name]

    assert (made["apiVersion"], made["kind"]) == ("v1", "Node")


@pytest.mark.parametrize(
    ("count", "seconds"),
    [
        (1, 0),
        (100, 0),
        (101, 15),
        (500, 15),
        (501, 30),
        (1_000, 30),
        (1_001, 60),
        (2_000, 60),
        (2_001, 300),
        (10_000, 300),
        (10_001, 600),
        (20_000, 600),
    ],
)
def test_the_ttl_steps_where_the_controller_steps(count: int, seconds: int) -> None:
    """With the number of nodes, the border itself belonging to the smaller step."""
    assert nodes.ttl_s(count) == seconds


def test_the_ttl_is_of_the_whole_cluster_and_not_of_the_model() -> None:
    """When the model was made it was alone."""
    topology = make_topology("dgx-h100", 101)

    made = copied(topology)

    annotations = [
        value["metadata"]["annotations"]
        for key, value in made.items()
        if key.startswith(nodes.PREFIX)
    ]
    assert {own[TTL] for own in annotations} == {"15"}


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 200))
def test_nodes_of_a_preset_are_of_one_shape(count: int) -> None:
    """Names, racks and zones make no difference, so one model is enough."""
    shapes = {nodes.shape(node) for node in make_topology("dgx-h100", count).nodes}

    assert len(shapes) == 1


def other_machine(**changes: Any) -> dict[str, Any]:
    """Return the field of a node that stands for another machine."""
    return {"machine": replace(TOPOLOGY.nodes[1].machine, **changes)}


def relabelled(**changes: str | None) -> dict[str, Any]:
    """Return the labels of a node with some changed, or gone."""
    labels = dict(TOPOLOGY.nodes[1].labels)
    labels |= {k.replace("__", "/"): v for k, v in changes.items() if v is not None}
    gone = {k.replace("__", "/") for k, v in changes.items() if v is None}
    return {"labels": tuple((k, v) for k, v in labels.items() if k not in gone)}


@pytest.mark.parametrize(
    "difference",
    [
        other_machine(gpu=None, gpus=()),
        other_machine(mig=(("1g.10gb", 7),)),
        {"capacity": (("rdma/hca", "8"),)},
        {"allocatable": (("nvidia.com/gpu", ""),)},
        {"capacity": (("memory", "lots"),)},
        {"taints": (("gpu", "", "NoSchedule"),)},
        relabelled(**{"kubernetes.io__arch": "arm64"}),
        relabelled(**{"kubernetes.io__os": None}),
    ],
    ids=[
        "no GPUs", "MIG", "capacity", "allocatable", "unreadable", "taints",
        "architecture", "no system",
    ],
)  # fmt: skip
def test_what_a_copy_could_not_change_makes_another_shape(
    difference: dict[str, Any],
) -> None:
    """Kinds of amounts, taints, and labels that make a controller add others."""
    node = TOPOLOGY.nodes[1]

    assert nodes.shape(replace(node, **difference)) != nodes.shape(node)


@pytest.mark.parametrize(
    "difference",
    [
        {"labels": (*TOPOLOGY.nodes[1].labels, ("example.org/of-this-node", ""))},
        {"annotations": (("example.org/note", "x"),)},
        other_machine(name="another"),
        other_machine(gpus=TOPOLOGY.nodes[1].machine.gpus[:4], cpus=8, memory_gib=64),
        {"capacity": (("memory", "2113557724Ki"), ("cpu", "191.5"))},
    ],
    ids=["labels", "annotations", "machine", "smaller", "amounts"],
)
def test_what_is_a_nodes_own_makes_no_shape(difference: dict[str, Any]) -> None:
    """Else a thousand nodes with a label each would be made one by one."""
    node = TOPOLOGY.nodes[1]

    assert nodes.shape(replace(node, **difference)) == nodes.shape(node)


def test_a_copy_has_the_amounts_of_its_own() -> None:
    """Machines of one kind differ by a little; what others added stays."""
    own = replace(TOPOLOGY.nodes[1], capacity=(("memory", "2113557724Ki"),))
    topology = replace(TOPOLOGY, nodes=(TOPOLOGY.nodes[0], own))
    model = finished(TOPOLOGY.nodes[0])
    model["status"]["capacity"] = {**model["status"]["capacity"], "added": "1"}

    made = copied(topology, [model])[nodes.PREFIX + own.name]["status"]

    assert made["capacity"]["memory"] == made["allocatable"]["memory"] == "2113557724Ki"
    assert made["capacity"]["added"] == "1"
    assert "added" not in made["allocatable"]


def test_a_copy_has_the_labels_that_are_its_own_alone() -> None:
    """Also such as the model lacks, and none of the model's own."""
    own = [
        replace(node, labels=(*node.labels, (f"example.org/{node.name}", "yes")))
        for node in TOPOLOGY.nodes[:2]
    ]
    topology = replace(TOPOLOGY, nodes=tuple(own))

    made = copied(topology, [finished(own[0])])[nodes.PREFIX + own[1].name]

    labels = made["metadata"]["labels"]
    assert labels[f"example.org/{own[1].name}"] == "yes"
    assert f"example.org/{own[0].name}" not in labels


@pytest.mark.parametrize(
    ("labels", "complete"),
    [
        ({}, True),
        ({"kubernetes.io/os": "linux"}, False),
        ({"kubernetes.io/os": "linux", "beta.kubernetes.io/os": "linux"}, True),
        ({"kubernetes.io/arch": "arm64"}, False),
    ],
)
def test_only_labels_that_come_are_awaited(
    labels: dict[str, str], *, complete: bool
) -> None:
    """An imported node may lack those from which a controller makes them."""
    spec = replace(TOPOLOGY.nodes[0], labels=())
    node = finished(spec)
    node["metadata"]["labels"] = labels

    assert nodes._finished(node, spec) is complete


def test_a_node_with_a_taint_of_its_own_is_finished() -> None:
    """What it is meant to have is no sign that something is still to come."""
    taints = (("gpu", "only", "NoSchedule"),)
    spec = replace(TOPOLOGY.nodes[0], labels=(), taints=taints)
    node = finished(spec)
    node["spec"]["taints"] = [{"key": "gpu", "value": "only", "effect": "NoSchedule"}]
    young = json.loads(json.dumps(node))
    young["spec"]["taints"].append(
        {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    )

    assert nodes._finished(node, spec)
    assert not nodes._finished(young, spec)


def test_the_order_of_labels_makes_no_shape() -> None:
    """They are a mapping."""
    node = TOPOLOGY.nodes[1]
    turned = replace(node, labels=node.labels[::-1])

    assert nodes.shape(turned) == nodes.shape(node)


def test_each_node_is_copied_from_a_model_of_its_shape() -> None:
    """Two shapes in one topology do not mix, in whatever order their models come."""
    small = [
        replace(node, **other_machine(gpus=(), cpus=8, memory_gib=64))
        for node in make_topology("dgx-h100", 3).nodes
    ]
    small = [replace(node, name=f"small-{i}") for i, node in enumerate(small)]
    big = list(TOPOLOGY.nodes[:3])
    topology = replace(TOPOLOGY, nodes=(*big, *small))
    models = [finished(small[0], size="small"), finished(big[0], size="big")]

    made = copied(topology, models)

    for spec, size in [(big[1], "big"), (big[2], "big"), (small[2], "small")]:
        node = made[nodes.PREFIX + spec.name]
        assert node["metadata"]["labels"]["size"] == size
        assert node["status"]["capacity"]["cpu"] == str(spec.cpus)
        assert ("nvidia.com/gpu" in node["status"]["allocatable"]) is (size == "big")


def test_nodes_of_nobodys_topology_are_no_models() -> None:
    """A user's own node is left alone, whatever it looks like."""
    stranger = finished(replace(TOPOLOGY.nodes[0], name="stranger"), mine="yes")

    made = copied(models=[stranger, finished(TOPOLOGY.nodes[0])])

    assert not [
        key
        for key, value in made.items()
        if "mine" in value["metadata"].get("labels", {})
    ]


class ForgetfulKwok:
    """An API server whose KWOK plays a node only once it has a lease."""

    def __init__(self, *, answers: int = 201) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.leases: dict[str, dict[str, Any]] = {}
        self.answers = answers

    def each(self, calls: Any) -> list[Any]:
        """Make calls."""
        return [call() for call in calls]

    def create(self, path: str, body: dict[str, Any]) -> None:
        """Make a node or a lease."""
        name = body["metadata"]["name"]
        if path == "/api/v1/nodes":
            self.nodes[name] = body
            return
        self.leases[name] = body
        if self.answers != 201:
            raise ApiRefusedError("POST", path, self.answers, "no")

    def get(self, path: str) -> dict[str, Any]:
        """Return a node, finished if it has a lease."""
        name = path.rpartition("/")[2]
        if name in self.leases:
            return finished(by_name(name))
        body = self.nodes[name]
        return {**body, "metadata": {**body["metadata"], "uid": f"uid-{name}"}}

    def get_or_none(self, path: str) -> dict[str, Any] | None:
        """Return a lease."""
        return self.leases.get(path.rpartition("/")[2])


def by_name(name: str) -> NodeSpec:
    """Return a node of the topology as others have left it."""
    return TOPOLOGY.node(name)


def make_model(api: Any, revive: Callable[[], None] = pytest.fail) -> None:
    """Make the model of one kind of nodes."""
    name = TOPOLOGY.nodes[2].name
    nodes.make_models(api, TOPOLOGY, [name], lease_s=8.0, revive=revive)


@pytest.mark.parametrize("answers", [201, 409])
def test_a_node_that_kwok_forgets_gets_a_lease(
    monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    """Owned by the node; if KWOK is quicker that is as well."""
    monkeypatch.setattr(nodes, "_FORGOTTEN_S", 0.0)
    monkeypatch.setattr(nodes, "_ADDED_LABELS", {})
    api: Any = ForgetfulKwok(answers=answers)

    make_model(api)

    [lease] = api.leases.values()
    assert lease["metadata"]["ownerReferences"][0]["uid"] == "uid-dgx-h100-0002"
    assert "holderIdentity" not in lease["spec"]


def test_a_lease_that_is_refused_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only that there is one already is none."""
    monkeypatch.setattr(nodes, "_FORGOTTEN_S", 0.0)
    api: Any = ForgetfulKwok(answers=403)

    with pytest.raises(ApiRefusedError, match="403"):
        make_model(api)


def test_a_kwok_that_plays_nobody_is_started_afresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When not even a lease helps."""
    monkeypatch.setattr(nodes, "_FORGOTTEN_S", 0.0)
    monkeypatch.setattr(nodes, "_ADDED_LABELS", {})
    monkeypatch.setattr(nodes, "_give_lease", lambda *_: None)
    api: Any = ForgetfulKwok(answers=201)
    name = TOPOLOGY.nodes[2].name

    make_model(api, revive=lambda: api.leases.update({name: {}}))

    assert name in api.leases
