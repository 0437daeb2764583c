"""Dialects: the labels of those who label real nodes, on simulated ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_knav.errors import BadInput
from pytest_knav.topology import GpuModel, Level, NodeSpec, Topology, make_topology
from pytest_knav.topology.dialects import (
    DIALECTS,
    check_value,
    dialect_named,
    labelled,
    levels_dialect,
)


PLACES = (
    (Level.REGION, "r1"),
    (Level.ZONE, "z1"),
    (Level.CORE, "c1"),
    (Level.SPINE, "s1"),
    (Level.LEAF, "l1"),
    (Level.RACK, "k1"),
    (Level.NVLINK, "nvl1"),
)
MACHINE = make_topology("dgx-h100", 1).nodes[0].machine


def topology(*without: Level, **changes: Any) -> Topology:
    """Return one unlabelled node that has a place at every level but some."""
    places = tuple(pair for pair in PLACES if pair[0] not in without)
    node = NodeSpec(name="n1", machine=MACHINE, places=places)
    return Topology(name="t", source="", nodes=(replace(node, **changes),))


def labels_of(made: Topology) -> dict[str, str]:
    """Return the labels of the only node."""
    return dict(made.nodes[0].labels)


@pytest.mark.parametrize(
    ("dialect", "labels"),
    [
        (
            "kubernetes",
            {
                "topology.kubernetes.io/region": "r1",
                "topology.kubernetes.io/zone": "z1",
                "topology.kubernetes.io/rack": "k1",
                "kubernetes.io/hostname": "n1",
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node.kubernetes.io/instance-type": "dgx-h100",
            },
        ),
        (
            "topograph",
            {
                "network.topology.nvidia.com/accelerator": "nvl1",
                "network.topology.nvidia.com/leaf": "l1",
                "network.topology.nvidia.com/spine": "s1",
                "network.topology.nvidia.com/core": "c1",
            },
        ),
        (
            "topograph-1.0",
            {
                "accelerator.topograph.run/domain": "nvl1",
                "fabric.topograph.run/tier-0": "l1",
                "fabric.topograph.run/tier-1": "s1",
                "fabric.topograph.run/tier-2": "c1",
            },
        ),
        (
            "topograph-0.1",
            {
                "network.topology.nvidia.com/accelerator": "nvl1",
                "network.topology.nvidia.com/block": "l1",
                "network.topology.nvidia.com/spine": "s1",
                "network.topology.nvidia.com/datacenter": "c1",
            },
        ),
        (
            "kueue",
            {
                "cloud.provider.com/topology-block": "l1",
                "cloud.provider.com/topology-rack": "k1",
            },
        ),
        (
            "gke",
            {
                "cloud.google.com/gce-topology-block": "l1",
                "cloud.google.com/gce-topology-subblock": "k1",
                "cloud.google.com/gce-topology-host": "n1",
            },
        ),
        (
            "eks",
            {
                "topology.k8s.aws/network-node-layer-1": "s1",
                "topology.k8s.aws/network-node-layer-2": "l1",
                "topology.k8s.aws/network-node-layer-3": "k1",
            },
        ),
    ],
)
def test_a_dialect_writes_its_keys(dialect: str, labels: dict[str, str]) -> None:
    """Those, and no other ones."""
    assert labels_of(labelled(topology(), [dialect])) == labels


def test_gpu_feature_discovery_knows_the_gpus() -> None:
    """What selectors of GPU workloads look at."""
    labels = labels_of(labelled(topology(), ["gpu-feature-discovery"]))

    known = {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.count": "8",
        "nvidia.com/gpu.memory": "81559",
        "nvidia.com/gpu.compute.major": "9",
        "nvidia.com/gpu.compute.minor": "0",
        "nvidia.com/mig.capable": "true",
        "nvidia.com/gpu.sharing-strategy": "none",
    }
    assert known.items() <= labels.items()


def test_nodes_of_one_nvlink_domain_are_one_clique() -> None:
    """In the form of GPU feature discovery: the fabric's UUID, a dot, the clique."""
    one, other = topology(), topology(places=((Level.NVLINK, "nvl2"),))

    cliques = [
        labels_of(labelled(each, ["gpu-feature-discovery"]))["nvidia.com/gpu.clique"]
        for each in (one, one, other)
    ]

    assert cliques[0] == cliques[1] != cliques[2]
    assert all(len(each) == 38 and each.endswith(".1") for each in cliques)


def test_gpus_that_are_cut_are_labelled_by_profile() -> None:
    """As the strategy `mixed` does it; the GPUs themselves have no replicas left."""
    cut = topology(machine=replace(MACHINE, mig=(("1g.10gb", 4), ("3g.40gb", 1))))

    labels = labels_of(labelled(cut, ["gpu-feature-discovery"]))

    known = {
        "nvidia.com/mig.strategy": "mixed",
        "nvidia.com/mig-1g.10gb.count": "32",
        "nvidia.com/mig-1g.10gb.product": "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb",
        "nvidia.com/mig-3g.40gb.count": "8",
        "nvidia.com/mig-3g.40gb.slices.gi": "3",
        "nvidia.com/gpu.replicas": "0",
    }
    assert known.items() <= labels.items()


