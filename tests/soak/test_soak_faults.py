"""Every fault, its process killed at every step: the cluster is whole afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.faults import catalogue
from pytest_knav.plans.killing import check_killed


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav import Cluster

STEPS_MAX = 60
NODE = "dgx-h100-0001"
# What each fault needs beside a node; pods and what only acts have nothing to undo.
TARGETS = {
    "ComponentKill": "scheduler",
    "ComponentPause": "kcm",
    "GpuLost": f"{NODE}/gpu-3",
    "GpuThrottle": f"{NODE}/gpu-3",
    "GpuXid": f"{NODE}/gpu-3",
    "PowerLoss": ["rack-000/feed-a", "rack-000/feed-b"],
}
UNTAKEN = {"ContainerExit", "OutOfMemoryKill"}


@pytest.mark.knav(topology="dgx-h100", nodes=4)
@pytest.mark.parametrize("name", sorted(set(catalogue.catalogue()) - UNTAKEN))
def test_a_kill_at_any_step_leaves_nothing(
    cluster: Cluster, row: Callable[..., Any], name: str
) -> None:
    """What was begun is undone by its journal, wherever the kill came."""
    fault = catalogue.catalogue()[name](TARGETS.get(name, NODE))

    steps = 0
    for step in range(1, STEPS_MAX):
        if not check_killed(fault, cluster, step):
            break
        steps = step

    row(f"kill -9 at every step of {name}", steps, "cluster whole each time")
    assert 0 < steps < STEPS_MAX - 1
