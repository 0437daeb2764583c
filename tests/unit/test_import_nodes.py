"""Node objects of real clusters: the simulated cluster is that cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_knav.errors import BadInput
from pytest_knav.topology import PRESETS, Topology, make_topology
from pytest_knav.topology.importers import import_nodes
from pytest_knav.topology.importers.gpus import machine_named
from pytest_knav.topology.importers.quantities import amount
from pytest_knav.topology.manifests import node_manifest
from pytest_knav.topology.model import Level, NodeSpec


DATA = Path(__file__).parent.parent / "data" / "importing"
READY = [{"type": "Ready", "status": "True"}]
NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
KEYS = NAMES.map(lambda name: f"example.com/{name}")


def objects_of(topology: Topology) -> list[dict[str, Any]]:
    """Return the Node objects of a topology, as a cluster shows them."""
    made = []
    for node in topology.nodes:
        manifest = node_manifest(node, {"pytest-knav/kubelet": "running"})
        manifest["status"]["conditions"] = READY
        made.append(manifest)
    return made


def real_nodes() -> list[dict[str, Any]]:
    """Return what `kubectl get nodes -o yaml` said of a cluster."""
    items: list[dict[str, Any]] = yaml.safe_load((DATA / "nodes.yaml").read_text())[
        "items"
    ]
    return items


def bare(name: str, labels: dict[str, str], **capacity: str) -> dict[str, Any]:
    """Return a Node object."""
    amounts = {"cpu": "64", "memory": "512Gi", "pods": "110", **capacity}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": READY},
    }


@st.composite
def topologies(draw: st.DrawFn, preset: str) -> Topology:
    """Return nodes of a preset with labels, taints and amounts of their own."""
    made = make_topology(preset, draw(st.integers(1, 20)))
    quantity = st.sampled_from(["7", "1930m", "2113553856Ki", "0", "1e3", "4.5Gi"])
    amounts = st.dictionaries(
        KEYS | st.sampled_from(["cpu", "memory"]), quantity, max_size=2
    )
    effects = st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"])
    taints = st.lists(st.tuples(KEYS, NAMES | st.just(""), effects), max_size=2)

    def own(node: NodeSpec) -> NodeSpec:
        more = draw(st.dictionaries(KEYS, NAMES, max_size=2))
        return replace(
            node,
            labels=tuple(sorted({**dict(node.labels), **more}.items())),
            taints=tuple(draw(taints)),
            capacity=tuple(sorted({**dict(node.capacity), **draw(amounts)}.items())),
            allocatable=tuple(sorted(draw(amounts).items())),
        )

    return replace(made, nodes=tuple(own(node) for node in made.nodes))


@pytest.mark.parametrize("preset", sorted(PRESETS))
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_a_topology_comes_back_from_its_node_objects(
    data: st.DataObject, preset: str
) -> None:
    """Names, labels, taints, amounts, GPUs and the places that labels tell of."""
    topology = data.draw(topologies(preset))
    given_ = objects_of(topology)

    found = import_nodes(given_, name="again", rack_size=0).topology

    back = objects_of(found)
    for old, new in zip(given_, back, strict=True):
        assert new["metadata"]["name"] == old["metadata"]["name"]
        assert new["metadata"]["labels"] == old["metadata"]["labels"]
        assert new.get("spec") == old.get("spec")
        assert new["status"] == old["status"]
    for was, node in zip(topology.nodes, found.nodes, strict=True):
        places = dict(was.places)
        assert node.gpus == was.gpus
        assert node.gpu_resource == was.gpu_resource
        if Level.NVLINK in places:
            assert node.nvlink_domain == was.nvlink_domain
        assert {at: places[at] for at, _ in node.places} == dict(node.places)
    assert found.nvswitches == topology.nvswitches
    labelled = {Level.ZONE, Level.RACK, Level.LEAF, Level.SPINE} & set(topology.levels)
    assert labelled <= set(found.levels)


def test_a_real_cluster_is_what_its_nodes_say() -> None:
    """Levels by EKS's labels, GPUs by GFD's, every taint but the cordon's."""
    found = import_nodes(real_nodes(), name="eks")

    topology = found.topology
    gpu = topology.node("ip-10-0-66-21.us-east-2.compute.internal")
    cpu = topology.node("ip-10-0-2-32.us-east-2.compute.internal")
    assert topology.gpus == 32
    assert {len(rack.nodes) for rack in topology.racks} == {2}
    assert topology.levels == tuple(Level(level) for level, _ in found.levels)
    assert gpu.machine.gpu is not None
    assert gpu.machine.gpu.product == "NVIDIA-H100-80GB-HBM3"
    assert gpu.taints == (("nvidia.com/gpu", "true", "NoSchedule"),)
    assert gpu.place(Level.ZONE) == "us-east-2a"
    assert cpu.gpus == 0
    assert cpu.place(Level.RACK) is None
    assert any(gpu.name in line and "cordon" in line for line in found.dropped)
    assert "level rack: 2 from the label topology.k8s.aws/network-node-layer-3" in (
        found.lines
    )


