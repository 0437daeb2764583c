"""A gang that must lie close together gets the best nodes that are free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Gang, Manifest


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster, Topology

SPINE = "network.topology.nvidia.com/spine"
BUSY = ("n1", "n2", "n6", "n9", "n10")
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: busy-{node}, labels: {{app: busy-{node}}}}}
spec:
  nodeSelector: {{kubernetes.io/hostname: {node}}}
  containers:
  - name: main
    image: busy
    resources: {{limits: {{nvidia.com/gpu: 8}}}}
"""


@pytest.mark.knav(topology="tree-12")
def test_a_gang_lands_on_the_best_three_nodes(
    cluster: Cluster, chaos: Chaos, topology: Topology
) -> None:
    """Of seven free nodes under three spine switches, the three that share one."""
    busy = cluster.submit_many(
        Manifest(POD.format(node=node), pods=f"app=busy-{node}") for node in BUSY
    )
    cluster.wait_for(*(pod.running for pod in busy), timeout="60s")
    free = [node.name for node in topology.nodes if node.name not in BUSY]

    gang = cluster.submit(Gang("close", replicas=3, gpus_per_pod=8, topology_key=SPINE))
    cluster.wait_for(gang.running, timeout="60s")

    assert set(gang.nodes) == set(topology.best_nodes(3, among=free))
    chaos.expect.never(gang.partially_bound, longer_than="10s")
