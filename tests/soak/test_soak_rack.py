"""A rack of a larger cluster loses power: what stands in it is made again elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav import Deployment, Job
from pytest_knav.faults import PlaceLoss


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav import Chaos, Cluster

NODES = 300


@pytest.mark.knav(topology="dgx-h100", nodes=NODES)
def test_a_rack_of_300_nodes_is_lost(
    cluster: Cluster, chaos: Chaos, row: Callable[..., Any]
) -> None:
    """Every member that stood there runs on another rack, each once."""
    job = cluster.submit(Job("train", completions=200, gpus_per_pod=8))
    service = cluster.submit(Deployment("serve", replicas=80, gpus_per_pod=8))
    cluster.wait_for(job.running, service.running, timeout="180s")
    used = {*job.nodes, *service.nodes}
    racks = [r for r in cluster.topology.racks if used & set(r.nodes)]
    rack = racks[chaos.seed % len(racks)]
    hit = [work for work in (job, service) if set(work.nodes) & set(rack.nodes)]

    with chaos.inject(PlaceLoss(rack.name), at_most=len(rack.nodes)) as fault:
        found = {
            work.name: chaos.expect.recovered(work, since=fault, within="180s")
            for work in hit
        }

    for work, recovery in found.items():
        row(f"rack of {len(rack.nodes)} of {NODES} nodes, {work}", 1, recovery.seconds)
        assert recovery.nodes.isdisjoint(fault.nodes)
    assert found
