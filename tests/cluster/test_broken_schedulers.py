"""A real scheduler without its safeguards breaks the invariants that stand for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest


if TYPE_CHECKING:
    from collections.abc import Callable

# The stock scheduler with plugins switched off: for amounts and taints in the default
# profile, for gangs in one of its own, because without amounts a gang always fits.
CONFIG = """
import pytest


def profile(name, *plugins):
    disabled = [{"name": plugin} for plugin in plugins]
    return {"schedulerName": name, "plugins": {"multiPoint": {"disabled": disabled}}}


@pytest.fixture(scope="session")
def knav_cluster_config():
    careless = profile("default-scheduler", "NodeResourcesFit", "TaintToleration")
    return {"scheduler_config": {"profiles": [careless, profile("lone", %s)]}}
"""

MUTANTS = """
import time

import pytest
from pytest_knav import Gang, Job

pytestmark = pytest.mark.knav(nodes=2)


def test_capacity(cluster, chaos):
    work = cluster.submit(Job("work", completions=3, gpus_per_pod=8))
    cluster.wait_for(work.running, timeout="60s")


@pytest.mark.chaos(placement="0s", without="capacity")
def test_placement(cluster, chaos):
    taints = [{"key": "example.com/bad", "effect": "NoSchedule"}]
    for node in cluster.nodes:
        cluster.core.patch_node(node.name, {"spec": {"taints": taints}})
    work = cluster.submit(Job("work", completions=2))
    cluster.wait_for(work.running, timeout="60s")


@pytest.mark.chaos(gang="200ms")
def test_gang(cluster, chaos):
    first = cluster.submit(Job("first", completions=1, gpus_per_pod=8))
    cluster.wait_for(first.running, timeout="60s")
    gang = cluster.submit(
        Gang("gang", replicas=2, gpus_per_pod=8, scheduler_name="lone")
    )
    cluster.wait_for(gang.partially_bound, timeout="60s")
    time.sleep(0.3)
"""


# Controllers that ask nobody: pods of this scheduler are bound by the test alone.
ACTORS = """
import time
from datetime import UTC, datetime

import pytest
from kubernetes.client import BatchV1Api, ResourceV1Api, SchedulingV1Api, V1Binding
from pytest_knav import Deployment, Gang, Job, Manifest, Pod, pods_of
from pytest_knav.faults import ContainerExit

pytestmark = pytest.mark.knav(nodes=2)
NOBODY = "nobody"
RACK = "topology.kubernetes.io/rack"
BAD = {"key": "example.com/bad", "effect": "NoExecute"}


def bind(cluster, pod, node):
    body = {"metadata": {"name": pod}, "target": {"kind": "Node", "name": node}}
    cluster.core.create_namespaced_pod_binding(
        pod, "default", V1Binding.from_dict(body), _preload_content=False
    )


def made(cluster, workload, count):
    cluster.recorder.wait(lambda _: len(workload.pods) == count, 60, poll_s=0.1)
    return [pod.name for pod in workload.pods]


def evict(cluster, pod):
    # Without a time it is stale for kube-controller-manager, which takes it back.
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    reason = {"reason": "DeletionByTaintManager", "lastTransitionTime": since}
    condition = {"type": "DisruptionTarget", "status": "True", **reason}
    status = {"status": {"conditions": [condition]}}
    cluster.core.patch_namespaced_pod_status(pod, "default", status)
    cluster.core.delete_namespaced_pod(pod, "default")


def test_devices(cluster, chaos):
    api = ResourceV1Api(cluster.api)
    gpu = {"driver": "gpu.example.com", "pool": "n1", "device": "gpu-0"}
    wanted = {"name": "r", "exactly": {"deviceClassName": "gpu"}}
    status = {"allocation": {"devices": {"results": [{"request": "r", **gpu}]}}}
    for name in ("a", "b"):
        spec = {"devices": {"requests": [wanted]}}
        claim = {"metadata": {"name": name}, "spec": spec}
        api.create_namespaced_resource_claim("default", claim)
        api.patch_namespaced_resource_claim_status(name, "default", {"status": status})


@pytest.mark.chaos(once="200ms")
def test_once(cluster, chaos):
    work = cluster.submit(Job("work", completions=2))
    cluster.wait_for(work.running, timeout="60s")
    pod = cluster.core.read_namespaced_pod(work.pods[0].name, "default")
    kept = {k: v for k, v in pod.metadata.labels.items() if "controller-uid" not in k}
    containers = [{"name": "c", "image": "none"}]
    spec = {"nodeName": pod.spec.node_name, "containers": containers}
    twin = {"metadata": {"name": "twin", "labels": kept}, "spec": spec}
    cluster.core.create_namespaced_pod("default", twin)
    with pytest.raises(AssertionError):
        cluster.wait_for(work.finished, timeout="1s")


