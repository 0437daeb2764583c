"""Loads on a real metrics-server: `kubectl top`, a change, and an autoscaler."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from pytest_knav import Deployment, Gang, Job, ramp
from pytest_knav.control_plane.assets import AssetStore


if TYPE_CHECKING:
    from pytest_knav import Cluster, Utilization
    from pytest_knav.fixtures.promql import Promql
    from pytest_knav.history import History

AUTOSCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web"},
    "spec": {
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "web",
        },
        "minReplicas": 2,
        "maxReplicas": 6,
        "metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 50},
                },
            }
        ],
    },
}
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"


def top(cluster: Cluster, what: str) -> dict[str, list[str]]:
    """Return the rows of `kubectl top`, by name."""
    kubectl = AssetStore.from_environment().path("kubectl")
    done = subprocess.run(
        [str(kubectl), f"--kubeconfig={cluster.kubeconfig}", "top", what],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [line.split() for line in done.stdout.splitlines()[1:]]
    return {name: values for name, *values in lines}


def millicores(row: list[str]) -> int:
    """Return the cores of a row of `kubectl top`."""
    return int(row[0].removesuffix("m"))


@pytest.mark.knav(
    topology="dgx-h100", nodes=2, utilization={"cpu": "40%", "memory": "3Gi"}
)
def test_kubectl_top_and_an_autoscaler_see_loads(
    cluster: Cluster, utilization: Utilization
) -> None:
    """Both show what was marked, then what is set, and scale up on a ramp."""
    web = cluster.submit(
        Deployment("web", replicas=2, cpus_per_pod=2, memory_gib_per_pod=4)
    )
    # What has ended is still there, and uses nothing any more.
    done = cluster.submit(Job("done", completions=1, run_for="1s"))
    cluster.wait_for(web.running, done.finished)
    first, second = web.pods
    utilization.set(second, cpu="100m")
    shown = utilization.wait_seen(web, within=0.05)
    pods, nodes = top(cluster, "pods"), top(cluster, "nodes")
    assert shown.near(utilization.of(web), 0.05)
    assert {name: row[1] for name, row in pods.items()} == {
        first.name: "3072Mi",
        second.name: "3072Mi",
    }
    assert millicores(pods[first.name]) == pytest.approx(800, rel=0.05)
    assert millicores(pods[second.name]) == pytest.approx(100, rel=0.05)
    assert sum(map(millicores, nodes.values())) == pytest.approx(900, rel=0.05)

    utilization.set(web, cpu=ramp("40%", "100%", over="5s"))
    cluster.plane.api.create(AUTOSCALERS, AUTOSCALER)

    def scaled(history: History) -> bool:
        found = history.get("Deployment", "default", "web")
        return found is not None and found["spec"]["replicas"] >= 4

    assert cluster.recorder.wait(scaled, 90)


@pytest.mark.knav(topology="dgx-h100", nodes=2, utilization={"gpu": "60%"})
def test_gpu_series_follow_loads(
    cluster: Cluster, utilization: Utilization, promql: Promql
) -> None:
    """A GPU is as busy as its pod or node is said to be, without metrics-server."""
    gang = cluster.submit(Gang("g", replicas=1, gpus_per_pod=8))
    cluster.wait_for(gang.running)
    (other,) = {node.name for node in cluster.nodes} - set(gang.nodes)
    utilization.set(other, gpu=5)
    promql.query("up")

    busy = promql.query("avg by (Hostname) (DCGM_FI_DEV_GPU_UTIL)")
    utilization.set(gang, gpu=20)
    promql.query("up")
    calm = promql.query('max(DCGM_FI_DEV_GPU_UTIL{pod!=""})')

    assert {s.labels["Hostname"]: s.value for s in busy} == {
        gang.nodes[0]: 60,
        other: 5,
    }
    assert [s.value for s in calm] == [20]
    assert "metrics-server" not in running(cluster)


def running(cluster: Cluster) -> set[str]:
    """Return the services of a cluster that run."""
    return {name for name, one in cluster.plane.services.items() if one.pid}


@pytest.mark.knav(topology="dgx-h100", nodes=2)
def test_loads_do_not_outlive_their_test(cluster: Cluster) -> None:
    """Neither objects nor metrics-server are there in the next test."""
    api = cluster.plane.api

    found = [
        api.get_or_none(f"/apis/{path}")
        for path in (
            "kwok.x-k8s.io/v1alpha1/metrics/pytest-knav-utilization",
            "kwok.x-k8s.io/v1alpha1/clusterresourceusages/pytest-knav-utilization",
            "apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io",
        )
    ]

    assert found == [None, None, None]
    assert "metrics-server" not in running(cluster)
