"""
Two traps of Jobs under node loss, shown on the real Job controller.

Not faults of a scheduler: they decide whether a test of one can ever pass. See
docs/explanation/job-traps.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav import Manifest, NotRecovered, node_of
from pytest_knav.faults import NodeCrash


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster


def indexed_job(name: str, **policy: Any) -> Manifest:  # noqa: ANN401 - YAML
    """Return a plain Indexed Job of eight pods with eight GPUs each."""
    resources = {"limits": {"nvidia.com/gpu": "8"}}
    container = {"name": "worker", "image": "worker", "resources": resources}
    pod = {"restartPolicy": "Never", "containers": [container]}
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    spec = {"completionMode": "Indexed", "completions": 8, "parallelism": 8}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {**spec, "template": template, **policy},
    }
    return Manifest(job, pods=f"app={name}", ready=8)


@pytest.mark.knav(topology="dgx-h100", nodes=16)
def test_default_backoff_limit_fails_the_whole_job(
    cluster: Cluster, chaos: Chaos
) -> None:
    """Losing more nodes than backoffLimit fails the Job, healthy pods included."""
    job = cluster.submit(indexed_job("default-backoff", backoffLimit=2))
    cluster.wait_for(job.running, timeout="60s")

    with chaos.inject(NodeCrash(job.nodes[:3])):
        cluster.wait_for(job.failed, timeout="90s")

    assert not any(pod.up for pod in job.pods)


@pytest.mark.knav(topology="dgx-h100", nodes=16)
def test_ignoring_disruptions_replaces_nothing_while_the_node_is_dead(
    cluster: Cluster, chaos: Chaos
) -> None:
    """With podFailurePolicy Ignore a lost pod is made again only after its node."""
    rule = {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    job = cluster.submit(indexed_job("ignoring", podFailurePolicy={"rules": [rule]}))
    cluster.wait_for(job.running, timeout="60s")

    with (
        chaos.inject(NodeCrash(node_of(job))) as fault,
        pytest.raises(NotRecovered, match="did not come back"),
    ):
        chaos.expect.recovered(job, since=fault, within="30s")
    cluster.wait_for(job.running, timeout="60s")

    assert len(job.pods) == 8
