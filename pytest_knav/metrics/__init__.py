"""
Metrics: what real exporters would say of the simulated cluster, for Prometheus to read.

GPU series are named as dcgm-exporter names them, states of objects as
kube-state-metrics does, NICs as node_exporter does.
"""

from __future__ import annotations

from pytest_knav.metrics.exporter import Exporter, Source
from pytest_knav.metrics.signals import GpuSignal, GpuSignals


__all__ = ["Exporter", "GpuSignal", "GpuSignals", "Source"]
