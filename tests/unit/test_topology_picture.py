"""Pictures of topologies: the tree, the SVG, and what colours it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from pytest_knav.history.record import FAULT
from pytest_knav.reports.topology_picture import Broken, picture, status_of
from pytest_knav.topology import PRESETS, Level, make_topology
from pytest_knav.topology.devices import resource_slices, with_dra
from pytest_knav.topology.manifests import node_manifest
from pytest_knav.topology.picture import (
    NodeHealth,
    NodeStatus,
    Status,
    SwitchHealth,
    describe,
    svg,
    texts,
)
from pytest_knav.topology.picture.groups import group


if TYPE_CHECKING:
    from conftest import HistoryBuilder

    from pytest_knav.topology import Topology

SVG = "{http://www.w3.org/2000/svg}"
MEGABYTES_MAX = 2


def node_object(topology: Topology, name: str, ready: str = "True") -> dict[str, Any]:
    """Return the live Node object of a simulated machine."""
    manifest = node_manifest(topology.node(name), {})
    manifest["status"]["conditions"] = [{"type": "Ready", "status": ready}]
    return manifest


def pod(name: str, node: str, gpus: int, **more: Any) -> dict[str, Any]:
    """Return a running pod that asks for GPUs."""
    amounts = {more.pop("resource", "nvidia.com/gpu"): str(gpus)}
    metadata = {
        "name": name,
        "uid": name,
        "namespace": more.pop("namespace", "default"),
    }
    return {
        "metadata": {**metadata, "creationTimestamp": name, **more},
        "spec": {"nodeName": node, "containers": [{"resources": {"limits": amounts}}]},
        "status": {"phase": "Running"},
    }


def titles(text: str) -> list[str]:
    """Return the tool tips of an SVG."""
    return [e.text or "" for e in ET.fromstring(text).iter(f"{SVG}title")]  # noqa: S314 - ours


class TestTree:
    """`describe`."""

    def test_equal_siblings_are_folded(self) -> None:
        """A tree of a thousand nodes is as long as its kinds of part are many."""
        lines = describe(make_topology("dgx-h100", 1000), depth="rack")

        tree = lines[lines.index("") + 1 :]
        tree = tree[: tree.index("")]
        assert len(tree) < 20
        assert "│  │  └─ … and 7 racks more, to rack-007" in tree
        assert "├─ … and 6 spine groups more, to spine-group-6" in tree

    def test_what_differs_is_not_folded(self) -> None:
        """The last unit has fewer nodes than the others, and is shown by itself."""
        lines = describe(make_topology("dgx-h100", 9), depth="rack")

        assert any("rack-002: 1 node, 8 GPUs" in line for line in lines)

    def test_the_inside_of_a_node(self) -> None:
        """NUMA nodes, PCIe roots, and where each NIC leads."""
        lines = describe(make_topology("dgx-h100", 4))

        where = "PCIe root 5: gpu-5, nic-5 (400 Gbit/s, to leaf-000-rail-5)"
        assert [line.count("│") for line in lines if where in line] == [2]
        assert any(line.endswith("4 NVSwitches") for line in lines)

    @pytest.mark.parametrize("name", sorted(PRESETS))
    def test_every_switch_and_node_is_counted_once(self, name: str) -> None:
        """Groups have every node and every switch, each in one place."""
        topology = make_topology(name)

        def walk(place: Any) -> list[Any]:
            return [place, *(one for g in place.groups for one in walk(g))]

        places = walk(group(topology))
        assert [n for p in places for n in p.nodes] == list(topology.nodes)
        switches = [s.name for p in places for s in p.switches]
        assert sorted(switches) == sorted(s.name for s in topology.switches)

    def test_a_switch_is_where_its_nodes_are(self) -> None:
        """A leaf on a rack is the rack's, the spine is around them all."""
        root = group(make_topology("hgx-h100", 8))

        assert {s.level for s in root.switches} == {Level.SPINE}
        assert [[s.name for s in rack.switches] for rack in root.groups] == [
            ["leaf-000"],
            ["leaf-001"],
        ]

    def test_trunks_add_up_to_every_link(self) -> None:
        """Each link of a unit is in the trunk of one rack; speeds are added."""
        root = group(make_topology("dgx-h100", 8))

        assert [(g.trunk.links, g.trunk.gbps) for g in root.groups] == [
            (32, 12_800)
        ] * 2

    def test_one_node(self) -> None:
        """It has its places, taints and labels."""
        lines = describe(make_topology("dgx-h100", 8), node="dgx-h100-0005")

        assert lines[0].startswith("dgx-h100-0005: 8 NVIDIA-H100")
        assert "rack: rack-001" in lines
        assert "    topology.kubernetes.io/rack=rack-001" in lines

    def test_lines_are_cut_to_the_width(self) -> None:
        """In a terminal nothing wraps; what is cut says so."""
        lines = describe(make_topology("mixed"), width=60)

        assert max(map(len, lines)) == 60
        assert any(line.endswith("…") for line in lines)


