"""Nodes that are unwell without being lost: late heartbeats, and flapping."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from pytest_knav import Deployment, Job, for_, node_of
from pytest_knav.faults import NodeFlapping, SlowHeartbeats


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster

LATE_S = 3.0


@pytest.mark.knav(topology="dgx-h100", nodes=4)
def test_late_heartbeats_move_nothing(cluster: Cluster, chaos: Chaos) -> None:
    """Renewals that come late, and not too late: every pod stays where it is."""
    job = cluster.submit(Job("train", completions=4, gpus_per_pod=8))
    cluster.wait_for(job.running, timeout="60s")
    before = {pod.uid for pod in job.pods}

    [fault] = chaos.run(for_("11s", SlowHeartbeats(node_of(job), "5s")))

    [node] = fault.targets
    lease = chaos.history.get("Lease", "kube-node-lease", node)
    assert lease is not None
    renewed_s = [
        version.monotonic
        for version in chaos.history.versions(lease["metadata"]["uid"])
        if version.monotonic > fault.started_at.monotonic_s
    ]
    # A sound kubelet renews each 2 s here.
    assert max(b - a for a, b in pairwise(renewed_s)) > LATE_S
    assert {pod.uid for pod in job.pods} == before


@pytest.mark.knav(topology="dgx-h100", nodes=4)
def test_work_gets_going_while_a_node_flaps(cluster: Cluster, chaos: Chaos) -> None:
    """Whatever the node says at the moment, all pods run in the end, each once."""
    service = cluster.submit(Deployment("serve", replicas=2, gpus_per_pod=8))
    cluster.wait_for(service.running, timeout="60s")
    flapping = chaos.start(for_("9s", NodeFlapping(node_of(service), "3s")))

    job = cluster.submit(Job("train", completions=2, gpus_per_pod=8))
    cluster.wait_for(job.running, timeout="60s")
    faults = flapping.wait()
    cluster.wait_for(job.running, service.running, timeout="60s")

    assert len(faults) == 1
    assert len(job.nodes) == 2
