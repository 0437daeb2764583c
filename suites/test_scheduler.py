"""The scheduler itself fails while work is waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Job


if TYPE_CHECKING:
    from pytest_knav import Cluster

pytestmark = pytest.mark.chaos


@pytest.mark.knav(topology="dgx-h100", nodes=8)
def test_backlog_drains_after_the_scheduler_is_killed(cluster: Cluster) -> None:
    """Jobs that came in while the scheduler was dead all run to their end."""
    scheduler = cluster.component("kube-scheduler")
    running = cluster.submit(Job("before", completions=8, gpus_per_pod=8, run_for="4s"))
    cluster.wait_for(running.running, timeout="60s")

    scheduler.kill()
    waiting = [
        Job(f"backlog-{number}", completions=8, gpus_per_pod=8, run_for="1s")
        for number in range(5)
    ]
    backlog = cluster.submit_many(waiting)
    cluster.wait_for(running.finished, *(job.pending for job in backlog))
    scheduler.restart()
    cluster.wait_for(*(job.finished for job in backlog), timeout="120s")

    assert not any(job.nodes for job in backlog)
