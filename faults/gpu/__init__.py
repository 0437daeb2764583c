"""Faults of single GPUs."""

from __future__ import annotations

from pytest_knav.faults.gpu.policies import POLICIES, Action
from pytest_knav.faults.gpu.throttle import GpuThrottle
from pytest_knav.faults.gpu.xid import GpuLost, GpuXid


__all__ = ["POLICIES", "Action", "GpuLost", "GpuThrottle", "GpuXid"]
