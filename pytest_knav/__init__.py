"""
Chaos tests for the schedulers of GPU clusters, as a pytest plugin.

Everything here is loaded when it is first used (PEP 562): pytest imports this package
for every one of its users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from pytest_knav.control_plane.cluster import Cluster
    from pytest_knav.errors import (
        AssetError,
        BadInput,
        ClusterError,
        HarnessError,
        Inconclusive,
        InjectionNotObserved,
        InvariantViolated,
        KnavAssertionError,
        NotRecovered,
        SloBreached,
        WaitTimeout,
    )
    from pytest_knav.faults.targets import minority, node_of, percent, rack_of
    from pytest_knav.fixtures.chaos import Chaos
    from pytest_knav.workloads import Deployment, Gang, Job, Manifest, Pod

__version__ = "0.1.0"

_HOMES = {
    "AssetError": "errors",
    "BadInput": "errors",
    "Chaos": "fixtures.chaos",
    "Cluster": "control_plane.cluster",
    "ClusterError": "errors",
    "Deployment": "workloads",
    "Gang": "workloads",
    "HarnessError": "errors",
    "Inconclusive": "errors",
    "InjectionNotObserved": "errors",
    "InvariantViolated": "errors",
    "Job": "workloads",
    "KnavAssertionError": "errors",
    "Manifest": "workloads",
    "NotRecovered": "errors",
    "Pod": "workloads",
    "SloBreached": "errors",
    "WaitTimeout": "errors",
    "minority": "faults.targets",
    "node_of": "faults.targets",
    "percent": "faults.targets",
    "rack_of": "faults.targets",
}

__all__ = [
    "AssetError",
    "BadInput",
    "Chaos",
    "Cluster",
    "ClusterError",
    "Deployment",
    "Gang",
    "HarnessError",
    "Inconclusive",
    "InjectionNotObserved",
    "InvariantViolated",
    "Job",
    "KnavAssertionError",
    "Manifest",
    "NotRecovered",
    "Pod",
    "SloBreached",
    "WaitTimeout",
    "minority",
    "node_of",
    "percent",
    "rack_of",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    """Load a public name from its home."""
    home = _HOMES.get(name)
    if home is None:
        message = f"module 'pytest_knav' has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module  # noqa: PLC0415 - as light as can be

    return getattr(import_module(f"pytest_knav.{home}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