def test_amds_labeller_writes_both_forms() -> None:
    """And says nothing of NVIDIA's GPUs, nor NVIDIA's of these."""
    gpu = GpuModel(
        product="AMD_Instinct_MI300X_OAM",
        vendor="amd",
        family="AI",
        resource="amd.com/gpu",
        memory_mib=196_592,
        power_w=750,
    )
    amd = topology(machine=replace(MACHINE, gpu=gpu))

    labels = labels_of(labelled(amd, ["amd-node-labeller", "gpu-feature-discovery"]))

    known = {
        "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM",
        "amd.com/gpu.vram": "192G",
        "beta.amd.com/gpu.family.AI": "8",
        "beta.amd.com/gpu.family": "AI",
    }
    assert known.items() <= labels.items()
    assert not [
        k for k in labels if k.startswith("nvidia.com/gpu.") and "clique" not in k
    ]
    assert labels_of(labelled(topology(), ["amd-node-labeller"])) == {}


def test_the_default_leaves_out_what_is_not_there() -> None:
    """A topology of one rack and nothing else is labelled without complaint."""
    poor = topology(*(level for level, _ in PLACES if level is not Level.RACK))

    labels = labels_of(labelled(poor))

    assert labels["topology.kubernetes.io/rack"] == "k1"
    assert not [key for key in labels if "network.topology" in key or "zone" in key]


def test_labels_of_the_machine_and_the_node_win() -> None:
    """In this order: what a user writes onto a node stays."""
    machine = replace(
        MACHINE, labels=(("kubernetes.io/arch", "arm64"), ("example.org/a", "machine"))
    )
    own = topology(machine=machine, labels=(("example.org/a", "node"),))

    labels = labels_of(labelled(own, ["kubernetes"]))

    assert labels["kubernetes.io/arch"] == "arm64"
    assert labels["example.org/a"] == "node"


@pytest.mark.parametrize(
    ("dialect", "without", "message"),
    [
        ("kueue", [Level.RACK], (
            r"kueue cannot express topology 't': it needs the level rack "
            r"\(cloud.provider.com/topology-rack\), and the topology has "
            r"region, zone, core, spine, leaf, nvlink")),
        ("eks", [Level.SPINE], r"dialect eks .* level spine"),
        ("gke", [Level.LEAF], r"dialect gke .* level leaf"),
        ("topograph", [Level.NVLINK, Level.LEAF, Level.SPINE, Level.CORE],
         r"dialect topograph .* level nvlink .*leaf .*spine .*core"),
        ({"rack": "example.org/rack"}, [Level.RACK], r"dialect levels .* level rack"),
    ],
)  # fmt: skip
def test_a_dialect_that_cannot_express_the_topology_is_refused(
    dialect: Any, without: list[Level], message: str
) -> None:
    """Where it was asked for by name: with the level, its key and what there is."""
    with pytest.raises(BadInput, match=message):
        labelled(topology(*without), [dialect])


def test_a_dialect_with_optional_levels_takes_what_there_is() -> None:
    """Topograph writes no core where a fabric has none."""
    labels = labels_of(labelled(topology(Level.CORE), ["topograph"]))

    assert "network.topology.nvidia.com/spine" in labels
    assert "network.topology.nvidia.com/core" not in labels


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 64, (
            r"dialect kueue, level rack: the label cloud.provider.com/topology-rack "
            r"cannot be 'x{64}': it has 64 characters, at most 63")),
        ("rack 7", r"level rack: .* cannot be 'rack 7': letters, digits"),
        ("-rack", r"cannot be '-rack'"),
    ],
)  # fmt: skip
def test_a_value_that_kubernetes_would_refuse_is_refused(
    name: str, message: str
) -> None:
    """With dialect, level, key and value."""
    wrong = topology(places=((Level.LEAF, "l1"), (Level.RACK, name)))

    with pytest.raises(BadInput, match=message):
        labelled(wrong, ["kueue"])


def test_a_wrong_label_of_a_node_is_refused() -> None:
    """With the node's name, also where no dialect wrote it."""
    with pytest.raises(BadInput, match=r"node n1: the label example.org/a cannot be"):
        labelled(topology(labels=(("example.org/a", "not so"),)))


@pytest.mark.parametrize("value", ["", "a", "A.b_c-9", "x" * 63])
def test_what_kubernetes_takes_is_taken(value: str) -> None:
    """Also nothing at all, and the longest one."""
    check_value(value, "node n1", "example.org/a")


def test_an_unknown_dialect_is_refused_with_the_known_ones() -> None:
    """And the one that was meant."""
    with pytest.raises(BadInput, match=r"'topograf' is unknown .*'topograph'.* kueue"):
        dialect_named("topograf")


def test_users_name_their_own_keys() -> None:
    """As Kueue's administrators do."""
    keys = {"leaf": "example.org/block", "rack": "example.org/rack"}

    labels = labels_of(labelled(topology(), [keys]))

    assert labels == {"example.org/block": "l1", "example.org/rack": "k1"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"block": "example.org/block"}, "no level 'block': use region, zone"),
        ({"leaf": "a.b/c", "rack": "a.b/c"}, "a.b/c stands for two levels"),
    ],
)
def test_wrong_keys_of_users_are_refused(keys: dict[str, str], message: str) -> None:
    """A level that does not exist, a label that would be written twice."""
    with pytest.raises(BadInput, match=message):
        levels_dialect(keys)


def test_every_dialect_can_be_written_for_a_topology_with_all_levels() -> None:
    """No two of the default ones fight over a label."""
    everything = topology()
    by_dialect = [
        DIALECTS[name].labels(everything.nodes[0])
        for name in DIALECTS
        if DIALECTS[name].default
    ]

    together = labels_of(labelled(everything))

    assert labels_of(labelled(everything, list(DIALECTS)))
    assert len(together) == sum(map(len, by_dialect))
