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
    from pytest_knav.faults.link.targets import nic_of, nvlink_of
    from pytest_knav.faults.network.targets import between
    from pytest_knav.faults.places import correlated, place_of
    from pytest_knav.faults.targets import (
        feed_of,
        gpu_of,
        gpus_of,
        leaf_of,
        node_of,
        pod_of,
        pods_of,
        rack_of,
        rail,
        spine_of,
        zone_of,
    )
    from pytest_knav.faults.words import (
        busiest,
        everything,
        majority,
        minority,
        one,
        percent,
        some,
    )
    from pytest_knav.fixtures.chaos import Chaos
    from pytest_knav.fixtures.exclusion import Exclusion
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
    from pytest_knav.systems import System, SystemProcess
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
    "Exclusion": "fixtures.exclusion",
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
    "System": "systems",
    "SystemProcess": "systems",
    "Topology": "topology",
    "Utilization": "fixtures.utilization",
    "WaitTimeout": "errors",
    "after": "plans.plan",
    "between": "faults.network.targets",
    "busiest": "faults.words",
    "constant": "utilization",
    "correlated": "faults.places",
    "day": "utilization",
    "every": "plans.plan",
    "everything": "faults.words",
    "feed_of": "faults.targets",
    "for_": "plans.plan",
    "gpu_of": "faults.targets",
    "gpus_of": "faults.targets",
    "leaf_of": "faults.targets",
    "load_plan": "plans.plan",
    "majority": "faults.words",
    "minority": "faults.words",
    "nic_of": "faults.link.targets",
    "node_of": "faults.targets",
    "nvlink_of": "faults.link.targets",
    "one": "faults.words",
    "percent": "faults.words",
    "place_of": "faults.places",
    "pod_of": "faults.targets",
    "pods_of": "faults.targets",
    "rack_of": "faults.targets",
    "rail": "faults.targets",
    "ramp": "utilization",
    "replay": "utilization",
    "save_plan": "plans.plan",
    "sequence": "plans.plan",
    "some": "faults.words",
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
    "Exclusion",
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
    "System",
    "SystemProcess",
    "Topology",
    "Utilization",
    "WaitTimeout",
    "after",
    "between",
    "busiest",
    "constant",
    "correlated",
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
    "nic_of",
    "node_of",
    "nvlink_of",
    "one",
    "percent",
    "place_of",
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
