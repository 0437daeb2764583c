"""Connections between the components of the control plane break, lag and lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Deployment, Job, WaitTimeout, between
from pytest_knav.faults import BlackHole, Latency, StaleWatch


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=4, network=True)
GPUS_PER_NODE = 8


def most_gpus_bound(cluster: Cluster, gpus_per_pod: int) -> int:
    """Return how many GPUs pods have on the fullest node; no pod has left."""
    counts = [len(cluster.pods_on(node.name)) for node in cluster.nodes]
    return max(counts) * gpus_per_pod


def test_pods_wait_for_a_scheduler_that_cannot_reach_the_api_server(
    cluster: Cluster, chaos: Chaos
) -> None:
    """For 30 s nothing is bound; then all of it is, each pod once, and all fits."""
    before = cluster.submit(Deployment("before", replicas=4, gpus_per_pod=4))
    cluster.wait_for(before.running, timeout="60s")

    with chaos.inject(BlackHole(between("scheduler", "apiserver"))) as fault:
        backlog = cluster.submit(Deployment("backlog", replicas=8, gpus_per_pod=2))
        with pytest.raises(WaitTimeout):
            cluster.wait_for(backlog.running, timeout="30s")
        waiting, bound = len(backlog.all_pods), backlog.nodes
    cluster.wait_for(backlog.running, timeout="60s")

    assert (waiting, bound) == (8, [])
    assert len(backlog.all_pods) == 8
    for node in cluster.nodes:
        pods = [pod.name for pod in cluster.pods_on(node.name)]
        assert sum(4 if "before" in name else 2 for name in pods) <= GPUS_PER_NODE
    chaos.expect.unaffected(before, since=fault)


def test_work_goes_on_over_a_slow_link_of_the_controller_manager(
    cluster: Cluster, chaos: Chaos
) -> None:
    """With 300 ms more for each answer, a Job makes each of its pods once."""
    with chaos.inject(Latency(between("kcm", "apiserver"), "300ms", "100ms")):
        job = cluster.submit(Job("slow", completions=12, gpus_per_pod=1, run_for="1s"))
        cluster.wait_for(job.finished, timeout="60s")

    assert len(job.all_pods) == 12


def test_a_scheduler_with_stale_watches_gives_no_gpu_away_twice(
    cluster: Cluster, chaos: Chaos
) -> None:
    """It hears of its own bindings 1 s late, forgets all once, and never overbooks."""
    late = StaleWatch(between("scheduler", "apiserver"), delay="1s")
    with chaos.inject(late):
        first = cluster.submit(Deployment("first", replicas=12, gpus_per_pod=2))
        cluster.wait_for(first.running, timeout="60s")
        cluster.component("scheduler").restart()
        # 24 of 32 GPUs are taken: four of these fit, and eight must wait.
        second = cluster.submit(Deployment("second", replicas=12, gpus_per_pod=2))
        cluster.wait_for(second.partially_bound, timeout="60s")
        with pytest.raises(WaitTimeout):
            cluster.wait_for(second.running, timeout="3s")

    assert most_gpus_bound(cluster, 2) == GPUS_PER_NODE
