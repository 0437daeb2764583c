"""What runs in a real cluster as the load to begin with, and nothing that is secret."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_knav.errors import BadInput
from pytest_knav.topology.importers import (
    Anonymiser,
    import_nodes,
    load_of,
    read_tree,
)


DATA = Path(__file__).parent.parent / "data" / "importing"
SECRETS = ("aGZfdmVyeXNlY3JldA==", "local-1234567890abcdef", "secretKeyRef", "token")
# Every name of the two files that tells whose cluster it is.
NAMES = (
    "acme", "research", "serving", "gateway", "llama", "dcgm-exporter", "gpu-operator",
    "ip-10-", "us-east-2", "use2-az", "nn-", "7a1b2c3d", "8b2c3d4e", "9c3d4e5f",
    "trainer", "123456789012", "i-00", "sweep",
)  # fmt: skip


def items_of(name: str) -> list[dict[str, Any]]:
    """Return the objects of a file."""
    items: list[dict[str, Any]] = yaml.safe_load((DATA / name).read_text())["items"]
    return items


NODES = items_of("nodes.yaml")
LOAD = items_of("load.yaml")
NODE_NAMES = [node["metadata"]["name"] for node in NODES]


def loaded(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the load by kind and name."""
    found = load_of(objects, NODE_NAMES).objects
    return {f"{one['kind']} {one['metadata']['name']}": one for one in found}


def test_pods_are_bound_and_come_with_their_owners() -> None:
    """Job, ReplicaSet and Deployment are there with the uids that their pods name."""
    found = loaded(LOAD)

    job = found["Job llama-pretrain"]
    pod = found["Pod llama-pretrain-1-bx7q2"]
    replica_set = found["ReplicaSet gateway-6d4cf56db6"]
    deployment = found["Deployment gateway"]
    assert pod["spec"]["nodeName"] == NODE_NAMES[1]
    assert pod["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    assert pod["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    assert "uid" not in pod["metadata"]
    assert "status" not in pod
    assert job["status"] == {"active": 3, "ready": 3}
    assert "selector" not in job["spec"]
    owner = replica_set["metadata"]["ownerReferences"][0]
    assert owner["uid"] == deployment["metadata"]["uid"]


def test_pods_without_their_owner_stand_alone() -> None:
    """With a reference to somebody who is not there they would be collected."""
    pods = [one for one in LOAD if one["kind"] == "Pod"]

    found = load_of(pods, NODE_NAMES)

    assert len(found.objects) > 8
    for one in found.objects:
        assert "ownerReferences" not in one["metadata"]
        assert "finalizers" not in one["metadata"]
    assert any("pods of a Job stand alone" in note for note in found.notes)
    assert any("pods of a DaemonSet stand alone" in note for note in found.notes)


def test_no_secret_comes_along() -> None:
    """Neither the kind, nor environment, volumes, tokens, accounts or commands."""
    text = json.dumps(load_of(LOAD, NODE_NAMES).objects)

    assert '"Secret"' not in text
    assert not [secret for secret in SECRETS if secret in text]
    for field in ("env", "volumes", "volumeMounts", "serviceAccountName", "command"):
        assert f'"{field}"' not in text


def test_what_is_over_or_elsewhere_is_left_out_and_counted() -> None:
    """Finished, being deleted, on another node, of a kind that is no load."""
    leaving = copy.deepcopy(next(one for one in LOAD if one["kind"] == "Pod"))
    leaving["metadata"] |= {
        "name": "leaving",
        "deletionTimestamp": "2026-11-20T00:00:00Z",
    }
    away = copy.deepcopy(leaving)
    away["metadata"] = {"name": "away", "namespace": "research"}
    away["spec"]["nodeName"] = "elsewhere"
    done = copy.deepcopy(next(one for one in LOAD if one["kind"] == "Job"))
    done["metadata"]["name"] = "done"
    done["status"]["conditions"] = [{"type": "Complete", "status": "True"}]

    found = load_of([*LOAD, leaving, away, done], NODE_NAMES)

    assert dict(found.dropped) == {
        "Secret: no load": 1, "Job: finished": 1, "Pod: finished": 1,
        "Pod: being deleted": 1, "Pod: on a node that is not imported": 1,
        "ReplicaSet: without pods": 1,
    }  # fmt: skip


def test_what_pods_refer_to_is_made_where_it_is_missing() -> None:
    """Namespaces, and priority classes with the value that pods have of them."""
    pods = [one for one in LOAD if one["kind"] == "Pod"]

    found = loaded(pods)

    assert {"Namespace research", "Namespace serving"} <= found.keys()
    assert found["PriorityClass research-high"]["value"] == 100_000
    assert "PriorityClass system-node-critical" not in found


def test_a_deployment_without_its_replica_set_would_make_pods_anew() -> None:
    """So it is left out, and its pods stand alone."""
    some = [one for one in LOAD if one["kind"] != "ReplicaSet"]

    found = load_of(some, NODE_NAMES)

    assert not [one for one in found.objects if one["kind"] == "Deployment"]
    assert any("Deployment" in reason for reason in found.dropped)


def test_default_tolerations_are_those_of_the_simulated_cluster() -> None:
    """Its times are shorter than five minutes; others of the pod's own stay."""
    found = loaded(LOAD)

    tolerations = found["Pod llama-pretrain-0-ax7q2"]["spec"]["tolerations"]
    assert tolerations == [
        {"effect": "NoSchedule", "key": "nvidia.com/gpu", "operator": "Exists"}
    ]


def test_pods_that_wait_go_on_waiting() -> None:
    """Without a node, with what holds them back."""
    waiting = loaded(LOAD)["Pod sweep-waiting"]

    assert "nodeName" not in waiting["spec"]
    assert waiting["spec"]["schedulingGates"] == [{"name": "acme.example.com/budget"}]


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"kind": "Pod", "apiVersion": "v1", "metadata": {}}, "a Pod of the load has"),
        ({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}}, "Pod p is"),
        ({"kind": "ReplicaSet", "apiVersion": "apps/v1", "metadata": {"name": "r"},
          "spec": {"replicas": 1}}, "ReplicaSet r is not whole"),
        ({"kind": "Job", "apiVersion": "batch/v1", "metadata": {"name": "j"},
          "spec": {"template": {}}}, "Job j has no uid"),
    ],
)  # fmt: skip
def test_what_is_not_whole_is_named(item: dict[str, Any], says: str) -> None:
    """Kind and name are in the message."""
    with pytest.raises(BadInput, match=says):
        load_of([item], NODE_NAMES)


