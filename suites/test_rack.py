"""A rack loses power: four nodes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Deployment, Job, feed_of
from pytest_knav.faults import PowerLoss


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster


@pytest.mark.knav(topology="dgx-h100", nodes=32)
def test_work_survives_the_loss_of_a_rack(cluster: Cluster, chaos: Chaos) -> None:
    """A Deployment and an Indexed Job are complete again without the rack."""
    service = cluster.submit(Deployment("serve", replicas=8, gpus_per_pod=8))
    job = cluster.submit(Job("train", completions=16, gpus_per_pod=8))
    cluster.wait_for(service.running, job.running, timeout="60s")
    racks = {name: cluster.node(name).rack for name in (*service.nodes, *job.nodes)}
    shared = {racks[name] for name in service.nodes} & {racks[n] for n in job.nodes}
    victim = next(name for name, rack in sorted(racks.items()) if rack in shared)

    with chaos.inject(PowerLoss(feed_of(victim)), at_most=4) as fault:
        of_job = chaos.expect.recovered(job, since=fault, within="90s")
        of_service = chaos.expect.recovered(service, since=fault, within="90s")

    assert len(fault.nodes) == 4
    assert of_job.nodes.isdisjoint(fault.nodes)
    assert of_service.nodes.isdisjoint(fault.nodes)
