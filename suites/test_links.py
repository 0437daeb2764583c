"""Links fail where nodes stay Ready: only the collectives on them break."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Gang, NotRecovered, leaf_of, nic_of
from pytest_knav.faults import NicDown, SwitchDown


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster

RACK = "topology.kubernetes.io/rack"
TAINT = "nvidia.com/nic-down=true:NoSchedule"


@pytest.mark.knav(topology="hgx-h100", nodes=8)
def test_a_gang_leaves_a_rack_whose_leaf_switch_failed(
    cluster: Cluster, chaos: Chaos
) -> None:
    """Bound to one rack, it fails as a whole and is whole again in the other one."""
    gang = cluster.submit(
        Gang(
            "llama",
            replicas=3,
            gpus_per_pod=8,
            topology_key=RACK,
            on_member_loss="fail",
            collective_timeout="1s",
        )
    )
    cluster.wait_for(gang.running, timeout="60s")
    before = {cluster.node(name).rack for name in gang.nodes}

    with chaos.inject(SwitchDown(leaf_of(gang), taint=TAINT)) as fault:
        recovery = chaos.expect.recovered(gang, since=fault, within="60s")
        ready = {node.ready for node in cluster.nodes}

    after = {cluster.node(name).rack for name in recovery.nodes}
    assert ready == {"True"}
    assert len(before) == len(after) == 1
    assert before.isdisjoint(after)


@pytest.mark.knav(topology="dgx-h100", nodes=4)
def test_one_rail_port_takes_the_whole_gang_with_it(
    cluster: Cluster, chaos: Chaos
) -> None:
    """All members are made again, none on the node without the rail; work is lost."""
    gang = cluster.submit(
        Gang(
            "mistral",
            replicas=3,
            gpus_per_pod=8,
            on_member_loss="fail",
            collective_timeout="1s",
        )
    )
    cluster.wait_for(gang.running, timeout="60s")
    uids = {pod.uid for pod in gang.pods}

    with chaos.inject(NicDown(nic_of(gang, 3), taint=TAINT)) as fault:
        recovery = chaos.expect.recovered(gang, since=fault, within="60s")

    broken = {name.rpartition("/")[0] for name in fault.targets}
    assert recovery.nodes.isdisjoint(broken)
    assert uids.isdisjoint(pod.uid for pod in gang.pods)
    assert recovery.lost_gpu_hours is not None
    # Each of its GPUs stood still from the fault until all ran again.
    assert recovery.lost_gpu_hours >= 24 * recovery.seconds / 3600 * 0.9


@pytest.mark.knav(topology="dgx-h100", nodes=4)
def test_a_gang_that_hangs_is_not_green(cluster: Cluster, chaos: Chaos) -> None:
    """The API says Running all the time, and yet the gang has not recovered."""
    gang = cluster.submit(
        Gang("qwen", replicas=3, gpus_per_pod=8, on_member_loss="hang")
    )
    cluster.wait_for(gang.running, timeout="60s")

    with chaos.inject(NicDown(nic_of(gang))) as fault:
        cluster.wait_for(gang.running, gang.degraded, timeout="10s")
        with pytest.raises(NotRecovered, match="nothing reacted"):
            chaos.expect.recovered(gang, since=fault, within="3s")
