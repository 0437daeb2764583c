"""GPUs as devices on a real control plane: allocated, tainted, put back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav import Deployment, Gang, Manifest, Pod
from pytest_knav.control_plane.nodes import node_info
from pytest_knav.faults import NodeDeletion
from pytest_knav.faults.contract import check_fault
from pytest_knav.topology.devices import resource_slices


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster
    from pytest_knav.history import History
    from pytest_knav.workloads.handle import Handle

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=4, dra=True)

SLICES = "/apis/resource.k8s.io/v1/resourceslices"
MOVED_TIMEOUT_S = 60.0
CLAIMED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: claimed}
spec:
  selector: {matchLabels: {app: claimed}}
  template:
    metadata: {labels: {app: claimed}}
    spec:
      resourceClaims: [{name: gpu, resourceClaimTemplateName: near-numa-1}]
      containers:
      - {name: worker, image: none.invalid/x, resources: {claims: [{name: gpu}]}}
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: near-numa-1}
spec:
  spec:
    devices:
      requests:
      - name: gpu
        exactly:
          deviceClassName: gpu.nvidia.com
          selectors:
          - cel:
              expression: device.attributes["gpu.nvidia.com"].numaNode == 1
"""

COUNTED = """
apiVersion: v1
kind: Pod
metadata: {name: counted, labels: {app: counted}}
spec:
  containers:
  - {name: w, image: none.invalid/x, resources: {limits: {nvidia.com/gpu: 8}}}
"""


def slice_of(cluster: Cluster, node: str) -> dict[str, Any]:
    """Return the only slice of a node."""
    found = cluster.plane.api.get(SLICES, fieldSelector=f"spec.nodeName={node}")
    [one] = found["items"]
    return one


def taint(cluster: Cluster, gpu: str) -> None:
    """Taint the device that a GPU is, as a driver does that found it broken."""
    node, _, index = gpu.rpartition("/gpu-")
    one = slice_of(cluster, node)
    devices = one["spec"]["devices"]
    broken = {"key": "nvidia.com/xid", "value": "79", "effect": "NoExecute"}
    devices[int(index)]["taints"] = [broken]
    path = f"{SLICES}/{one['metadata']['name']}"
    cluster.plane.api.patch(path, {"spec": {"devices": devices}})


def await_elsewhere(cluster: Cluster, handle: Handle, gpu: str) -> None:
    """Wait until a workload has GPUs, and not a certain one."""

    def elsewhere(_: History) -> bool:
        return bool(handle.gpus) and gpu not in handle.gpus

    assert cluster.recorder.wait(elsewhere, MOVED_TIMEOUT_S), handle.all_pods
    cluster.wait_for(handle.running)


def test_a_gpu_is_an_object_that_can_fail(cluster: Cluster) -> None:
    """Claims and amounts take devices; a taint drives pods away; a reset heals it."""
    before = {n.name: slice_of(cluster, n.name) for n in cluster.topology.nodes}

    claimed = cluster.submit(Manifest(CLAIMED, pods="app=claimed"))
    counted = cluster.submit(Deployment("counted", replicas=2, gpus_per_pod=3))
    cluster.wait_for(claimed.running, counted.running)

    [first] = claimed.gpus
    assert int(first.rpartition("-")[2]) >= 4, "it sits on NUMA node 1"
    assert len(set(counted.gpus)) == 6
    assert first not in counted.gpus

    for handle in (claimed, counted):
        broken = handle.gpus[0]
        taint(cluster, broken)
        await_elsewhere(cluster, handle, broken)
        assert len(set(claimed.gpus + counted.gpus)) == 7

    cluster.reset()

    after = {n.name: slice_of(cluster, n.name) for n in cluster.topology.nodes}
    for one in (*before.values(), *after.values()):
        one["metadata"].pop("resourceVersion")
        one["metadata"].pop("managedFields", None)
    assert after == before


def test_a_gang_takes_whole_nodes_and_no_gpu_is_had_twice(cluster: Cluster) -> None:
    """Also where one pod asks for an amount, which the DeviceClass serves."""
    counted = cluster.submit(Manifest(COUNTED))
    cluster.wait_for(counted.running)
    gang = cluster.submit(Gang("llama", replicas=3, gpus_per_pod=8))
    cluster.wait_for(gang.running)

    late = cluster.submit(Pod("late", gpus_per_pod=1))
    cluster.wait_for(late.pending)

    assert len(set(counted.gpus)) == 8
    assert len(set(gang.gpus + counted.gpus)) == 32
    assert {gpu.partition("/")[0] for gpu in gang.gpus} == set(gang.nodes)
    assert late.gpus == []


def test_slices_that_were_copied_are_as_those_that_were_made(cluster: Cluster) -> None:
    """The API server shows what the topology says, in the form that it gave itself."""
    for spec in cluster.topology.nodes:
        node = cluster.plane.api.get(f"/api/v1/nodes/{spec.name}")
        found = slice_of(cluster, spec.name)

        [wanted] = resource_slices(spec, node["metadata"]["uid"])
        owners = wanted["metadata"]["ownerReferences"]
        assert found["metadata"]["ownerReferences"] == owners
        assert found["metadata"]["generation"] == 1
        assert _memory_plain(found["spec"]) == _memory_plain(wanted["spec"])
        assert "nvidia.com/gpu" not in node["status"]["capacity"]
        assert node_info(node).usable


def _memory_plain(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a slice's spec; the API server writes quantities in its own form."""
    text = json.loads(json.dumps(spec))
    for device in text["devices"]:
        del device["capacity"]
    return text


def test_a_replaced_node_offers_its_devices_again(
    cluster: Cluster, chaos: Chaos
) -> None:
    """Its slices went with the old node, and belong to the new one."""
    check_fault(NodeDeletion("dgx-h100-0001"), cluster, chaos)

    [owner] = slice_of(cluster, "dgx-h100-0001")["metadata"]["ownerReferences"]
    assert (
        owner["uid"]
        == cluster.plane.api.get("/api/v1/nodes/dgx-h100-0001")["metadata"]["uid"]
    )
