"""Every fault of the catalogue keeps the contract, on the real control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Deployment, faults
from pytest_knav.faults import contract
from pytest_knav.faults.expressions import parse_target


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav import Chaos, Cluster
    from pytest_knav.faults import Fault

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=4)
NODE = "dgx-h100-0001"

EXAMPLES: dict[str, Callable[[], Fault]] = {
    "ContainerExit": lambda: faults.ContainerExit(parse_target("pod_of(work)"), 3),
    "GpuLost": lambda: faults.GpuLost([f"{NODE}/gpu-3", f"{NODE}/gpu-4"]),
    "GpuThrottle": lambda: faults.GpuThrottle(f"{NODE}/gpu-0"),
    "GpuXid": lambda: faults.GpuXid(f"{NODE}/gpu-0", 79),
    "HangBeforeReady": lambda: faults.HangBeforeReady(NODE),
    "ImagePullFailure": lambda: faults.ImagePullFailure(NODE),
    "InitFailure": lambda: faults.InitFailure(NODE),
    "LemonNode": lambda: faults.LemonNode(NODE, probability=0.5),
    "NodeReboot": lambda: faults.NodeReboot(NODE),
    "PowerLoss": lambda: faults.PowerLoss(parse_target(f"feed_of({NODE})")),
    "OutOfMemoryKill": lambda: faults.OutOfMemoryKill(parse_target("pods_of(work)")),
    "StuckTerminating": lambda: faults.StuckTerminating(NODE),
    "ComponentKill": lambda: faults.ComponentKill(["scheduler", "apiserver"]),
    "ComponentPause": lambda: faults.ComponentPause("kcm"),
    "NodeCordon": lambda: faults.NodeCordon(NODE),
    "NodeCrash": lambda: faults.NodeCrash(NODE),
    "NodeDeletion": lambda: faults.NodeDeletion(NODE),
    "NodeDrain": lambda: faults.NodeDrain(NODE),
    "NodeNotReady": lambda: faults.NodeNotReady(NODE),
    "NodePressure": lambda: faults.NodePressure(NODE, "DiskPressure"),
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

    assert set(EXAMPLES) == known


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_fault_keeps_the_contract(cluster: Cluster, chaos: Chaos, name: str) -> None:
    """Seen, written down, taken back whole."""
    work = cluster.submit(Deployment("work", replicas=8, gpus_per_pod=2))
    cluster.wait_for(work.running, timeout="60s")

    contract.check_fault(EXAMPLES[name](), cluster, chaos)
