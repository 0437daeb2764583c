"""Faults of pods on the real control plane: what they do to work that is placed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav import Deployment, Job, for_, pod_of, sequence
from pytest_knav.faults import (
    ContainerExit,
    HangBeforeReady,
    ImagePullFailure,
    InitFailure,
    LemonNode,
    NodeCordon,
    StuckTerminating,
)


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav import Chaos, Cluster

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=4)
NODE = "dgx-h100-0001"


def pod_on(cluster: Cluster, node: str) -> dict[str, Any] | None:
    """Return the pod of a node, or None."""
    pods = cluster.history.latest("Pod").values()
    found = [pod for pod in pods if pod["spec"].get("nodeName") == node]
    return dict(found[0]) if found else None


def waited(cluster: Cluster, question: Callable[[dict[str, Any]], object]) -> Any:
    """Return what a question about the node's pod is answered with, once it is."""

    def answer(_: object) -> object:
        pod = pod_on(cluster, NODE)
        return None if pod is None else (question(pod) or None)

    return cluster.recorder.wait(answer, 60.0)


def waiting_reason(field: str) -> Callable[[dict[str, Any]], object]:
    """Return the question why a container waits."""
    return lambda pod: [
        status["state"]["waiting"]["reason"]
        for status in pod["status"].get(field, ())
        if "waiting" in status["state"]
    ]


def unready(pod: dict[str, Any]) -> object:
    """Return why a pod is not ready though it runs."""
    return pod["status"].get("phase") == "Running" and [
        condition["reason"]
        for condition in pod["status"]["conditions"]
        if condition["type"] == "Ready" and condition["status"] == "False"
    ]


def uninitialised(pod: dict[str, Any]) -> object:
    """Return why a pod is not initialised."""
    return [
        condition["reason"]
        for condition in pod["status"].get("conditions", ())
        if condition["type"] == "Initialized" and condition["status"] == "False"
    ]


@pytest.mark.parametrize(
    ("kind", "question", "seen"),
    [
        (ImagePullFailure, waiting_reason("containerStatuses"), "ImagePullBackOff"),
        (InitFailure, uninitialised, "ContainersNotInitialized"),
        (HangBeforeReady, unready, "ContainersNotReady"),
    ],
)
def test_a_pod_starts_when_the_fault_is_over(
    cluster: Cluster, chaos: Chaos, kind: Any, question: Any, seen: str
) -> None:
    """Until then the one on the node says why; the others are up."""
    with chaos.inject(kind(NODE)):
        work = cluster.submit(Deployment("work", replicas=4, gpus_per_pod=8))
        reasons = waited(cluster, question)
        up = cluster.recorder.wait(
            lambda _: sum(pod.up for pod in work.pods) == 3 or None, 60.0
        )
        whole = work.running

    cluster.wait_for(whole, timeout="60s")

    assert reasons == [seen]
    assert up
    restarts = [p["status"]["containerStatuses"] for p in [pod_on(cluster, NODE)] if p]
    assert restarts[0][0]["restartCount"] == 0


def test_a_deleted_pod_stays_while_it_is_stuck(cluster: Cluster, chaos: Chaos) -> None:
    """And keeps its GPUs: what replaces it waits for them."""
    work = cluster.submit(Deployment("work", replicas=4, gpus_per_pod=8))
    cluster.wait_for(work.running, timeout="60s")
    before = pod_on(cluster, NODE)
    assert before is not None

    with chaos.inject(StuckTerminating(NODE)):
        cluster.core.delete_namespaced_pod(before["metadata"]["name"], "default")
        cluster.wait_for(work.pending, timeout="60s")
        stuck = pod_on(cluster, NODE)

    cluster.wait_for(work.running, timeout="60s")

    assert stuck is not None
    assert stuck["metadata"]["uid"] == before["metadata"]["uid"]
    assert "deletionTimestamp" in stuck["metadata"]


def test_a_container_that_ends_restarts_after_its_back_off(
    cluster: Cluster, chaos: Chaos
) -> None:
    """In the same pod, where its policy says so; the pod tells what happened."""
    work = cluster.submit(Deployment("work", replicas=1, gpus_per_pod=8))
    cluster.wait_for(work.running, timeout="60s")
    uid = work.pods[0].uid

    with chaos.inject(ContainerExit(pod_of(work), exit_code=3)):
        cluster.catch_up()
        waits = dict(cluster.history.latest("Pod")[uid])
        cluster.wait_for(work.running, timeout="60s")

    again = cluster.history.latest("Pod")[uid]["status"]["containerStatuses"][0]
    state = waits["status"]["containerStatuses"][0]["state"]
    assert state["waiting"]["reason"] == "CrashLoopBackOff"
    assert again["restartCount"] == 1
    assert again["lastState"]["terminated"]["exitCode"] == 3
    assert "running" in again["state"]


def test_what_starts_on_a_lemon_fails_there_alone(
    cluster: Cluster, chaos: Chaos
) -> None:
    """Each start on it with probability 1; elsewhere none."""
    with chaos.inject(LemonNode(NODE, exit_code=7)):
        job = cluster.submit(Job("work", completions=4, gpus_per_pod=8))
        failed = cluster.recorder.wait(
            lambda _: [p for p in job.all_pods if p.phase == "Failed"] or None, 60.0
        )

    assert failed
    assert {pod.node for pod in failed} == {NODE}
    pod = cluster.history.latest("Pod")[failed[0].uid]
    terminated = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert terminated["exitCode"] == 7


def test_a_plan_runs_its_faults_in_their_order(cluster: Cluster, chaos: Chaos) -> None:
    """Each is cleared when its time is over; what has no end stays."""
    other = "dgx-h100-0002"
    plan = sequence(for_("1s", NodeCordon(NODE)), NodeCordon(other))

    first, second = chaos.run(plan)

    cluster.catch_up()
    assert not cluster.node(NODE).cordoned
    assert cluster.node(other).cordoned
    assert first.started_at.monotonic_s < second.started_at.monotonic_s


def test_what_has_failed_never_succeeds(cluster: Cluster, chaos: Chaos) -> None:
    """Also when the time is up for which it would have run."""
    short = cluster.submit(Job("short", run_for="3s", backoff_limit_per_index=0))
    cluster.wait_for(short.running)
    with chaos.inject(ContainerExit(pod_of(short), exit_code=1)):
        # Begins later and runs as long, so its end is after the end of the other.
        later = cluster.submit(Job("later", run_for="3s"))
        cluster.wait_for(later.finished)

    cluster.catch_up()
    phases = {
        version.object["status"].get("phase")
        for version in cluster.history.versions(short.all_pods[0].uid)
        if version.object is not None
    }

    assert short.all_pods[0].phase == "Failed"
    assert "Succeeded" not in phases
