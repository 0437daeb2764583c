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
    from pytest_knav.faults.targets import (
        busiest,
        everything,
        feed_of,
        gpu_of,
        gpus_of,
        leaf_of,
        majority,
        minority,
        node_of,
        one,
        percent,
        pod_of,
        pods_of,
        rack_of,
        rail,
        some,
        spine_of,
        zone_of,
    )
    from pytest_knav.fixtures.chaos import Chaos
    from pytest_knav.fixtures.promql import Promql
    from pytest_knav.fixtures.utilization import Utilization
    from pytest_knav.plans.plan import (
        after,
        every,
        for_,
        load_plan,
        save_plan,
        sequence,
        together,
    )
    from pytest_knav.topology import Topology
    from pytest_knav.utilization import constant, day, ramp, replay, training
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
    "Promql": "fixtures.promql",
    "SloBreached": "errors",
    "Topology": "topology",
    "Utilization": "fixtures.utilization",
    "WaitTimeout": "errors",
    "after": "plans.plan",
    "busiest": "faults.targets",
    "constant": "utilization",
    "day": "utilization",
    "every": "plans.plan",
    "everything": "faults.targets",
    "feed_of": "faults.targets",
    "for_": "plans.plan",
    "gpu_of": "faults.targets",
    "gpus_of": "faults.targets",
    "leaf_of": "faults.targets",
    "load_plan": "plans.plan",
    "majority": "faults.targets",
    "minority": "faults.targets",
    "node_of": "faults.targets",
    "one": "faults.targets",
    "percent": "faults.targets",
    "pod_of": "faults.targets",
    "pods_of": "faults.targets",
    "rack_of": "faults.targets",
    "rail": "faults.targets",
    "ramp": "utilization",
    "replay": "utilization",
    "save_plan": "plans.plan",
    "sequence": "plans.plan",
    "some": "faults.targets",
    "spine_of": "faults.targets",
    "together": "plans.plan",
    "training": "utilization",
    "zone_of": "faults.targets",
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
    "Promql",
    "SloBreached",
    "Topology",
    "Utilization",
    "WaitTimeout",
    "after",
    "busiest",
    "constant",
    "day",
    "every",
    "everything",
    "feed_of",
    "for_",
    "gpu_of",
    "gpus_of",
    "leaf_of",
    "load_plan",
    "majority",
    "minority",
    "node_of",
    "one",
    "percent",
    "pod_of",
    "pods_of",
    "rack_of",
    "rail",
    "ramp",
    "replay",
    "save_plan",
    "sequence",
    "some",
    "spine_of",
    "together",
    "training",
    "zone_of",
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