def anonymised(salt: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the nodes and the load with other names."""
    anonymiser = Anonymiser(salt)
    nodes = anonymiser.nodes(NODES)
    return nodes, anonymiser.load(load_of(LOAD, NODE_NAMES).objects)


def test_no_name_of_the_real_cluster_is_left() -> None:
    """In the nodes, the load, and what is said about them."""
    nodes, load = anonymised("salt")
    found = import_nodes(nodes, name="cluster")

    text = json.dumps([nodes, load]) + "\n".join(found.lines)

    assert not [name for name in NAMES if name in text.lower()]


def test_names_fit_together_after_they_were_replaced() -> None:
    """Pods are on nodes, selectors select, owners own, hostnames are the nodes'."""
    nodes, load = anonymised("salt")
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for one in load:
        by_kind.setdefault(one["kind"], []).append(one)
    names = {node["metadata"]["name"] for node in nodes}
    labels = [pod["metadata"].get("labels", {}) for pod in by_kind["Pod"]]
    on_nodes = {pod["spec"].get("nodeName") for pod in by_kind["Pod"]} - {None}
    budget = by_kind["PodDisruptionBudget"][0]["spec"]["selector"]["matchLabels"]
    job = by_kind["Job"][0]
    wanted = job["spec"]["template"]["spec"]["nodeSelector"].items()
    owned = [
        pod for pod in by_kind["Pod"]
        for owner in pod["metadata"].get("ownerReferences", ())
        if owner["uid"] == job["metadata"]["uid"]
    ]  # fmt: skip

    assert on_nodes <= names
    assert sum(budget.items() <= one.items() for one in labels) == 2
    assert len(owned) == 3
    assert all(
        pod["metadata"]["labels"]["controller-uid"] == job["metadata"]["uid"]
        for pod in owned
    )
    assert sum(wanted <= node["metadata"]["labels"].items() for node in nodes) == 4
    for node in nodes:
        assert node["metadata"]["labels"]["kubernetes.io/hostname"] in names
    classes = {one["metadata"]["name"] for one in by_kind["PriorityClass"]}
    assert job["spec"]["template"]["spec"]["priorityClassName"] in classes
    spaces = {one["metadata"]["name"] for one in by_kind["Namespace"]}
    assert {pod["metadata"]["namespace"] for pod in by_kind["Pod"]} <= spaces


def test_anonymised_it_is_the_same_cluster() -> None:
    """As many racks, GPUs and switches, of the same machines, with the same amounts."""
    nodes, _ = anonymised("salt")

    real, other = (import_nodes(n, name="t").topology for n in (NODES, nodes))

    assert other.machines == real.machines
    assert other.levels == real.levels
    assert [len(r.nodes) for r in other.racks] == [len(r.nodes) for r in real.racks]
    assert [n.capacity for n in other.nodes] == [n.capacity for n in real.nodes]
    assert [len(n.taints) for n in other.nodes] == [len(n.taints) for n in real.nodes]


def test_the_salt_decides_the_names() -> None:
    """The same salt gives the same, another one others."""
    first, again, other = (anonymised(salt)[0] for salt in ("a", "a", "b"))

    assert first == again
    assert first != other


def test_a_node_that_is_called_by_a_number_is_renamed() -> None:
    """Everywhere but where the number is an amount."""
    labels = {"kubernetes.io/hostname": "8", "nvidia.com/gpu.count": "8"}
    node = {"kind": "Node", "metadata": {"name": "8", "labels": labels}}

    found = Anonymiser("salt").nodes([node])[0]["metadata"]

    assert found["name"].startswith("node-")
    assert found["labels"]["kubernetes.io/hostname"] == found["name"]
    assert found["labels"]["nvidia.com/gpu.count"] == "8"


def test_a_policy_that_bare_pods_would_break_stays_behind() -> None:
    """Their security contexts are not carried."""
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "strict",
            "labels": {"pod-security.kubernetes.io/enforce": "restricted", "a": "b"},
        },
    }

    found = load_of([space], NODE_NAMES).objects

    assert found[0]["metadata"]["labels"] == {"a": "b"}


def test_what_keeps_its_value_is_listed() -> None:
    """Hardware and software; nobody has to find that out from the file."""
    anonymiser = Anonymiser("salt")

    anonymiser.nodes(NODES)

    assert "nvidia.com/gpu.product" in anonymiser.kept
    assert "node.kubernetes.io/instance-type" in anonymiser.kept
    assert "eks.amazonaws.com/nodegroup" not in anonymiser.kept


def test_trees_of_switches_can_be_anonymised() -> None:
    """Who shares a switch still does."""
    tree = read_tree("SwitchName=acme1 Nodes=acme-n[1-2]", "t", "slurm")

    found = Anonymiser("salt").tree(tree)

    assert "acme" not in repr(found.switches)
    assert found.switches[0].name.startswith("switch-")
    assert len({node for node in found.switches[0].nodes if "node-" in node}) == 2