def test_lost_index(cluster, chaos):
    work = cluster.submit(Job("lost", completions=2))
    cluster.wait_for(work.running, timeout="60s")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = {"status": "True", "lastTransitionTime": now, "reason": "", "message": ""}
    ends = [{"type": one, **said} for one in ("SuccessCriteriaMet", "Complete")]
    counts = {"active": 0, "ready": 0, "terminating": 0, "succeeded": 2}
    done = {**counts, "completedIndexes": "0,1", "completionTime": now}
    body = {"status": {**done, "conditions": ends}}
    BatchV1Api(cluster.api).patch_namespaced_job_status("lost", "default", body)
    cluster.wait_for(work.finished, timeout="60s")


def test_topology(cluster, chaos):
    here, there = cluster.nodes
    label = {"metadata": {"labels": {RACK: "elsewhere"}}}
    cluster.core.patch_node(there.name, label)
    gang = cluster.submit(
        Gang("gang", replicas=2, topology_key=RACK, scheduler_name=NOBODY)
    )
    for pod, node in zip(made(cluster, gang, 2), (here, there)):
        bind(cluster, pod, node.name)


@pytest.mark.chaos(priority="200ms")
def test_priority(cluster, chaos):
    urgent = {"metadata": {"name": "urgent"}, "value": 1000}
    SchedulingV1Api(cluster.api).create_priority_class(urgent)
    first = Pod("first", priority_class="urgent", scheduler_name=NOBODY)
    waits = [cluster.submit(p) for p in (first, Pod("last", scheduler_name=NOBODY))]
    (_,), (last,) = (made(cluster, one, 1) for one in waits)
    time.sleep(0.3)
    bind(cluster, last, cluster.nodes[0].name)


def test_eviction(cluster, chaos):
    tolerates = {**BAD, "operator": "Exists", "tolerationSeconds": 60}
    containers = [{"name": "c", "image": "none"}]
    spec = {"containers": containers, "tolerations": [tolerates]}
    meta = {"name": "p", "labels": {"app": "p"}}
    source = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    pod = cluster.submit(Manifest(source, pods="app=p"))
    cluster.wait_for(pod.running, timeout="60s")
    cluster.core.patch_node(pod.nodes[0], {"spec": {"taints": [BAD]}})
    evict(cluster, "p")


@pytest.mark.chaos(settled="1s", recovery="1s")
def test_left_alone(cluster, chaos):
    served = cluster.submit(Deployment("served", replicas=1, scheduler_name=NOBODY))
    other = cluster.submit(Job("other", completions=1))
    (pod,) = made(cluster, served, 1)
    bind(cluster, pod, cluster.nodes[0].name)
    cluster.wait_for(served.running, other.running, timeout="60s")
    with chaos.inject(ContainerExit(pods_of(served))):
        cluster.core.delete_namespaced_pod(pod, "default")
        evict(cluster, other.pods[0].name)
"""

SAID = (
    # By a real scheduler without its plugins.
    "capacity: no node is given more than it has: fail",
    "placement: nothing on a failed, tainted or cordoned target",
    "gang: none partly bound for longer than 0.2s: fail",
    "whose pods then took 16 of 8 nvidia.com/gpu",
    "tainted with example.com/bad:NoSchedule",
    "had 1 of 2 members bound",
    # By controllers that ask nobody.
    "devices: none allocated to two claims at once: fail",
    "index 0 of Job work had two running pods for",
    "Job lost is Complete, and 2 of its indexes were never seen to succeed: 0, 1",
    "topology: members of a constrained workload share their place: fail",
    "where first (priority 1000) had fitted for",
    "which it tolerates for 60s",
    "which has none and was not hit",
    "Deployment served has 0 of 1 up",
    "Deployment served after ContainerExit: it did not come back for",
)


def test_what_careless_ones_do_is_found(project: Callable[..., Any]) -> None:
    """Each standing invariant fails by name where somebody breaks it for real."""
    config = CONFIG % '"GangScheduling"'
    broken = project(conftest=config, test_mutants=MUTANTS, test_actors=ACTORS)

    code, output = broken.run()

    assert code == pytest.ExitCode.TESTS_FAILED, output
    assert "10 failed" in output
    assert [said for said in SAID if said not in output] == []
