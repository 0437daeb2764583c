"""
Faults: what breaks in a GPU cluster, as its control plane and schedulers see it.

Each fault is a frozen value that says what it changes, what real failure it stands for,
and what it does not certify. `chaos.inject` makes, observes and undoes it.
"""

from __future__ import annotations


if __name__ != "pytest_knav.faults":
    raise ImportError(
        f"this package is pytest_knav.faults, not {__name__}: "
        "write `import pytest_knav.faults`, and run pytest from the project's root"
    )

from pytest_knav.faults.base import Fault, FaultCard, Signal, World
from pytest_knav.faults.control_plane import ComponentKill, ComponentPause
from pytest_knav.faults.gpu import Action, GpuLost, GpuThrottle, GpuXid
from pytest_knav.faults.node import (
    NodeCordon,
    NodeCrash,
    NodeDeletion,
    NodeDrain,
    NodeNotReady,
    NodePressure,
    NodeReboot,
)
from pytest_knav.faults.pod import (
    ContainerExit,
    HangBeforeReady,
    ImagePullFailure,
    InitFailure,
    LemonNode,
    OutOfMemoryKill,
    StuckTerminating,
)
from pytest_knav.faults.power import PowerLoss


__all__ = [
    "Action",
    "ComponentKill",
    "ComponentPause",
    "ContainerExit",
    "Fault",
    "FaultCard",
    "GpuLost",
    "GpuThrottle",
    "GpuXid",
    "HangBeforeReady",
    "ImagePullFailure",
    "InitFailure",
    "LemonNode",
    "NodeCordon",
    "NodeCrash",
    "NodeDeletion",
    "NodeDrain",
    "NodeNotReady",
    "NodePressure",
    "NodeReboot",
    "OutOfMemoryKill",
    "PowerLoss",
    "Signal",
    "StuckTerminating",
    "World",
]
