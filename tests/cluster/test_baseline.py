"""`--knav-baseline` on a real cluster: the same choices, and nothing broken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest


if TYPE_CHECKING:
    from collections.abc import Callable

SUITE = """
import pytest
from pytest_knav import Deployment, gpu_of
from pytest_knav.faults import GpuXid


@pytest.mark.knav(nodes=2, dra=True)
def test_moves(cluster, chaos):
    work = cluster.submit(Deployment("work", replicas=1, gpus_per_pod=1))
    cluster.wait_for(work.running, timeout="60s")
    with chaos.inject(GpuXid(gpu_of(work), 79)) as fault:
        recovery = chaos.expect.recovered(work, since=fault, within="60s")
    assert recovery.outcome == "recovered"
"""


def test_the_twin_has_lost_nothing(project: Callable[..., Any]) -> None:
    """With the fault a pod is lost and comes back, without it all runs on."""
    made = project(test_gpu=SUITE)

    code, output = made.run("--knav-baseline")

    assert code == pytest.ExitCode.OK, output
    assert "1 passed, 1 baseline in" in output
    (run,) = (made.path / ".knav" / "runs").glob("2*")
    lines = (run / "records.jsonl").read_text().splitlines()
    test, twin = (json.loads(line) for line in lines)
    assert (test["baseline"], twin["baseline"]) == (False, True)
    assert test["effect"]["pods_lost"] == 1
    assert test["effect"]["back_s"] > 0
    assert 0 < test["effect"]["goodput"] < 1
    assert twin["faults"] == []
    assert (twin["effect"]["pods_lost"], twin["effect"]["back_s"]) == (0, 0.0)
    assert twin["effect"]["goodput"] == 1.0
    assert "GpuXid" in twin["said"]
    assert "not judged from here on: AssertionError" in twin["said"]
