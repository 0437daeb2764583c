"""Metric thresholds on a real Prometheus: held, broken, and not to be told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from pytest_knav import Gang, Inconclusive, SloBreached
from pytest_knav.errors import BadInput
from pytest_knav.faults import NodeCrash


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav import Chaos, Cluster
    from pytest_knav.fixtures.promql import Promql

NODES = pytest.mark.knav(topology="dgx-h100", nodes=4)
NODE = "dgx-h100-0001"
GPUS = "count(DCGM_FI_DEV_XID_ERRORS)"


def await_scrapes(promql: Promql, count: int) -> None:
    """Return when so many scrapes are in the window: each question waits for one."""
    for _ in range(count):
        promql.query("up")


@NODES
def test_gpu_series_and_their_limits(
    cluster: Cluster, promql: Promql, chaos: Chaos
) -> None:
    """Pods and faults show in GPU series at once; what breaks a limit is named."""
    gang = cluster.submit(Gang("g", replicas=2, gpus_per_pod=8))
    cluster.wait_for(gang.running)
    busy = promql.query('sum by (pod) (DCGM_FI_DEV_GPU_UTIL{pod!=""})')
    await_scrapes(promql, 5)
    chaos.expect.slo("DCGM_FI_DEV_GPU_TEMP", at_most=80)

    cluster.plane.signals.change(NODE, 3, temperature_c=96.0)
    changed_s = time.time()
    await_scrapes(promql, 1)
    hot = promql.range(f'DCGM_FI_DEV_GPU_TEMP{{Hostname="{NODE}",gpu="3"}}')

    assert {sample.labels["pod"]: sample.value for sample in busy} == {
        pod.name: 800 for pod in gang.pods
    }
    first_s = next(at for one in hot for at, value in one.points if value == 96)
    assert first_s - changed_s < 2 * promql.interval_s
    with pytest.raises(SloBreached) as error:
        chaos.expect.slo("DCGM_FI_DEV_GPU_TEMP", at_most=80)
    assert "1 of 32 series did not keep to it" in str(error.value)
    assert f'Hostname="{NODE}"' in str(error.value)
    assert 'gpu="3"' in str(error.value)


@NODES
def test_windows_of_a_fault(promql: Promql, chaos: Chaos) -> None:
    """The window of a fault shows it, the one after it does not."""
    with pytest.raises(BadInput, match="none was injected"):
        promql.query("up", "fault")
    with chaos.inject(NodeCrash(NODE)) as fault:
        await_scrapes(promql, 3)
        lost = promql.query(GPUS, fault)
    await_scrapes(promql, 6)

    assert [sample.value for sample in lost] == [24]
    with pytest.raises(SloBreached, match="is at least 32 in the window NodeCrash"):
        chaos.expect.slo(GPUS, at_least=32, window=fault)
    chaos.expect.slo(GPUS, at_least=32, window="after")
    asked = "sum(increase(apiserver_request_total[$window]))"
    chaos.expect.slo(asked, at_least=1, window="fault")
    # What has never been counted is zero only for those who say so.
    none = "scheduler_schedule_attempts_total{result='no such'}"
    with pytest.raises(Inconclusive, match="matched no series"):
        chaos.expect.slo(none, at_most=0)
    chaos.expect.slo(f"sum(increase({none}[$window])) or vector(0)", at_most=0)
    with pytest.raises(Inconclusive, match="looks back 3600s"):
        chaos.expect.slo("sum(rate(apiserver_request_total[1h]))", at_most=1e9)
    # Of a metric whose name does not say it, Prometheus knows that it counts.
    with pytest.raises(BadInput, match="takes the counter"):
        chaos.expect.slo("max(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION)", at_most=1e9)


@NODES
def test_prometheus_dies_in_a_fault(
    cluster: Cluster, promql: Promql, chaos: Chaos
) -> None:
    """Nothing hangs and nothing passes: it cannot be told."""
    prometheus = cluster.component("prometheus")
    await_scrapes(promql, 5)

    with chaos.inject(NodeCrash(NODE)) as fault:
        prometheus.kill()
    began_s = time.monotonic()
    with pytest.raises(Inconclusive, match="Prometheus does not run"):
        chaos.expect.slo("DCGM_FI_DEV_GPU_TEMP", at_most=80, window=fault)
    with pytest.raises(Inconclusive, match="Prometheus does not run"):
        promql.query("up")
    told_s = time.monotonic() - began_s
    prometheus.restart()

    assert told_s < 5
    with pytest.raises(Inconclusive, match="Prometheus did not run all the time: kill"):
        chaos.expect.slo("DCGM_FI_DEV_GPU_TEMP", at_most=80)


MARKED = """
import pytest
from pytest_knav import Job

pytestmark = pytest.mark.knav(nodes=4)
BUSIEST = 'max(DCGM_FI_DEV_GPU_UTIL)'


def work(cluster, seconds):
    job = cluster.submit(Job("j", completions=1, gpus_per_pod=8, run_for=seconds))
    cluster.wait_for(job.finished, timeout="60s")


@pytest.mark.slo(BUSIEST, at_most=50)
@pytest.mark.slo("up", at_most=1, window="after")
def test_breaks(cluster):
    work(cluster, "5s")


@pytest.mark.slo(BUSIEST, at_most=50)
def test_own_failure(cluster):
    work(cluster, "5s")
    assert not "mine"


@pytest.mark.slo(BUSIEST, at_most=100)
def test_prometheus_killed(cluster):
    cluster.component("prometheus").kill()
    work(cluster, "1s")
"""


def test_marks_are_judged_in_the_call(project: Callable[..., object]) -> None:
    """A mark fails its test, after the test's own failure, and can leave it open."""
    made = project(test_it=MARKED)

    code, said = made.run("-rA", "--alluredir=results")  # type: ignore[attr-defined]

    assert code == 1
    assert "2 failed, 1 inconclusive in" in said
    results = made.results()  # type: ignore[attr-defined]
    status = {name: result["status"] for name, result in results.items()}
    assert status == {
        "test_breaks": "failed",
        "test_own_failure": "failed",
        "test_prometheus_killed": "broken",
    }
    message = {n: str(r.get("statusDetails", {})) for n, r in results.items()}
    assert "100" in message["test_breaks"]
    assert "beyond the limit for" in message["test_breaks"]
    assert "not 'mine'" in message["test_own_failure"]
    assert "beyond the limit for" in message["test_own_failure"]
    assert "Prometheus does not run" in message["test_prometheus_killed"]
    assert not made.left()  # type: ignore[attr-defined]
    assert not made.processes()  # type: ignore[attr-defined]
