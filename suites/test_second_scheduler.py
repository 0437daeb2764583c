"""A scheduler of your own: here a second kube-scheduler with another configuration."""

import pytest

from pytest_knav import (
    Chaos,
    Cluster,
    Deployment,
    Gang,
    Pod,
    System,
    between,
    node_of,
)
from pytest_knav.faults import BlackHole, ComponentKill, NodeCrash


# It fills nodes instead of spreading pods over them. The same file could start your
# own binary: binary="bin/my-scheduler".
PACKING = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: "{kubeconfig}"}
profiles:
- schedulerName: packing
  plugins:
    score:
      disabled: [{name: "*"}]
      enabled: [{name: NodeResourcesFit}]
  pluginConfig:
  - name: NodeResourcesFit
    args:
      scoringStrategy:
        type: MostAllocated
        resources: [{name: cpu, weight: 1}, {name: nvidia.com/gpu, weight: 10}]
"""
SECOND = System(
    "packing",
    binary="asset:kube-scheduler",
    args=[
        "--config={dir}/scheduler.yaml",
        "--secure-port={port}",
        "--bind-address=127.0.0.1",
        # Gangs are alpha in 1.36 (KEP-4671).
        "--feature-gates=GenericWorkload=true,GangScheduling=true",
    ],
    files={"scheduler.yaml": PACKING},
    ready="https://127.0.0.1:{port}/readyz",
    scheduler_name="packing",
)

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=8, system=SECOND)


def test_the_second_scheduler_packs_what_it_is_given(cluster: Cluster) -> None:
    """Eight pods of one GPU share one node; the stock scheduler would spread them."""
    packed = cluster.submit(Deployment("packed", replicas=8, gpus_per_pod=1))

    cluster.wait_for(packed.running, timeout="60s")

    assert len(set(packed.nodes)) == 1


def test_a_gang_recovers_by_the_second_scheduler(
    cluster: Cluster, chaos: Chaos
) -> None:
    """A lost member is placed again, also when the scheduler was killed meanwhile."""
    gang = cluster.submit(Gang("llama", replicas=4, gpus_per_pod=8))
    cluster.wait_for(gang.running, timeout="60s")

    with chaos.inject(NodeCrash(node_of(gang))) as fault:
        with chaos.inject(ComponentKill("packing")):
            pass
        recovery = chaos.expect.recovered(gang, since=fault, within="60s")

    assert recovery.nodes.isdisjoint(fault.targets)


@pytest.mark.knav(network=True)
def test_a_scheduler_that_was_cut_off_goes_on(cluster: Cluster, chaos: Chaos) -> None:
    """While nothing gets through, its pods wait; afterwards they run."""
    with chaos.inject(BlackHole(between("system", "apiserver"))):
        pod = cluster.submit(Pod("late"))
        stock = cluster.submit(Pod("stock", scheduler_name="default-scheduler"))
        cluster.wait_for(stock.running, timeout="60s")
        waited = not pod.nodes

    cluster.wait_for(pod.running, timeout="120s")
    assert waited
