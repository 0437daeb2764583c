"""Lemon nodes: found by what fails on them, kept out, and nobody else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pytest_knav import Deployment, Job, between
from pytest_knav.faults import BadJobs, ComponentKill, LemonNode, StaleWatch


if TYPE_CHECKING:
    from pathlib import Path

    from pytest_knav import Chaos, Cluster, Exclusion, History


LEMON = "dgx-h100-0002"
PODS = 24
# A controller whose clock is set by a file, while it runs.
WITH_A_CLOCK = """
import pathlib, sys, time
real, ahead = time.time, pathlib.Path(sys.argv.pop(1))
time.time = lambda: real() + float(ahead.read_text())
from pytest_knav.cli import main
main()
"""

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=12)


def work(name: str, gpus: int = 4, run_for: str = "0.2s") -> Job:
    """Return a job of short pods, enough for all nodes."""
    return Job(name, completions=PODS, gpus_per_pod=gpus, run_for=run_for)


def await_pods(cluster: Cluster, name: str, count: int, *phases: str) -> None:
    """Wait until so many pods of a job are in one of some phases."""

    def enough(history: History) -> bool:
        found = (
            pod
            for pod in history.latest("Pod").values()
            if pod["metadata"]["name"].startswith(f"{name}-")
            and pod["status"].get("phase") in phases
        )
        return len(list(found)) >= count

    assert cluster.recorder.wait(enough, timeout_s=60)


def churn(cluster: Cluster, name: str, waves: int) -> None:
    """Run waves of short pods over all nodes; what failed comes again 10 s later."""
    for wave in range(waves):
        cluster.submit(work(f"{name}-{wave}"))
        await_pods(cluster, f"{name}-{wave}", PODS, "Succeeded", "Failed")


def test_a_lemon_is_found_and_stays_out_over_a_kill(
    cluster: Cluster, chaos: Chaos, exclusion: Exclusion
) -> None:
    """Excluded after a few failures; a killed controller forgets nothing."""
    controller = exclusion.start(cycle="0.2s")

    with chaos.inject(LemonNode(LEMON, probability=0.9)):
        churn(cluster, "before", waves=6)
        controller.kill()
        controller.restart()
        churn(cluster, "after", waves=4)

    chaos.expect.excluded(LEMON, within_failures=8, within="30s")
    chaos.expect.excluded(LEMON, by="unused")
    chaos.expect.good_nodes_kept(bad=[LEMON])
    chaos.expect.capacity_kept(0.9)
    assert chaos.expect.goodput(0.8) < 1
    assert exclusion.excluded == [LEMON]


def test_a_queue_that_fails_everywhere_excludes_nobody(
    cluster: Cluster, chaos: Chaos, exclusion: Exclusion
) -> None:
    """Half of the pods of one job fail on all nodes, beside jobs that do not."""
    exclusion.start(cycle="0.2s")

    with chaos.inject(BadJobs("bad-*", probability=0.5)):
        for wave in range(3):
            # Long enough that what has failed is still seen so.
            cluster.submit(work(f"bad-{wave}", gpus=1, run_for="10s"))
            good = cluster.submit(work(f"good-{wave}", gpus=1))
            await_pods(cluster, f"bad-{wave}", 6, "Failed")
            cluster.wait_for(good.finished, timeout="60s")

    chaos.expect.good_nodes_kept()
    assert exclusion.excluded == []


def test_a_lemon_is_found_though_the_api_server_dies_meanwhile(
    cluster: Cluster, chaos: Chaos, exclusion: Exclusion
) -> None:
    """What was seen before still counts after, and nobody else is excluded."""
    exclusion.start(cycle="0.2s")

    with chaos.inject(LemonNode(LEMON, probability=0.9)):
        churn(cluster, "before", waves=2)
        cluster.submit(work("under-way", run_for="3s"))
        # An answer to a binding that is lost is a GPU that is given away twice.
        await_pods(cluster, "under-way", PODS, "Running", "Succeeded", "Failed")
        with chaos.inject(ComponentKill("apiserver")):
            pass
        await_pods(cluster, "under-way", PODS, "Succeeded", "Failed")
        churn(cluster, "after", waves=4)

    chaos.expect.excluded(LEMON, within_failures=8)
    chaos.expect.good_nodes_kept(bad=[LEMON])
    assert exclusion.excluded == [LEMON]


def test_a_node_on_which_services_crash_is_found(
    cluster: Cluster, chaos: Chaos, exclusion: Exclusion
) -> None:
    """By its restarts, as no pod ever ends there; it is taken back when it is well."""
    exclusion.start(cycle="0.2s", settled="1s", probation="5s")

    with chaos.inject(LemonNode(LEMON, probability=1.0)):
        for letter in "abcdefgh":
            cluster.submit(Deployment(f"service-{letter}", replicas=12, gpus_per_pod=1))
        chaos.expect.excluded(LEMON, within="60s", within_failures=24)

    chaos.expect.readmitted(LEMON, within="30s")
    chaos.expect.good_nodes_kept(bad=[LEMON])


@pytest.mark.knav(network=True)
def test_a_lemon_is_found_by_an_old_view(
    cluster: Cluster, chaos: Chaos, exclusion: Exclusion
) -> None:
    """What it watches comes three seconds late: later, but that node and no other."""
    exclusion.start(cycle="0.2s")
    old = StaleWatch(between("system", "apiserver"), delay="3s")

    with chaos.inject(LemonNode(LEMON, probability=0.9)), chaos.inject(old):
        churn(cluster, "late", waves=4)
        chaos.expect.excluded(LEMON, within="30s")

    chaos.expect.good_nodes_kept(bad=[LEMON])
    assert exclusion.excluded == [LEMON]


def test_a_step_of_the_clock_changes_nothing(
    cluster: Cluster, chaos: Chaos, exclusion: Exclusion, tmp_path: Path
) -> None:
    """An hour back while it runs, and for its next life: nobody in, nobody out."""
    ahead = tmp_path / "ahead_s"
    ahead.write_text("0")
    controller = exclusion.start_command([
        sys.executable, "-c", WITH_A_CLOCK, str(ahead),
        "exclusion", "--kubeconfig={kubeconfig}", "--cycle=0.2s",
    ])  # fmt: skip

    with chaos.inject(LemonNode(LEMON, probability=0.9)):
        churn(cluster, "before", waves=4)
        chaos.expect.excluded(LEMON, within="30s")
        ahead.write_text("-3600")
        churn(cluster, "behind", waves=1)
        controller.kill()
        controller.restart()
        churn(cluster, "again", waves=1)

    chaos.expect.excluded(LEMON)
    chaos.expect.good_nodes_kept(bad=[LEMON])
    assert exclusion.excluded == [LEMON]
