"""The presets are what their sources say."""

from __future__ import annotations

from collections import Counter

import pytest

from pytest_knav.topology import PRESETS, Level, Switch, Topology, make_topology
from pytest_knav.topology.presets import make_preset


def switches(topology: Topology) -> tuple[int, int, int]:
    """Return the numbers of leaf, spine and core switches."""
    count = Counter(switch.level for switch in topology.switches)
    return count[Level.LEAF], count[Level.SPINE], count[Level.CORE]


def up(switch: Switch) -> int:
    """Return the bandwidth of all uplinks of a switch."""
    return sum(gbps for _, gbps in switch.uplinks)


class TestSuperPod:
    """Leaf, spine and core switches of the reference architecture."""

    @pytest.mark.parametrize(
        ("units", "published"),
        [
            (1, (8, 4, 0)),
            (2, (16, 8, 0)),
            (3, (24, 16, 0)),
            (4, (32, 16, 0)),
            (8, (64, 32, 0)),
            (16, (128, 128, 64)),
            (32, (256, 256, 128)),
            (64, (512, 512, 256)),
        ],
    )
    def test_switches_of_dgx_h100(
        self, units: int, published: tuple[int, int, int]
    ) -> None:
        """As in the table for DGX B200, by the number of scalable units."""
        topology = make_topology("dgx-h100", 32 * units)

        assert switches(topology) == published

    @pytest.mark.parametrize("nodes", [32, 256, 512])
    def test_nothing_blocks(self, nodes: int) -> None:
        """As much leads up from a leaf or a spine switch as comes from below."""
        topology = make_topology("dgx-h100", nodes)

        below: Counter[str] = Counter()
        for link in topology.links():
            below[link.ends[1]] += link.gbps
        tiers = {Level.LEAF, Level.SPINE} if nodes > 256 else {Level.LEAF}
        for switch in topology.switches:
            if switch.level in tiers:
                assert up(switch) == below[switch.name]

    def test_a_rail_has_a_leaf_switch_in_each_unit(self) -> None:
        """NIC number five of every node hangs on the one of rail five."""
        topology = make_topology("dgx-h100", 64)

        fifth = {node.uplinks[5] for node in topology.nodes}

        assert fifth == {"leaf-000-rail-5", "leaf-001-rail-5"}
        assert {topology.switch(name).rail for name in fifth} == {5}

    def test_a_unit_of_dgx_a100_has_twenty_nodes(self) -> None:
        """And eight leaf switches."""
        topology = make_topology("dgx-a100", 40)

        assert [len(n) for n in topology.places(Level.LEAF).values()] == [20, 20]
        assert switches(topology)[0] == 16


def test_a_rack_of_nvl72_is_one_nvlink_domain() -> None:
    """Of 18 trays with four GPUs each, and of 18 NVSwitches."""
    topology = make_topology("gb200-nvl72", 36)

    domain = topology.places(Level.NVLINK)["nvl-001"]
    assert len(domain) == 18
    assert sum(topology.node(name).gpus for name in domain) == 72
    assert dict(topology.nvswitches) == {"nvl-000": 18, "nvl-001": 18}
    assert topology.places(Level.RACK)["rack-001"] == domain


@pytest.mark.parametrize(
    ("name", "gpus", "resource", "nics"),
    [
        ("dgx-a100", 8, "nvidia.com/gpu", 8),
        ("hgx-h100", 8, "nvidia.com/gpu", 8),
        ("gb200-nvl72", 4, "nvidia.com/gpu", 4),
        ("mi300x", 8, "amd.com/gpu", 8),
        ("cpu", 0, "", 1),
    ],
)
def test_a_node_has_what_its_vendor_sells(
    name: str, gpus: int, resource: str, nics: int
) -> None:
    """GPUs, what Kubernetes calls them, and NICs of the compute fabric."""
    node = make_topology(name, 1).nodes[0]

    assert (node.gpus, node.gpu_resource) == (gpus, resource)
    assert len(node.machine.nics) == nics


def test_one_rack_one_leaf_switch() -> None:
    """With HGX servers every NIC of a rack hangs on the same one."""
    topology = make_topology("hgx-h100", 8)

    assert {node.uplinks for node in topology.nodes[:4]} == {("leaf-000",) * 8}
    assert {node.uplinks for node in topology.nodes[4:]} == {("leaf-001",) * 8}


def test_a_tree_as_in_knavigator() -> None:
    """Two nodes a leaf, two leaves a spine, three spines, one core."""
    topology = make_topology("tree-12")

    assert switches(topology) == (6, 3, 1)
    assert dict(topology.node("n5").places) == {
        Level.CORE: "sw31",
        Level.SPINE: "sw22",
        Level.LEAF: "sw13",
    }


def test_a_mixed_cluster_has_all_of_its_parts() -> None:
    """Half, a quarter, a quarter; also when there are few."""
    kinds = Counter(node.machine.name for node in make_topology("mixed", 32).nodes)

    assert kinds == {"dgx-h100": 16, "dgx-a100": 8, "cpu": 8}
    assert [n.machine.name for n in make_topology("mixed", 1).nodes] == ["dgx-h100"]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_link_of_a_large_one_has_a_bandwidth(name: str) -> None:
    """It is divided among many switches, and nothing of it is lost on the way."""
    topology = make_preset(name, 2_500)

    assert all(gbps > 0 for switch in topology.switches for _, gbps in switch.uplinks)
    assert all(up(s) > 0 for s in topology.switches if s.level is Level.LEAF)
