"""What is simulated: places, switches, nodes, GPUs, and what a scheduler sees of it."""

from __future__ import annotations

from pytest_knav.topology.machine import GpuModel, GpuSlot, Machine, NicSlot
from pytest_knav.topology.model import (
    Gpu,
    Level,
    Link,
    NodeSpec,
    Rack,
    Switch,
    Topology,
)
from pytest_knav.topology.presets import PRESETS, make_topology


__all__ = [
    "PRESETS",
    "Gpu",
    "GpuModel",
    "GpuSlot",
    "Level",
    "Link",
    "Machine",
    "NicSlot",
    "NodeSpec",
    "Rack",
    "Switch",
    "Topology",
    "make_topology",
]
