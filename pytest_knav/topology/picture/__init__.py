"""Pictures of a topology: a tree for the terminal, and an SVG for everything else."""

from __future__ import annotations

from pytest_knav.topology.picture.status import (
    NodeHealth,
    NodeStatus,
    Status,
    SwitchHealth,
)
from pytest_knav.topology.picture.svg import svg
from pytest_knav.topology.picture.tree import describe


__all__ = ["NodeHealth", "NodeStatus", "Status", "SwitchHealth", "describe", "svg"]
