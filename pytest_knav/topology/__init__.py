"""What is simulated: racks, nodes and GPUs, and what a scheduler sees of them."""

from __future__ import annotations

from pytest_knav.topology.model import NodeSpec, Rack, Topology
from pytest_knav.topology.presets import PRESETS, make_topology


__all__ = ["PRESETS", "NodeSpec", "Rack", "Topology", "make_topology"]