def test_machines_that_are_alike_are_one() -> None:
    """Although their memory differs by a few KiB."""
    topology = import_nodes(real_nodes(), name="eks").topology

    assert [machine.name for machine in topology.machines] == [
        "p5.48xlarge", "m6i.4xlarge",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "levels"),
    [
        ({"network.topology.nvidia.com/leaf": "l",
          "network.topology.nvidia.com/spine": "s",
          "network.topology.nvidia.com/core": "c",
          "network.topology.nvidia.com/accelerator": "n"}, "core spine leaf nvlink"),
        ({"network.topology.nvidia.com/block": "l",
          "network.topology.nvidia.com/datacenter": "c"}, "core leaf"),
        ({"fabric.topograph.run/tier-0": "l", "fabric.topograph.run/tier-1": "s",
          "accelerator.topograph.run/domain": "n"}, "spine leaf nvlink"),
        ({"cloud.google.com/gce-topology-block": "l",
          "cloud.google.com/gce-topology-subblock": "r",
          "cloud.google.com/gce-topology-host": "h"}, "leaf rack"),
        ({"topology.k8s.aws/network-node-layer-1": "s",
          "topology.k8s.aws/network-node-layer-2": "l",
          "topology.k8s.aws/network-node-layer-3": "r"}, "spine leaf rack"),
        ({"cloud.provider.com/topology-block": "l",
          "cloud.provider.com/topology-rack": "r"}, "leaf rack"),
        ({"failure-domain.beta.kubernetes.io/zone": "z",
          "topology.kubernetes.io/rack": "r"}, "zone rack"),
        ({"nvidia.com/gpu.clique": "3a1b.7"}, "nvlink"),
    ],
)  # fmt: skip
def test_every_dialect_is_understood(labels: dict[str, str], levels: str) -> None:
    """Topograph, old and new, the clouds, Kueue's example, NVLink domains."""
    found = import_nodes(
        [bare("a", labels, **{"nvidia.com/gpu": "4"})], name="t", rack_size=0
    ).topology

    assert [str(level) for level in found.levels] == levels.split()
    assert {str(s.level) for s in found.switches} == {
        level for level in levels.split() if level in {"leaf", "spine", "core"}
    } or "leaf" not in levels


def test_the_label_that_most_nodes_carry_wins() -> None:
    """Half a migration from one labeller to the next does not halve the cluster."""
    old, new = "network.topology.nvidia.com/leaf", "fabric.topograph.run/tier-0"
    nodes = [bare(f"n{i}", {new: f"l{i % 2}"}) for i in range(3)]
    nodes += [bare("last", {new: "l1", old: "gone"})]

    found = import_nodes(nodes, name="t").topology

    assert found.places(Level.LEAF) == {"l0": ("n0", "n2"), "l1": ("n1", "last")}


