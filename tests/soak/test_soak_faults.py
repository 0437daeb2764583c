"""Every fault, its process killed at every step: the cluster is whole afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.faults import catalogue
from pytest_knav.plans.killing import check_killed


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav import Cluster
    from pytest_knav.faults import Fault

STEPS_MAX = 60
NODE = "dgx-h100-0001"
# What each fault needs beside a node; pods and what only acts have nothing to undo.
TARGETS = {
    "BadJobs": "train-*",
    "CertificateExpired": "kcm",
    "ComponentKill": "scheduler",
    "ComponentPause": "kcm",
    "ComponentReplaced": "scheduler",
    "ComponentRestart": "kcm",
    "CrashLoop": "scheduler",
    "EtcdOutOfSpace": "etcd",
    "LeaderLost": "scheduler",
    "PriorityChanged": "high",
    "QuotaChanged": "default",
    "SlowEtcd": "etcd",
    "WatchCacheExpired": "apiserver",
    "WebhookCertificateExpired": "pods",
    "WebhookDown": "pods",
    "GpuEccError": f"{NODE}/gpu-3",
    "GpuLost": f"{NODE}/gpu-3",
    "GpuRowRemap": f"{NODE}/gpu-3",
    "GpuThrottle": f"{NODE}/gpu-3",
    "GpuXid": f"{NODE}/gpu-3",
    "DegradedBandwidth": f"{NODE}/nic-3",
    "LinkFlapping": f"{NODE}/nic-3",
    "NicDown": f"{NODE}/nic-3",
    "NvlinkDown": f"{NODE}/nvswitch-0",
    "SwitchDown": "leaf-000-rail-3",
    "PlaceLoss": "rack-000",
    "PowerLoss": ["rack-000/feed-a", "rack-000/feed-b"],
}
# What some need to be said besides.
MORE: dict[str, dict[str, Any]] = {
    "CertificateExpired": {"valid_for": "1s"},
    "ComponentReplaced": {"flags": {"v": "1"}},
    "PriorityChanged": {"value": 1_000},
    "QuotaChanged": {"hard": {"pods": "100"}},
}
UNTAKEN = {"ContainerExit", "OutOfMemoryKill"}
# They need proxies between the components: a cluster of their own.
CONNECTIONS = {
    name for name, kind in catalogue.catalogue().items() if kind.kind == "connection"
}
TARGETS |= dict.fromkeys(CONNECTIONS, "kube-scheduler->kube-apiserver")
MARKS = {
    **dict.fromkeys(CONNECTIONS, pytest.mark.knav(network=True)),
    "LeaderLost": pytest.mark.knav(leader_election=True),
}


def fault_named(name: str) -> Fault:
    """Return a fault of the catalogue with what it needs."""
    kind = catalogue.catalogue()[name]
    return kind(TARGETS.get(name, NODE), **MORE.get(name, {}))


def test_the_matrix_has_every_fault_that_can_be_taken_back() -> None:
    """One that could not be made here would be killed by nobody."""
    for name in set(catalogue.catalogue()) - UNTAKEN:
        told = fault_named(name).describe()

        assert catalogue.fault_from_data(told).describe() == told

    assert set(TARGETS) | set(MORE) | UNTAKEN <= set(catalogue.catalogue())


@pytest.mark.knav(topology="dgx-h100", nodes=4)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=MARKS.get(name, ()))
        for name in sorted(set(catalogue.catalogue()) - UNTAKEN)
    ],
)
def test_a_kill_at_any_step_leaves_nothing(
    cluster: Cluster, row: Callable[..., Any], name: str
) -> None:
    """What was begun is undone by its journal, wherever the kill came."""
    fault = fault_named(name)

    steps = 0
    for step in range(1, STEPS_MAX):
        if not check_killed(fault, cluster, step):
            break
        steps = step

    row(f"kill -9 at every step of {name}", steps, "cluster whole each time")
    assert 0 < steps < STEPS_MAX - 1
