"""Faults of single GPUs."""

from __future__ import annotations

from pytest_knav.faults.gpu.memory import GpuEccError, GpuRowRemap
from pytest_knav.faults.gpu.policies import POLICIES, Action
from pytest_knav.faults.gpu.throttle import GpuThrottle
from pytest_knav.faults.gpu.xid import GpuLost, GpuXid


__all__ = [
    "POLICIES",
    "Action",
    "GpuEccError",
    "GpuLost",
    "GpuRowRemap",
    "GpuThrottle",
    "GpuXid",
]