def test_the_user_names_the_levels_widest_first() -> None:
    """The last ones are leaf and rack, unless a key says which level it is."""
    nodes = [
        bare(f"n{i}", {"x/pod": "p", "x/tor": f"t{i // 2}", "x/cab": f"c{i}"})
        for i in range(4)
    ]

    plain = import_nodes(nodes, name="t", levels=["x/pod", "x/tor", "x/cab"])
    said = import_nodes(nodes, name="t", levels=["core=x/pod", "leaf=x/tor"])

    assert [str(level) for level in plain.topology.levels] == ["spine", "leaf", "rack"]
    assert [str(level) for level in said.topology.levels] == ["core", "leaf"]
    assert plain.levels[1] == (Level.LEAF, "the label x/tor")


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        (["x/none"], "x/none: no node has that label; about topology they have x/top"),
        (["row=x/topology"], "there is no level 'row'"),
        (["x/topology", "x/topology"], "named twice"),
        (["rack=x/topology", "x/other"], "both stand for the level rack"),
        ([f"x/{i}" for i in range(6)], "6 keys, at most 5"),
    ],
)
def test_wrong_levels_are_refused(levels: list[str], says: str) -> None:
    """With what there is instead."""
    labels = {"x/topology": "a", "x/other": "b", **{f"x/{i}": "c" for i in range(6)}}

    with pytest.raises(BadInput, match=says):
        import_nodes([bare("n", labels)], name="t", levels=levels)


def test_without_labels_there_are_racks_of_a_size() -> None:
    """In the order of the file, within a zone; the notes say that they are assumed."""
    zones = ["a", "a", "b", "a", "b", "a", "a"]
    nodes = [
        bare(f"n{i}", {"topology.kubernetes.io/zone": zone})
        for i, zone in enumerate(zones)
    ]

    four = import_nodes(nodes, name="t").topology
    two = import_nodes(nodes, name="t", rack_size=2).topology
    none = import_nodes(nodes, name="t", rack_size=0).topology

    assert [r.nodes for r in four.racks] == [
        ("n0", "n1", "n3", "n5"),
        ("n2", "n4"),
        ("n6",),
    ]
    assert {len(rack.nodes) for rack in two.racks} == {1, 2}
    assert none.racks == ()
    assert any("racks of 4 for 7 nodes" in note for note in four.notes)
    assert four.nodes[0].power_feeds == ("rack-000/feed-a", "rack-000/feed-b")


def test_places_that_share_a_name_stay_apart() -> None:
    """Rack r1 of one zone is not rack r1 of another."""
    zone, rack = "topology.kubernetes.io/zone", "topology.kubernetes.io/rack"
    nodes = [bare(f"n{z}", {zone: f"z{z}", rack: "r1"}) for z in range(2)]

    found = import_nodes(nodes, name="t").topology

    assert found.places(Level.RACK) == {"z0.r1": ("n0",), "z1.r1": ("n1",)}
    assert dict(found.nodes[0].labels)[rack] == "r1"


def test_leaves_without_a_spine_are_joined() -> None:
    """Since every node of a cluster can reach every other."""
    key = "network.topology.nvidia.com/leaf"
    nodes = [bare(f"n{i}", {key: f"l{i}"}) for i in range(2)]

    found = import_nodes(nodes, name="t").topology

    assert [(s.name, s.uplinks) for s in found.switches] == [
        ("l0", (("spine-of-all", 100),)), ("l1", (("spine-of-all", 100),)),
        ("spine-of-all", ()),
    ]  # fmt: skip


def test_gpus_that_are_cut_are_counted_whole() -> None:
    """MIG, mixed: seven slices of each of two GPUs; single: the same as GPUs."""
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
        "nvidia.com/gpu.count": "2",
    }
    single = {
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb",
        "nvidia.com/gpu.count": "14",
    }
    nodes = [
        bare(
            "mixed", labels, **{"nvidia.com/mig-1g.10gb": "14", "nvidia.com/gpu": "0"}
        ),
        bare("single", single, **{"nvidia.com/gpu": "14"}),
        bare(
            "uneven", labels, **{"nvidia.com/mig-1g.10gb": "7", "nvidia.com/gpu": "1"}
        ),
    ]

    found = import_nodes(nodes, name="t").topology

    assert [node.gpus for node in found.nodes] == [2, 2, 2]
    assert found.node("mixed").machine.mig == (("1g.10gb", 7),)
    assert found.node("uneven").machine.mig == ()
    for was, now in zip(nodes, objects_of(found), strict=True):
        assert now["status"]["capacity"] == was["status"]["capacity"]


