"""A gang loses a node, and is whole again on good ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Gang, node_of
from pytest_knav.faults import NodeCrash


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster


@pytest.mark.knav(topology="dgx-h100", nodes=32)
def test_gang_survives_a_node_crash(cluster: Cluster, chaos: Chaos) -> None:
    """A gang of 16 x 8 GPUs is whole again, on good nodes, within a minute."""
    gang = cluster.submit(Gang("llama", replicas=16, gpus_per_pod=8))
    cluster.wait_for(gang.running, timeout="60s")

    with chaos.inject(NodeCrash(node_of(gang))) as fault:
        recovery = chaos.expect.recovered(gang, since=fault, within="60s")

    assert recovery.nodes.isdisjoint(fault.targets)
