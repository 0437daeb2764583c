"""What is simulated: racks and nodes with their GPUs, and what a scheduler sees of it."""

from __future__ import annotations

from pytest_knav.topology.model import NodeSpec, Rack, Topology
from pytest_knav.topology.presets import PRESETS, make_topology


__all__ = ["PRESETS", "NodeSpec", "Rack", "Topology", "make_topology"]
