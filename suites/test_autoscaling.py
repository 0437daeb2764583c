"""Autoscalers follow a load, also when what measures it dies and comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client, watch

from pytest_knav import Deployment, Manifest, ramp


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav import Chaos, Cluster, Utilization

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
        # By default an autoscaler adds four pods, or as many as there are, in 15 s.
        "maxReplicas": 6,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}},
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


def await_autoscaler(
    cluster: Cluster, good: Callable[[Any], bool], *, timeout_s: int = 90
) -> None:
    """Return once the autoscaler's status is as wanted."""
    autoscalers = client.AutoscalingV2Api(cluster.api)
    last = None
    events = watch.Watch()  # type: ignore[no-untyped-call]
    for event in events.stream(  # type: ignore[no-untyped-call]
        autoscalers.list_namespaced_horizontal_pod_autoscaler,
        "default",
        timeout_seconds=timeout_s,
    ):
        last = event["object"].status
        if good(last):
            return
    pytest.fail(f"after {timeout_s}s the autoscaler's status is still {last}")


def is_blind(status: client.V2HorizontalPodAutoscalerStatus) -> bool:
    """Return whether the autoscaler says that it has no metrics."""
    return any(
        condition.type == "ScalingActive" and condition.status == "False"
        for condition in status.conditions or ()
    )


@pytest.mark.knav(topology="dgx-h100", nodes=2, utilization={"cpu": "40%"})
def test_autoscaler_survives_the_loss_of_its_metrics(
    cluster: Cluster, utilization: Utilization, chaos: Chaos
) -> None:
    """It scales up on a ramp, keeps still while blind, and goes on afterwards."""
    web = cluster.submit(Deployment("web", replicas=2))
    cluster.wait_for(web.running)
    cluster.submit(Manifest(AUTOSCALER))
    utilization.set(web, cpu=ramp("40%", "100%", over="5s"))
    await_autoscaler(cluster, lambda status: status.current_replicas == 6)

    metrics_server = cluster.component("metrics-server")
    metrics_server.kill()
    utilization.set(web, cpu="5%")
    await_autoscaler(cluster, is_blind)
    while_blind = len(web.pods)
    metrics_server.restart()
    await_autoscaler(cluster, lambda status: status.current_replicas == 2)

    assert while_blind == 6
    chaos.expect.never(web.pending, longer_than="10s")
