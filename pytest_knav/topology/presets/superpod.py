"""
NVIDIA DGX SuperPODs: scalable units of 32 systems, one leaf switch for each rail.

Figures: NVIDIA DGX SuperPOD reference architecture, DGX H100 (four systems in a rack,
32 in a scalable unit, eight rails of 400 Gbit/s, four spine switches for each of up to
four scalable units; larger ones have core switches), and the DGX H100 user guide (two
Xeon 8480C with 56 cores each, 2 TiB of memory, four NVSwitches).
"""

from __future__ import annotations

from typing import Final

from pytest_knav.topology.machine import GpuModel, GpuSlot, Machine, NicSlot
from pytest_knav.topology.model import Level, NodeSpec, Switch, Topology
from pytest_knav.topology.presets.preset import Preset


_NODES_PER_RACK: Final = 4
_NODES_PER_UNIT: Final = 32
_UNITS_PER_SPINE_GROUP: Final = 4
_SPINES_PER_UNIT: Final = 4
_NODES_PER_ZONE: Final = 1024
_SOURCE: Final = "NVIDIA DGX SuperPOD reference architecture, DGX H100"

H100: Final = GpuModel(
    product="NVIDIA-H100-80GB-HBM3",
    vendor="nvidia",
    family="hopper",
    resource="nvidia.com/gpu",
    memory_mib=81559,
    power_w=700,
    compute="9.0",
    scale_up_gbps=3600,
)
_DGX_H100: Final = Machine(
    name="dgx-h100",
    # 224 hardware threads: Kubernetes counts those.
    cpus=224,
    memory_gib=2048,
    gpu=H100,
    gpus=tuple(GpuSlot(numa=i // 4, pcie_root=i, nic=i) for i in range(8)),
    nics=tuple(NicSlot(numa=i // 4, pcie_root=i, gbps=400, rail=i) for i in range(8)),
    numa_nodes=2,
    nvswitches=4,
)


def _make(count: int) -> Topology:
    nodes = tuple(_node(_DGX_H100, number) for number in range(count))
    return Topology(
        name=_DGX_H100.name,
        source=_SOURCE,
        nodes=nodes,
        switches=_switches(_DGX_H100, count),
    )


def _node(machine: Machine, number: int) -> NodeSpec:
    unit = number // _NODES_PER_UNIT
    rack = f"rack-{number // _NODES_PER_RACK:03d}"
    name = f"{machine.name}-{number:04d}"
    return NodeSpec(
        name=name,
        machine=machine,
        places=(
            (Level.REGION, "region-0"),
            (Level.ZONE, f"zone-{number // _NODES_PER_ZONE}"),
            (Level.SPINE, f"spine-group-{unit // _UNITS_PER_SPINE_GROUP}"),
            (Level.LEAF, f"su-{unit:03d}"),
            (Level.RACK, rack),
        ),
        uplinks=tuple(_leaf(unit, nic.rail) for nic in machine.nics),
        power_feeds=(f"{rack}/feed-a", f"{rack}/feed-b"),
        nvlink_domain=f"{name}/nvlink",
    )


def _leaf(unit: int, rail: int | None) -> str:
    return f"leaf-{unit:03d}-rail-{rail}"


def _switches(machine: Machine, count: int) -> tuple[Switch, ...]:
    units = -(-count // _NODES_PER_UNIT)
    groups = -(-units // _UNITS_PER_SPINE_GROUP)
    leaves, spines = [], []
    for group in range(groups):
        first = group * _UNITS_PER_SPINE_GROUP
        here = range(first, min(units, first + _UNITS_PER_SPINE_GROUP))
        # Three units need as many as four: a leaf has 32 uplinks, to 4, 8 or 16 spines.
        number = _SPINES_PER_UNIT * (4 if len(here) == 3 else len(here))
        names = [f"spine-{group:02d}-{i:02d}" for i in range(number)]
        leaves += [
            Switch(
                name=_leaf(unit, nic.rail),
                level=Level.LEAF,
                uplinks=tuple((n, _NODES_PER_UNIT * nic.gbps // number) for n in names),
                rail=nic.rail,
            )
            for unit in here
            for nic in machine.nics
        ]
        spines += [
            Switch(name=name, level=Level.SPINE, uplinks=_cores(groups, machine))
            for name in names
        ]
    cores = [Switch(name=n, level=Level.CORE) for n, _ in _cores(groups, machine)]
    return (*leaves, *spines, *cores)


def _cores(groups: int, machine: Machine) -> tuple[tuple[str, int], ...]:
    if groups == 1:
        return ()
    names = [f"core-{i:02d}" for i in range(_SPINES_PER_UNIT * _UNITS_PER_SPINE_GROUP)]
    gbps = _NODES_PER_UNIT * machine.nics[0].gbps // len(names)
    return tuple((name, gbps) for name in names)


DGX_H100: Final = Preset(
    name="dgx-h100",
    title="DGX H100 SuperPOD: 8 GPUs a node, 8 rails of 400 Gbit/s",
    source=_SOURCE,
    default_nodes=32,
    make=_make,
)
