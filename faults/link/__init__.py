"""Faults of links: NICs, NVLink, switches; what they do to collectives."""

from __future__ import annotations

from pytest_knav.faults.link.degraded import DegradedBandwidth
from pytest_knav.faults.link.flapping import LinkFlapping
from pytest_knav.faults.link.nic import NicDown
from pytest_knav.faults.link.nvlink import NvlinkDown
from pytest_knav.faults.link.switch import SwitchDown


__all__ = [
    "DegradedBandwidth",
    "LinkFlapping",
    "NicDown",
    "NvlinkDown",
    "SwitchDown",
]
