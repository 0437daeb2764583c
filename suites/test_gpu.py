"""One GPU fails: what ran on it runs on a good one, and nothing comes back to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Deployment, Job, gpu_of
from pytest_knav.faults import GpuEccError, GpuLost, GpuXid


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster


@pytest.mark.knav(topology="dgx-h100", nodes=2, dra=True)
def test_xid_79_moves_a_pod_to_a_good_gpu(cluster: Cluster, chaos: Chaos) -> None:
    """The bad GPU stays empty until it is repaired, though work waits for it."""
    work = cluster.submit(Deployment("work", replicas=15, gpus_per_pod=1))
    cluster.wait_for(work.running, timeout="60s")

    with chaos.inject(GpuXid(gpu_of(work), 79)) as fault:
        chaos.expect.recovered(work, since=fault, within="60s")
        more = cluster.submit(Deployment("more", replicas=1, gpus_per_pod=1))
        cluster.wait_for(more.pending, timeout="30s")
        used = set(work.gpus) | set(more.gpus)
    cluster.wait_for(more.running, timeout="60s")

    assert fault.targets.isdisjoint(used)
    assert set(more.gpus) == set(fault.targets)


@pytest.mark.knav(topology="dgx-h100", nodes=2, dra=True)
def test_a_taint_rule_empties_a_gpu_once_the_fault_is_noticed(
    cluster: Cluster, chaos: Chaos
) -> None:
    """The process dies at once, the report comes later; then the GPU stays empty."""
    work = cluster.submit(Deployment("work", replicas=15, gpus_per_pod=1))
    cluster.wait_for(work.running, timeout="60s")
    error = GpuEccError(gpu_of(work), 95, detect_after="2s", by="rule")

    with chaos.inject(error, until="detected") as fault:
        chaos.expect.recovered(work, since=fault, within="60s")
        more = cluster.submit(Deployment("more", replicas=1, gpus_per_pod=1))
        cluster.wait_for(more.pending, timeout="30s")
        used = set(work.gpus) | set(more.gpus)
    cluster.wait_for(more.running, timeout="60s")

    assert fault.signals["detected"] >= 2.0
    assert fault.targets.isdisjoint(used)
    assert set(more.gpus) == set(fault.targets)


@pytest.mark.knav(topology="dgx-h100", nodes=2)
def test_a_node_with_a_lost_gpu_takes_what_still_fits(
    cluster: Cluster, chaos: Chaos
) -> None:
    """Seven of eight: a pod of eight waits, pods of one do not."""
    with chaos.inject(GpuLost(["dgx-h100-0000/gpu-5", "dgx-h100-0001/gpu-0"])):
        large = cluster.submit(Job("large", completions=1, gpus_per_pod=8))
        small = cluster.submit(Job("small", completions=14, gpus_per_pod=1))
        cluster.wait_for(small.running, large.pending, timeout="60s")

    assert not large.nodes