def test_gpus_that_are_shared_are_counted_once() -> None:
    """Time slicing offers more of them than there are."""
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-L4-SHARED",
        "nvidia.com/gpu.count": "2",
        "nvidia.com/gpu.replicas": "4",
    }
    found = import_nodes([bare("n", labels, **{"nvidia.com/gpu": "8"})], name="t")

    node = found.topology.nodes[0]
    assert node.gpus == 2
    assert node.machine.gpu is not None
    assert node.machine.gpu.product == "NVIDIA-L4"
    assert ("nvidia.com/gpu", "8") in node.capacity


def test_amd_gpus_and_other_devices_are_there() -> None:
    """What is no GPU of NVIDIA or AMD stays an amount."""
    labels = {"amd.com/gpu.product-name": "AMD_Instinct_X", "amd.com/gpu.vram": "192G"}
    found = import_nodes(
        [
            bare("amd", labels, **{"amd.com/gpu": "8"}),
            bare("gaudi", {}, **{"habana.ai/gaudi": "8"}),
        ],
        name="t",
    ).topology

    amd, gaudi = found.nodes
    assert amd.gpus == 8
    assert amd.gpu_resource == "amd.com/gpu"
    assert amd.machine.gpu is not None
    assert amd.machine.gpu.memory_mib == 192 * 1024
    assert gaudi.gpus == 0
    assert ("habana.ai/gaudi", "8") in gaudi.capacity


def test_taints_of_the_moment_stay_behind() -> None:
    """Those that controllers put on a node that is not well, and take off again."""
    node = bare("n", {})
    keys = ["not-ready", "unreachable", "memory-pressure", "unschedulable"]
    taints = [{"key": f"node.kubernetes.io/{k}", "effect": "NoSchedule"} for k in keys]
    node["spec"] = {"taints": [*taints, {"key": "own", "effect": "NoExecute"}]}
    node["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]

    found = import_nodes([node], name="t")

    assert found.topology.nodes[0].taints == (("own", "", "NoExecute"),)
    assert sum("node.kubernetes.io/" in line for line in found.dropped) == 4
    assert any("n is not Ready" in line for line in found.dropped)


@pytest.mark.parametrize(
    ("objects", "says"),
    [
        ([], "no Node objects"),
        ([{"kind": "Pod", "metadata": {"name": "p"}}], "Pod 'p' is no Node"),
        ([{"kind": "Node", "metadata": {"name": "n"}}], "n: status.capacity is empty"),
        ([bare("n", {}), bare("n", {})], "Node n is there more than once"),
        ([bare("n", {}, cpu="many")], "n: status.capacity.cpu: 'many' is no quantity"),
        ([bare("n", {}, cpu="-1")], "status.capacity.cpu is '-1'"),
        ([bare("n", {}, **{"nvidia.com/gpu": "4096"})], "4096 GPUs, at most 1024"),
    ],
)
def test_what_is_wrong_is_named(objects: list[dict[str, Any]], says: str) -> None:
    """The node and the field."""
    with pytest.raises(BadInput, match=says):
        import_nodes(objects, name="t")


def test_an_unknown_machine_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(
        BadInput, match=r"machine 'dgx-9000' is unknown: use .*dgx-h100"
    ):
        machine_named("dgx-9000")


@pytest.mark.parametrize(
    ("text", "value"),
    [("64", 64), ("1930m", 1.93), ("2Ki", 2048), ("1e3", 1000), (".5", 0.5),
     ("3E", 3 * 10**18), ("1Ei", 2**60), (8, 8)],
)  # fmt: skip
def test_quantities_are_those_of_kubernetes(text: object, value: float) -> None:
    """Decimal, binary and exponent forms."""
    assert float(amount(text, "x")) == pytest.approx(value)
