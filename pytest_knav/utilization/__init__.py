"""
Utilization: how much cpu, memory and GPU pods use, as profiles over time.

`kubectl top` and the HorizontalPodAutoscaler see it through KWOK and metrics-server,
Prometheus through our exporter.
"""

from __future__ import annotations

from pytest_knav.utilization.model import Load, LoadBook
from pytest_knav.utilization.profiles import (
    Profile,
    constant,
    day,
    ramp,
    training,
)
from pytest_knav.utilization.trace import replay


__all__ = [
    "Load",
    "LoadBook",
    "Profile",
    "constant",
    "day",
    "ramp",
    "replay",
    "training",
]
