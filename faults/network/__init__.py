"""Faults of the connections between the components of a control plane."""

from __future__ import annotations

from pytest_knav.faults.network.requests import ApiErrors, StaleWatch
from pytest_knav.faults.network.wire import (
    Bandwidth,
    BlackHole,
    ConnectionReset,
    Latency,
)


__all__ = [
    "ApiErrors",
    "Bandwidth",
    "BlackHole",
    "ConnectionReset",
    "Latency",
    "StaleWatch",
]
