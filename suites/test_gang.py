"""Gangs lose a node, and are whole again on good ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Gang, node_of
from pytest_knav.faults import NodeCrash, PreemptingWork


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster

RACK = "topology.kubernetes.io/rack"


@pytest.mark.knav(topology="dgx-h100", nodes=32)
def test_gang_survives_a_node_crash(cluster: Cluster, chaos: Chaos) -> None:
    """A gang of 16 x 8 GPUs is whole again, on good nodes, within a minute."""
    gang = cluster.submit(Gang("llama", replicas=16, gpus_per_pod=8))
    cluster.wait_for(gang.running, timeout="60s")

    with chaos.inject(NodeCrash(node_of(gang))) as fault:
        recovery = chaos.expect.recovered(gang, since=fault, within="60s")

    assert recovery.nodes.isdisjoint(fault.targets)
    chaos.expect.never(gang.degraded, longer_than="40s")


@pytest.mark.knav(topology="dgx-h100", nodes=32)
def test_gang_stays_in_its_rack(cluster: Cluster, chaos: Chaos) -> None:
    """A gang bound to one rack gets its replacement in that same rack."""
    gang = cluster.submit(
        Gang("mistral", replicas=3, gpus_per_pod=8, topology_key=RACK)
    )
    cluster.wait_for(gang.running, timeout="60s")
    racks_before = {cluster.node(name).rack for name in gang.nodes}

    with chaos.inject(NodeCrash(node_of(gang))) as fault:
        recovery = chaos.expect.recovered(gang, since=fault, within="60s")

    assert len(racks_before) == 1
    assert {cluster.node(name).rack for name in recovery.nodes} == racks_before


@pytest.mark.known_bug(
    "KEP-5732: a replacement is pinned to the rack of the members that are left"
)
@pytest.mark.knav(topology="dgx-h100", nodes=16)
def test_gang_leaves_a_rack_that_has_no_spare_node(
    cluster: Cluster, chaos: Chaos
) -> None:
    """Its rack is full, three others are empty, and yet it stays broken in 1.36."""
    gang = cluster.submit(Gang("pinned", replicas=4, gpus_per_pod=8, topology_key=RACK))
    cluster.wait_for(gang.running, timeout="60s")

    with chaos.inject(NodeCrash(node_of(gang))) as fault:
        chaos.expect.recovered(gang, since=fault, within="30s")


@pytest.mark.knav(topology="dgx-h100", nodes=8)
def test_a_gang_that_is_preempted_goes_on_elsewhere(
    cluster: Cluster, chaos: Chaos
) -> None:
    """Other work takes a member's node for good, and the gang is whole without it."""
    gang = cluster.submit(Gang("llama", replicas=4, gpus_per_pod=8))
    cluster.wait_for(gang.running, timeout="60s")

    with chaos.inject(PreemptingWork(node_of(gang))) as fault:
        recovery = chaos.expect.recovered(gang, since=fault, within="60s")

    assert recovery.nodes.isdisjoint(fault.targets)


@pytest.mark.knav(topology="dgx-h100", nodes=4)
def test_node_comes_back_and_is_used_again(cluster: Cluster, chaos: Chaos) -> None:
    """After a crash is over, a gang that needs every node runs on all of them."""
    with chaos.inject(NodeCrash("dgx-h100-0002"), until="detected"):
        crashed = cluster.node("dgx-h100-0002")
    gang = cluster.submit(Gang("qwen", replicas=4, gpus_per_pod=8))

    cluster.wait_for(gang.running, timeout="60s")

    assert crashed.ready == "Unknown"
    assert "dgx-h100-0002" in gang.nodes