class TestSvg:
    """`svg`."""

    @pytest.mark.parametrize("name", sorted(PRESETS))
    def test_every_node_and_switch_has_a_tool_tip(self, name: str) -> None:
        """Whatever is too small to read can be asked for."""
        topology = make_topology(name)

        found = [tip.partition("\n")[0] for tip in titles(svg(topology))]

        for node in topology.nodes:
            assert f"{node.name} ({node.machine.name})" in found
        for switch in topology.switches:
            assert any(
                tip.startswith(f"{switch.name}: {switch.level}") for tip in found
            )

    def test_a_thousand_nodes_stay_small(self) -> None:
        """Fully allocated by many, where every GPU differs from its neighbour."""
        topology = make_topology("dgx-h100", 1000)
        status = Status(
            nodes={node.name: NodeStatus(pods=8) for node in topology.nodes},
            allocated={
                f"{node.name}/gpu-{i}": f"team/job-{i}"
                for node in topology.nodes
                for i in range(8)
            },
        )

        text = svg(topology, status)

        assert len(text.encode()) < MEGABYTES_MAX * 1_000_000
        assert ET.fromstring(text).tag == f"{SVG}svg"  # noqa: S314 - our own

    def test_names_are_escaped(self) -> None:
        """A name may hold anything."""
        topology = make_topology("dgx-h100", 1)
        status = Status(allocated={"dgx-h100-0000/gpu-0": 'a<b>&"c'})

        assert 'gpu-0: a<b>&"c' in titles(svg(topology, status))

    def test_no_state_is_told_by_colour_alone(self) -> None:
        """Drawn without style sheets, each state still has a shape of its own."""
        topology = make_topology("dgx-h100", 1)
        first = "dgx-h100-0000"
        drawings = []
        for status in (
            Status(),
            Status(failed=frozenset({f"{first}/gpu-0"})),
            Status(allocated={f"{first}/gpu-0": "a", f"{first}/gpu-1": "b"}),
            Status(switches={"spine-00-00": SwitchHealth.DOWN}),
            *(Status(nodes={first: NodeStatus(health=h)}) for h in NodeHealth),
            Status(nodes={first: NodeStatus(cordoned=True)}),
            Status(nodes={first: NodeStatus(broken=True)}),
        ):
            root = ET.fromstring(svg(topology, status))  # noqa: S314 - our own
            body = root.findall(f"{SVG}g/{SVG}g")[1]
            drawings.append(tuple(path.get("d") for path in body.iter(f"{SVG}path")))

        # Ready is how it looks without a word.
        assert len(set(drawings)) == len(drawings) - 1

    def test_unknown_names_are_told_apart_when_short(self) -> None:
        """What all names share goes first: the domain, then the beginning."""
        names = [f"ip-10-0-12-{i}.eu-west-1.compute.internal" for i in (7, 8)]

        assert texts.short(names, 60, 8) == ["7", "8"]
        assert texts.short(names, 1000, 8) == names


