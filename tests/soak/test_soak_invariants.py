"""Invariants over many runs: quiet ones are green, broken schedulers red."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Deployment, Gang, Job
from pytest_knav.checks.standing import judge_standing, usual


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav import Chaos, Cluster

QUIET = 20
# The turns that were green: a row says what was seen, not what was hoped for.
GREEN: list[int] = []
RACK = "topology.kubernetes.io/rack"
# The gates of gangs; those that build on GangScheduling go with it.
GANGLESS = {
    "GangScheduling": False,
    "TopologyAwareWorkloadScheduling": False,
    "WorkloadAwarePreemption": False,
}


@pytest.mark.knav(topology="dgx-h100", nodes=16)
@pytest.mark.parametrize("turn", range(QUIET))
def test_a_quiet_run_is_green(
    cluster: Cluster, chaos: Chaos, turn: int, row: Callable[..., None]
) -> None:
    """Gangs, Jobs that end and a service, twenty times: nothing is red or unsure."""
    gang = cluster.submit(Gang("gang", replicas=4, gpus_per_pod=8, topology_key=RACK))
    # It needs a whole rack, and would starve where the service got into all of them.
    cluster.wait_for(gang.running, timeout="60s")
    serve = cluster.submit(Deployment("serve", replicas=8, gpus_per_pod=4))
    work = cluster.submit(Job("work", completions=16, gpus_per_pod=2, run_for="1s"))
    cluster.wait_for(serve.running, timeout="60s")
    cluster.wait_for(work.finished, timeout="60s")
    cluster.catch_up()

    found = judge_standing(chaos.history, usual())

    verdicts = {f.name: f.verdict.status for f in found if f.looked_at}
    assert set(verdicts) >= {"gang", "placement", "capacity", "topology", "once"}
    assert set(verdicts.values()) == {"pass"}
    GREEN.append(turn)
    if turn == QUIET - 1:
        title = "quiet run by all standing invariants, 16 nodes"
        row(title, QUIET, f"{len(GREEN)} green")


@pytest.mark.knav(topology="dgx-h100", nodes=8, feature_gates=GANGLESS)
def test_a_scheduler_without_topology_is_found(cluster: Cluster) -> None:
    """Six members of eight GPUs do not fit into a rack of four nodes."""
    gang = cluster.submit(Gang("gang", replicas=6, gpus_per_pod=8, topology_key=RACK))
    cluster.wait_for(gang.running, timeout="60s")
    cluster.catch_up()

    (found,) = judge_standing(cluster.history, {"topology": None})

    assert found.verdict.status == "fail"
    assert RACK in found.verdict.evidence[0]
