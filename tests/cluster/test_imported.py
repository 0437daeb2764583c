"""A real cluster, imported: the simulated one has its nodes and its load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parent.parent / "data" / "importing"
SUITE = """
from pathlib import Path

import pytest
import yaml
from kubernetes import client

DATA = Path({data!r})
NODES = yaml.safe_load((DATA / "nodes.yaml").read_text())["items"]
CORDON = "node.kubernetes.io/unschedulable"
pytestmark = pytest.mark.knav(topology="prod.yaml")


def pods(cluster):
    found = cluster.core.list_pod_for_all_namespaces().items
    return {{
        pod.metadata.name: (pod.status.phase, pod.spec.node_name, pod.metadata.uid)
        for pod in found
    }}


def looks_as_imported(cluster):
    read = cluster.api.sanitize_for_serialization(cluster.core.list_node().items)
    nodes = {{node["metadata"]["name"]: node for node in read}}
    assert len(nodes) == len(NODES)
    for real in NODES:
        node = nodes[real["metadata"]["name"]]
        labels = dict(node["metadata"]["labels"])
        del labels["pytest-knav/kubelet"]
        taints = [t for t in real["spec"].get("taints", []) if t["key"] != CORDON]
        assert labels == real["metadata"]["labels"]
        assert node["spec"].get("taints", []) == taints
        assert node["status"]["capacity"] == real["status"]["capacity"]
        assert node["status"]["allocatable"] == real["status"]["allocatable"]
    found = pods(cluster)
    bound = {{name: pod for name, pod in found.items() if pod[1]}}
    assert len(found) == 8
    assert {{pod[0] for pod in bound.values()}} == {{"Running"}}
    assert found["llama-pretrain-1-bx7q2"][1] == NODES[1]["metadata"]["name"]
    assert set(found) - set(bound) == {{"sweep-waiting"}}
    return found


def test_it_begins_with_the_load_and_stays_so(cluster):
    first = looks_as_imported(cluster)
    cluster.recorder.wait(lambda _: False, 5)
    assert pods(cluster) == first
    assert [r.name for r in cluster.history.records("Pod") if r.verb == "DELETED"] == []

    batch = client.BatchV1Api(cluster.api)
    batch.delete_namespaced_job("llama-pretrain", "research")
    Path("first.txt").write_text(repr(first))


def test_the_next_test_begins_with_it_again(cluster):
    assert repr(looks_as_imported(cluster)) == Path("first.txt").read_text()
    quota = cluster.core.read_namespaced_resource_quota("gpus", "research")
    assert quota.spec.hard == {{"requests.nvidia.com/gpu": "32"}}
    batch = client.BatchV1Api(cluster.api)
    job = batch.read_namespaced_job("llama-pretrain", "research")
    assert job.status.active == 3
    assert job.spec.template.spec.priority_class_name == "research-high"
"""


def test_an_imported_cluster_is_the_real_one(project: Callable[..., object]) -> None:
    """Labels, taints, amounts, pods Running; and so again after a reset."""
    made = project(test_it=SUITE.format(data=str(DATA)))
    command = [sys.executable, "-m", "pytest_knav", "topology", "import"]
    files = [str(DATA / "nodes.yaml"), "--load", str(DATA / "load.yaml")]
    subprocess.run(
        [*command, *files, "-o", "prod.yaml"], cwd=made.path, check=True, timeout=60
    )

    code, output = made.run("-q")

    assert code == 0, output
    assert "2 passed" in output
    assert made.left() == []
