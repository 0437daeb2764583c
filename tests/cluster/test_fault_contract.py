"""Every fault of the catalogue keeps the contract, on the real control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Deployment, between, faults
from pytest_knav.faults import contract
from pytest_knav.faults.expressions import parse_target
from pytest_knav.history.record import FAULT


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav import Chaos, Cluster
    from pytest_knav.faults import Fault

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=4)
NODE = "dgx-h100-0001"

EXAMPLES: dict[str, Callable[[], Fault]] = {
    "BadJobs": lambda: faults.BadJobs("train-*", probability=0.5),
    "ContainerExit": lambda: faults.ContainerExit(parse_target("pod_of(work)"), 3),
    "GpuEccError": lambda: faults.GpuEccError(f"{NODE}/gpu-6", 95, detect_after="1s"),
    "GpuLost": lambda: faults.GpuLost([f"{NODE}/gpu-3", f"{NODE}/gpu-4"]),
    "GpuRowRemap": lambda: faults.GpuRowRemap(f"{NODE}/gpu-7", 64),
    "GpuThrottle": lambda: faults.GpuThrottle(f"{NODE}/gpu-0"),
    "GpuXid": lambda: faults.GpuXid(f"{NODE}/gpu-0", 79),
    "HangBeforeReady": lambda: faults.HangBeforeReady(NODE),
    "ImagePullFailure": lambda: faults.ImagePullFailure(NODE),
    "InitFailure": lambda: faults.InitFailure(NODE),
    "LemonNode": lambda: faults.LemonNode(NODE, 0.5, pattern="bursty"),
    "DegradedBandwidth": lambda: faults.DegradedBandwidth(f"{NODE}/nic-*", 0.25),
    "LinkFlapping": lambda: faults.LinkFlapping(f"{NODE}/nic-3", "200ms", label="a=b"),
    "NicDown": lambda: faults.NicDown(
        f"{NODE}/nic-*", taint="a.com/b=c:NoSchedule", label="a=b"
    ),
    "NvlinkDown": lambda: faults.NvlinkDown(f"{NODE}/gpu-5"),
    "SwitchDown": lambda: faults.SwitchDown(["leaf-000-rail-3", "spine-00-01"]),
    "NodeReboot": lambda: faults.NodeReboot(NODE),
    "PlaceLoss": lambda: faults.PlaceLoss("rack-000"),
    "PowerLoss": lambda: faults.PowerLoss(parse_target(f"feed_of({NODE})")),
    "OutOfMemoryKill": lambda: faults.OutOfMemoryKill(parse_target("pods_of(work)")),
    "StuckTerminating": lambda: faults.StuckTerminating(NODE),
    "CertificateExpired": lambda: faults.CertificateExpired("kcm", valid_for="1s"),
    "ComponentKill": lambda: faults.ComponentKill(["scheduler", "apiserver"]),
    "ComponentPause": lambda: faults.ComponentPause("kcm"),
    "ComponentReplaced": lambda: faults.ComponentReplaced(
        "scheduler", feature_gates={"WorkloadAwarePreemption": False}
    ),
    "ComponentRestart": lambda: faults.ComponentRestart("kcm"),
    "CrashLoop": lambda: faults.CrashLoop("scheduler", times=1),
    "EtcdOutOfSpace": faults.EtcdOutOfSpace,
    "LeaderLost": lambda: faults.LeaderLost("scheduler"),
    "PreemptingWork": lambda: faults.PreemptingWork(NODE),
    "PriorityChanged": lambda: faults.PriorityChanged("high", value=1_000),
    "QuotaChanged": lambda: faults.QuotaChanged("default", hard={"pods": "1"}),
    "SlowHeartbeats": lambda: faults.SlowHeartbeats(NODE, "4s"),
    "SlowEtcd": lambda: faults.SlowEtcd(stall="100ms"),
    "WatchCacheExpired": faults.WatchCacheExpired,
    "WebhookCertificateExpired": lambda: faults.WebhookCertificateExpired("pods"),
    "WebhookDown": lambda: faults.WebhookDown("pods"),
    "NodeCordon": lambda: faults.NodeCordon(NODE),
    "NodeCrash": lambda: faults.NodeCrash(NODE),
    "NodeDeletion": lambda: faults.NodeDeletion(NODE),
    "NodeDrain": lambda: faults.NodeDrain(NODE),
    "NodeFlapping": lambda: faults.NodeFlapping(NODE, "600ms"),
    "NodeNotReady": lambda: faults.NodeNotReady(NODE),
    "NodePressure": lambda: faults.NodePressure(NODE, "DiskPressure"),
}

# What some of them need beside that.
MARKS = {"LeaderLost": pytest.mark.knav(leader_election=True)}

# These need proxies between the components: a cluster of their own.
NETWORK_EXAMPLES: dict[str, Callable[[], Fault]] = {
    "ApiErrors": lambda: faults.ApiErrors(
        between("scheduler", "apiserver"), 429, share=0.5, retry_after="1s"
    ),
    "Bandwidth": lambda: faults.Bandwidth(between("kcm", "apiserver"), 200),
    "BlackHole": lambda: faults.BlackHole(between("apiserver", "etcd")),
    "ConnectionReset": lambda: faults.ConnectionReset(between("kwok", "apiserver")),
    "Latency": lambda: faults.Latency(between("apiserver", "etcd"), "40ms", "10ms"),
    "StaleWatch": lambda: faults.StaleWatch(between("scheduler", "apiserver")),
}


def test_every_fault_of_the_catalogue_is_tried() -> None:
    """A fault without an example here would be a fault that nobody tried."""
    known = {
        name
        for name in faults.__all__
        if isinstance(kind := getattr(faults, name), type)
        and issubclass(kind, faults.Fault)
        and kind is not faults.Fault
    }

    assert {*EXAMPLES, *NETWORK_EXAMPLES} == known


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=MARKS.get(n, ())) for n in sorted(EXAMPLES)]
)
def test_a_fault_keeps_the_contract(cluster: Cluster, chaos: Chaos, name: str) -> None:
    """Seen, written down with what it hits, taken back whole."""
    work = cluster.submit(Deployment("work", replicas=8, gpus_per_pod=2))
    cluster.wait_for(work.running, timeout="60s")
    fault = EXAMPLES[name]()

    contract.check_fault(fault, cluster, chaos)

    # Without it a cordon would excuse whatever happens meanwhile (checks/places.py).
    (begun,) = (r for r in chaos.history.records(FAULT) if r.verb == "INJECTING")
    assert (begun.data or {})["kind"] == fault.kind


@pytest.mark.knav(topology="dgx-h100", nodes=4, network=True)
@pytest.mark.parametrize("name", sorted(NETWORK_EXAMPLES))
def test_a_fault_of_a_connection_keeps_the_contract(
    cluster: Cluster, chaos: Chaos, name: str
) -> None:
    """Measured through the connection, written down, taken back whole."""
    contract.check_fault(NETWORK_EXAMPLES[name](), cluster, chaos)
