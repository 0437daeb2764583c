"""Systems beside and instead of the stock ones: an operator, another scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Deployment, System, node_of
from pytest_knav.faults import ComponentKill, ComponentPause, NodeCordon


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster

# It evicts pods from nodes with a NoSchedule taint, which a cordon brings.
POLICY = """
apiVersion: descheduler/v1alpha2
kind: DeschedulerPolicy
profiles:
- name: default
  pluginConfig:
  - name: DefaultEvictor
  - name: RemovePodsViolatingNodeTaints
  plugins:
    deschedule: {enabled: [RemovePodsViolatingNodeTaints]}
"""
DESCHEDULER = System(
    "descheduler",
    binary="asset:descheduler",
    args=[
        "--client-connection-kubeconfig={kubeconfig}",
        "--policy-config-file={dir}/policy.yaml",
        "--descheduling-interval=1s",
        "--bind-address=127.0.0.1",
        "--secure-port={port}",
        "--cert-dir={dir}",
    ],
    files={"policy.yaml": POLICY},
    ready="https://127.0.0.1:{port}/healthz",
)
# Instead of the stock one, for pods that name no scheduler: it fills nodes.
PACKING = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: "{kubeconfig}"}
profiles:
- plugins:
    score:
      disabled: [{name: "*"}]
      enabled: [{name: NodeResourcesFit}]
  pluginConfig:
  - name: NodeResourcesFit
    args:
      scoringStrategy:
        type: MostAllocated
        resources: [{name: nvidia.com/gpu, weight: 1}]
"""
INSTEAD = System(
    "instead",
    binary="asset:kube-scheduler",
    args=[
        "--config={dir}/scheduler.yaml",
        "--secure-port={port}",
        "--bind-address=127.0.0.1",
    ],
    files={"scheduler.yaml": PACKING},
    ready="https://127.0.0.1:{port}/readyz",
    replaces=["kube-scheduler"],
)

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=4)


@pytest.mark.knav(system=DESCHEDULER)
def test_an_operator_acts_where_the_scheduler_does_not(
    cluster: Cluster, chaos: Chaos
) -> None:
    """It moves work from a cordoned node, after it was killed in the middle as well."""
    work = cluster.submit(Deployment("work", replicas=4, gpus_per_pod=2))
    cluster.wait_for(work.running)

    with chaos.inject(NodeCordon(node_of(work))) as cordon:
        with chaos.inject(ComponentKill("descheduler")):
            pass

        assert cluster.recorder.wait(
            lambda _: len(work.nodes) == 4 and cordon.targets.isdisjoint(work.nodes),
            60.0,
        )


@pytest.mark.knav(system=INSTEAD)
def test_a_scheduler_takes_the_place_of_the_stock_one(
    cluster: Cluster, chaos: Chaos
) -> None:
    """Nobody else places pods; held, it places none, and then as it is configured."""
    assert not cluster.component("kube-scheduler").running

    with chaos.inject(ComponentPause("instead")):
        work = cluster.submit(Deployment("work", replicas=4, gpus_per_pod=2))
        cluster.wait_for(work.pending)
        assert work.nodes == []

    cluster.wait_for(work.running)
    assert len(set(work.nodes)) == 1
