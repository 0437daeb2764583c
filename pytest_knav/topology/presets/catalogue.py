"""
The presets, each with its source.

- DGX H100: NVIDIA DGX SuperPOD reference architecture, DGX H100 (RA-11333-001): 32
  systems in a scalable unit, four in a rack, one leaf switch a rail. Numbers of spine
  and core switches are those of the edition for DGX B200, which has as many rails of
  the same rate (`reference-architecture-scalable-infrastructure-b200`, "DGX SuperPOD
  Architecture", for 2, 4, 8, 16, 32 and 64 units); those for one and three units, which
  it leaves out, are the smallest that block nothing.
- DGX A100: NVIDIA DGX SuperPOD reference architecture, DGX A100 (RA-09950-001): 20
  systems in a unit, one leaf switch a rail, switches of 40 ports.
- GB200 NVL72: NVIDIA DGX SuperPOD reference architecture, DGX GB200 ("Network
  Fabrics"): a rack has 18 compute trays and nine NVLink switch trays with two
  NVSwitches each, eight racks are a unit.
- MI300X: AMD Instinct MI3XX Reference Design: a NIC for each GPU, NICs of a rank on
  the same leaf switch.
- tree-12: NVIDIA Knavigator, `resources/benchmarks/nwtopo`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_knav.topology.machine import Machine, NicSlot
from pytest_knav.topology.model import Level, NodeSpec, Switch, Topology
from pytest_knav.topology.presets import gpus
from pytest_knav.topology.presets.fabrics import RailOptimised, TopOfRack
from pytest_knav.topology.presets.preset import Preset


if TYPE_CHECKING:
    from collections.abc import Callable

_H100_PODS: Final = RailOptimised(
    unit=32,
    rack=4,
    spines={1: 4, 2: 8, 3: 16, 4: 16, 8: 32},
    pod=4,
    pod_spines=32,
    ports=64,
)
_A100_PODS: Final = RailOptimised(
    unit=20,
    rack=4,
    spines={1: 4, 2: 10, 5: 20},
    pod=2,
    pod_spines=20,
    ports=40,
    notes=("spine and core switches: as many switches of 40 ports as block nothing",),
)
_GB200_PODS: Final = RailOptimised(
    unit=144,
    rack=18,
    spines={1: 18, 2: 36, 3: 54, 4: 72},
    pod=1,
    pod_spines=18,
    ports=64,
    scale_up=18,
    nvswitches=18,
    notes=(
        "compute fabric: one leaf switch a rail in a unit; others so that none blocks",
    ),
)
_MI300X_PODS: Final = replace(
    _H100_PODS, notes=("sizes of units and pods: as in a SuperPOD of DGX H100",)
)
_GPU_RACKS: Final = TopOfRack(rack=4, group=16, spines=8)
_CPU_RACKS: Final = TopOfRack(rack=20, group=8, spines=4, oversubscribed=3)

_TREE_SOURCE: Final = "NVIDIA Knavigator, resources/benchmarks/nwtopo"
_NODES_PER_LEAF, _LEAVES_PER_SPINE = 2, 2
# Knavigator's nodes are of type dgxa100.80g; one NIC is enough for a tree.
_TREE_NODE: Final = replace(
    gpus.DGX_A100,
    name="tree-12",
    gpus=tuple(replace(slot, nic=0) for slot in gpus.DGX_A100.gpus),
    nics=(NicSlot(gbps=200),),
)


def _tree(count: int) -> Topology:
    """Return a tree of switches: two nodes a leaf, two leaves a spine, one core."""
    leaves = -(-count // _NODES_PER_LEAF)
    spines = -(-leaves // _LEAVES_PER_SPINE)
    gbps = _NODES_PER_LEAF * _TREE_NODE.fabric_gbps
    low = [
        Switch(
            name=f"sw1{i + 1}",
            level=Level.LEAF,
            uplinks=((f"sw2{i // _LEAVES_PER_SPINE + 1}", gbps),),
        )
        for i in range(leaves)
    ]
    up = (("sw31", _LEAVES_PER_SPINE * gbps),)
    high = [
        Switch(name=f"sw2{i + 1}", level=Level.SPINE, uplinks=up) for i in range(spines)
    ]
    return Topology(
        name="tree-12",
        source=_TREE_SOURCE,
        nodes=tuple(_tree_node(i) for i in range(count)),
        switches=(*low, *high, Switch(name="sw31", level=Level.CORE)),
    )


def _tree_node(number: int) -> NodeSpec:
    leaf = number // _NODES_PER_LEAF
    name = f"sw1{leaf + 1}"
    return NodeSpec(
        name=f"n{number + 1}",
        machine=_TREE_NODE,
        places=(
            (Level.CORE, "sw31"),
            (Level.SPINE, f"sw2{leaf // _LEAVES_PER_SPINE + 1}"),
            (Level.LEAF, name),
        ),
        uplinks=(name,),
    )


def _mixed(count: int) -> Topology:
    """Return pools of three kinds: half H100, a quarter A100, the rest CPUs."""
    parts = [
        _H100_PODS.make(gpus.DGX_H100, -(-count // 2), ""),
        _A100_PODS.make(gpus.DGX_A100, count // 4, "") if count // 4 else None,
        _CPU_RACKS.make(gpus.CPU_SERVER, rest, "")
        if (rest := count - -(-count // 2) - count // 4)
        else None,
    ]
    made = [_apart(part, part.nodes[0].machine.name) for part in parts if part]
    return Topology(
        name="mixed",
        source="dgx-h100, dgx-a100 and cpu, each with a fabric of its own",
        nodes=tuple(node for part in made for node in part.nodes),
        switches=tuple(switch for part in made for switch in part.switches),
        notes=tuple(f"{part.name}: {note}" for part in made for note in part.notes),
    )


def _apart(part: Topology, prefix: str) -> Topology:
    """Return a part of a larger topology, its places and switches named apart."""

    def own(name: str) -> str:
        return f"{prefix}-{name}"

    nodes = tuple(
        replace(
            node,
            places=tuple(
                (at, name if at is Level.REGION else own(name))
                for at, name in node.places
            ),
            uplinks=tuple(None if leaf is None else own(leaf) for leaf in node.uplinks),
            power_feeds=tuple(map(own, node.power_feeds)),
        )
        for node in part.nodes
    )
    switches = tuple(
        replace(
            switch,
            name=own(switch.name),
            uplinks=tuple((own(name), gbps) for name, gbps in switch.uplinks),
        )
        for switch in part.switches
    )
    return replace(part, nodes=nodes, switches=switches)


def _preset(
    title: str,
    source: str,
    nodes: int,
    machine: Machine,
    shape: RailOptimised | TopOfRack,
) -> Preset:
    make: Callable[[int], Topology] = lambda count: shape.make(  # noqa: E731
        machine, count, source
    )
    return Preset(
        name=machine.name, title=title, source=source, default_nodes=nodes, make=make
    )


PRESETS: Final[dict[str, Preset]] = {
    preset.name: preset
    for preset in (
        _preset(
            "DGX H100 SuperPOD: 8 GPUs a node, 8 rails of 400 Gbit/s",
            "NVIDIA DGX SuperPOD reference architecture, DGX H100 (RA-11333-001)",
            32,
            gpus.DGX_H100,
            _H100_PODS,
        ),
        _preset(
            "DGX A100 SuperPOD: 8 GPUs a node, 8 rails of 200 Gbit/s",
            "NVIDIA DGX SuperPOD reference architecture, DGX A100 (RA-09950-001)",
            20,
            gpus.DGX_A100,
            _A100_PODS,
        ),
        _preset(
            "DGX A100 SuperPOD, each GPU cut into seven MIG devices",
            "NVIDIA DGX SuperPOD reference architecture, DGX A100 (RA-09950-001); "
            "NVIDIA MIG user guide",
            20,
            gpus.DGX_A100_MIG,
            _A100_PODS,
        ),
        _preset(
            "HGX H100 servers, four to a rack, one leaf switch a rack",
            "NVIDIA HGX H100; a two-tier Clos of Ethernet leaf and spine switches",
            16,
            gpus.HGX_H100,
            _GPU_RACKS,
        ),
        _preset(
            "GB200 NVL72: racks of 18 compute trays, 72 GPUs in one NVLink domain",
            "NVIDIA DGX SuperPOD reference architecture, DGX GB200",
            36,
            gpus.GB200_TRAY,
            _GB200_PODS,
        ),
        _preset(
            "MI300X servers: 8 GPUs a node, 8 rails of 400 Gbit/s",
            "AMD Instinct MI300X platform; AMD Instinct MI3XX Reference Design, rails",
            32,
            gpus.MI300X_SERVER,
            _MI300X_PODS,
        ),
        _preset(
            "servers without GPUs, twenty to a rack",
            "an ordinary two-socket server; a Clos with 3:1 oversubscription",
            20,
            gpus.CPU_SERVER,
            _CPU_RACKS,
        ),
        Preset(
            name="mixed",
            title="half DGX H100, a quarter DGX A100, a quarter servers without GPUs",
            source="as dgx-h100, dgx-a100 and cpu",
            default_nodes=32,
            make=_mixed,
        ),
        Preset(
            name="tree-12",
            title="twelve nodes under a tree of switches, two to a leaf",
            source=_TREE_SOURCE,
            default_nodes=12,
            make=_tree,
        ),
    )
}
