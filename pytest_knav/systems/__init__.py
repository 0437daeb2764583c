"""
Systems under test: your scheduler or operator beside the cluster.

A `System` says everything that is needed to run it as processes of this host, without
a container engine and without changing it.
"""

from __future__ import annotations

from pytest_knav.systems.model import System, SystemProcess


__all__ = ["System", "SystemProcess"]
