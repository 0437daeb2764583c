"""The control plane fails, or is changed, while it is at work."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from kubernetes.client import ApiException, V1ConfigMap, V1ObjectMeta

from pytest_knav import Deployment, Gang, Job, node_of
from pytest_knav.faults import (
    ComponentKill,
    ComponentReplaced,
    EtcdOutOfSpace,
    NodeDrain,
    WebhookDown,
)


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster, History

# It fills nodes, where the stock configuration spreads pods over them.
PACKING = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: "{kubeconfig}"}
profiles:
- schedulerName: default-scheduler
  plugins:
    score:
      disabled: [{name: "*"}]
      enabled: [{name: NodeResourcesFit}]
  pluginConfig:
  - name: NodeResourcesFit
    args:
      scoringStrategy:
        type: MostAllocated
        resources: [{name: nvidia.com/gpu, weight: 1}]
"""


def creation_failed(history: History) -> bool:
    """Return whether a controller has said that it could not make a pod."""
    events = history.latest("Event").values()
    return any(event.get("reason") == "FailedCreate" for event in events)


@pytest.mark.knav(topology="dgx-h100", nodes=32)
def test_nothing_is_lost_or_bound_twice_when_etcd_restarts_while_pods_are_bound(
    cluster: Cluster, chaos: Chaos
) -> None:
    """Of 256 pods each is bound once and where it fits, whenever etcd was killed."""
    scheduler = cluster.component("scheduler")
    scheduler.pause()
    work = cluster.submit(Job("work", completions=256, gpus_per_pod=1))
    cluster.wait_for(work.pending, timeout="60s")

    scheduler.resume()
    cluster.wait_for(work.partially_bound, timeout="60s")
    with chaos.inject(ComponentKill("etcd")):
        pass
    cluster.wait_for(work.running, timeout="60s")

    events = cluster.core.list_namespaced_event(
        "default", field_selector="reason=Scheduled"
    ).items
    bound = Counter(event.involved_object.uid for event in events)
    assert len(work.all_pods) == 256
    assert max(bound.values()) == 1
    assert max(Counter(work.nodes).values()) == 8


@pytest.mark.knav(topology="dgx-h100", nodes=8)
def test_a_gang_recovers_once_the_webhook_answers(
    cluster: Cluster, chaos: Chaos
) -> None:
    """A member cannot be made again while a webhook is down; then it is."""
    gang = cluster.submit(Gang("llama", replicas=4, gpus_per_pod=8))
    cluster.wait_for(gang.running, timeout="60s")

    with chaos.inject(WebhookDown("pods")):
        drain = chaos.start(NodeDrain(node_of(gang)))
        assert cluster.recorder.wait(creation_failed, timeout_s=60)
        held = gang.nodes
    recovery = chaos.expect.recovered(gang, since=drain, within="60s")

    assert len(held) == 3
    assert recovery.nodes.isdisjoint(drain.targets)


@pytest.mark.knav(topology="dgx-h100", nodes=4)
def test_work_that_waits_goes_to_the_scheduler_that_comes_after(
    cluster: Cluster, chaos: Chaos
) -> None:
    """Pods that one scheduler could not place are packed by its replacement."""
    first = cluster.submit(Job("first", completions=4, gpus_per_pod=8, run_for="3s"))
    cluster.wait_for(first.running, timeout="60s")
    waiting = cluster.submit(Deployment("waiting", replicas=8, gpus_per_pod=1))
    cluster.wait_for(waiting.pending)

    with chaos.inject(ComponentReplaced("scheduler", config=PACKING)):
        cluster.wait_for(waiting.running, timeout="60s")
    later = cluster.submit(Deployment("later", replicas=4, gpus_per_pod=1))
    cluster.wait_for(later.running, timeout="60s")

    assert len(set(waiting.nodes)) == 1
    assert len(set(later.nodes)) > 1


@pytest.mark.knav(topology="dgx-h100", nodes=4)
def test_running_work_outlives_a_store_without_space(
    cluster: Cluster, chaos: Chaos
) -> None:
    """Nothing is written while etcd is out of space, and then all goes on."""
    gang = cluster.submit(Gang("llama", replicas=2, gpus_per_pod=8))
    cluster.wait_for(gang.running, timeout="60s")
    note = V1ConfigMap(metadata=V1ObjectMeta(name="note"))

    with chaos.inject(EtcdOutOfSpace()) as fault:
        with pytest.raises(ApiException) as refused:
            cluster.core.create_namespaced_config_map("default", note)
        readable = cluster.core.list_namespaced_pod("default").items
    after = cluster.submit(Job("after", completions=2, gpus_per_pod=8, run_for="1s"))
    cluster.wait_for(after.finished, timeout="60s")

    assert "database space exceeded" in str(refused.value.body)
    assert len(readable) == 2
    chaos.expect.unaffected(gang, since=fault)
