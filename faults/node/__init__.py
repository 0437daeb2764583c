"""Faults of whole nodes."""

from __future__ import annotations

from pytest_knav.faults.node.crash import NodeCrash
from pytest_knav.faults.node.flapping import NodeFlapping
from pytest_knav.faults.node.kubelet import NodeNotReady, NodePressure
from pytest_knav.faults.node.reboot import NodeReboot
from pytest_knav.faults.node.slow import SlowHeartbeats
from pytest_knav.faults.node.upkeep import NodeCordon, NodeDeletion, NodeDrain


__all__ = [
    "NodeCordon",
    "NodeCrash",
    "NodeDeletion",
    "NodeDrain",
    "NodeFlapping",
    "NodeNotReady",
    "NodePressure",
    "NodeReboot",
    "SlowHeartbeats",
]