class TestStatus:
    """`status_of`: from objects of the API to what is coloured."""

    def test_gpus_are_filled_in_order(self) -> None:
        """The API says how many a pod has: older pods come first, ended ones free."""
        topology = make_topology("dgx-h100", 2)
        labels = {"labels": {"pytest-knav/workload": "llama"}}
        ended = pod("c", "dgx-h100-0000", 4)
        ended["status"]["phase"] = "Succeeded"
        pods = [
            pod("b", "dgx-h100-0000", 3, namespace="team"),
            pod("a", "dgx-h100-0000", 2, **labels),
            ended,
        ]

        status = status_of(topology, {"Pod": pods})

        owners = [status.allocated.get(f"dgx-h100-0000/gpu-{i}") for i in range(8)]
        assert owners == ["llama"] * 2 + ["team/b"] * 3 + [None] * 3
        assert status.workloads == [("team/b", 3), ("llama", 2)]

    def test_more_than_there_is_is_not_drawn(self) -> None:
        """A pod that was bound by force takes no GPU of another node."""
        topology = make_topology("dgx-h100", 1)

        status = status_of(topology, {"Pod": [pod("a", "dgx-h100-0000", 99)]})

        assert len(status.allocated) == 8

    def test_parts_of_a_gpu(self) -> None:
        """Seven MIG devices are a GPU: eight of them reach into the second."""
        topology = make_topology("dgx-a100-mig", 1)
        profile, number = topology.nodes[0].machine.mig[0]
        resource = f"nvidia.com/mig-{profile}"
        name = topology.nodes[0].name

        status = status_of(topology, {"Pod": [pod("a", name, 8, resource=resource)]})

        assert number == 7
        assert sorted(status.allocated) == [f"{name}/gpu-0", f"{name}/gpu-1"]

    def test_claims_say_which_devices(self) -> None:
        """With DRA the GPU is the one that was allocated; a tainted one has failed."""
        topology = with_dra(make_topology("dgx-h100", 1))
        name = topology.nodes[0].name
        (devices,) = resource_slices(topology.nodes[0], "uid")
        devices["spec"]["devices"][2]["taints"] = [{"key": "x", "effect": "NoExecute"}]
        result = {"driver": "gpu.nvidia.com", "pool": name, "device": "gpu-5"}
        claim = {
            "status": {
                "reservedFor": [{"uid": "a"}],
                "allocation": {"devices": {"results": [result]}},
            }
        }
        objects = {
            "Node": [node_object(topology, name)],
            "Pod": [pod("a", name, 1)],
            "ResourceClaim": [claim],
            "ResourceSlice": [devices],
        }

        status = status_of(topology, objects)

        assert status.allocated == {f"{name}/gpu-5": "a"}
        assert status.failed == {f"{name}/gpu-2"}

    def test_gpus_that_a_node_no_longer_offers_have_failed(self) -> None:
        """The one that a fault names, and for the rest the last ones."""
        topology = make_topology("dgx-h100", 1)
        name = topology.nodes[0].name
        node = node_object(topology, name)
        node["status"]["allocatable"]["nvidia.com/gpu"] = "6"
        truth = Broken(targets=frozenset({f"{name}/gpu-3"}))

        status = status_of(topology, {"Node": [node]}, truth)

        assert status.failed == {f"{name}/gpu-3", f"{name}/gpu-7"}

    def test_nodes(self) -> None:
        """What the API says, and what is broken in truth."""
        topology = make_topology("dgx-h100", 4)
        names = [node.name for node in topology.nodes]
        objects = [
            node_object(topology, names[0]),
            node_object(topology, names[1], "Unknown"),
            node_object(topology, names[2], "False"),
        ]
        objects[0]["spec"] = {"unschedulable": True, "taints": [{"key": "k"}]}

        status = status_of(
            topology, {"Node": objects}, Broken(nodes=frozenset(names[:1]))
        )

        assert status.node(names[0]) == NodeStatus(
            cordoned=True, broken=True, taints=("k",)
        )
        healths = [status.node(name).health for name in names[1:]]
        assert healths == [NodeHealth.UNKNOWN, NodeHealth.NOT_READY, NodeHealth.GONE]

    def test_switches_below_a_dead_one_are_degraded(self) -> None:
        """They lost an uplink and have others."""
        topology = make_topology("dgx-h100", 4)

        status = status_of(topology, {}, Broken(targets=frozenset({"spine-00-01"})))

        assert status.switch("spine-00-01") == SwitchHealth.DOWN
        assert status.switch("leaf-000-rail-3") == SwitchHealth.DEGRADED
        assert status.switch("spine-00-02") == SwitchHealth.UP


class TestMoment:
    """`picture`: the cluster of a test, from its history."""

    def test_it_is_drawn_before_the_first_fault_is_taken_back(
        self, seen: HistoryBuilder
    ) -> None:
        """Afterwards all is well again, and nothing would be seen."""
        topology = make_topology("dgx-h100", 2)
        first, second = (node.name for node in topology.nodes)
        seen.node(0, first)
        seen.node(0, second)
        seen.inject(1, first)
        seen.node(2, first, "Unknown")
        seen._add(3, "CLEARING", FAULT, "f1", "", data={})
        seen.clear(4)
        seen.node(5, first)

        found = titles(picture(topology, seen.history))

        assert f"{first} (dgx-h100)" in [tip.partition("\n")[0] for tip in found]
        assert any(tip.startswith(first) and "unknown, hit by" in tip for tip in found)
        assert any(tip.startswith(second) and "\nready;" in tip for tip in found)

    def test_without_a_fault_it_is_the_end(self, seen: HistoryBuilder) -> None:
        """The newest state of every node."""
        topology = make_topology("dgx-h100", 1)
        name = topology.nodes[0].name
        seen.node(0, name)
        seen.node(1, name, "False")

        found = titles(picture(topology, seen.history))

        assert any(tip.startswith(name) and "\nnot ready;" in tip for tip in found)


def test_groups_without_places() -> None:
    """A topology without racks or switches is one group of nodes."""
    made = make_topology("dgx-h100", 40)
    bare = replace(
        made,
        nodes=tuple(replace(node, places=(), uplinks=()) for node in made.nodes),
        switches=(),
    )

    lines, text = describe(bare), svg(bare)

    assert "the cluster: 40 nodes, 320 GPUs" in lines
    assert len(ET.fromstring(text).findall(f".//{SVG}rect[@class='n']")) == 40  # noqa: S314 - ours
