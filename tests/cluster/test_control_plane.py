"""The real control plane: what it is made of, and what can be done to it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from kubernetes import client

from pytest_knav import BadInput, Gang, Job, Manifest, Pod
from pytest_knav.control_plane import processes, retrying
from pytest_knav.control_plane.supervision import DIED, STARTED
from pytest_knav.errors import ClusterError, WaitTimeout
from pytest_knav.history import revisions
from pytest_knav.history.record import STEP
from pytest_knav.history.resources import DEFAULT_RESOURCES
from pytest_knav.history.revisions import EtcdRevisions
from pytest_knav.history.transport import HttpTransport


if TYPE_CHECKING:
    from pytest_knav import Cluster

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=4)
POD_SPEC = {
    "containers": [{"name": "c", "image": "pytest-knav.invalid/c"}],
    "restartPolicy": "Never",
}
DEPLOYED = {
    "replicas": 0,
    "selector": {"matchLabels": {"app": "gone"}},
    "template": {
        "metadata": {"labels": {"app": "gone"}},
        "spec": {"containers": POD_SPEC["containers"]},
    },
}


def test_everything_listens_on_loopback_alone(cluster: Cluster) -> None:
    """No port of any component can be reached from another machine."""
    addresses = {
        connection.laddr.ip
        for component in cluster.plane.components.values()
        for connection in psutil.Process(component.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }

    assert addresses == {"127.0.0.1"}


def test_the_kubeconfig_is_its_own_and_private(cluster: Cluster) -> None:
    """Only the user can read it, and it leads to this cluster with any client."""
    mode = stat.S_IMODE(cluster.kubeconfig.stat().st_mode)
    names = {node.metadata.name for node in cluster.core.list_node().items}
    version = client.VersionApi(cluster.api).get_code()

    assert mode == 0o600
    assert names == {node.name for node in cluster.topology.nodes}
    assert version.minor == "36"


def test_the_declared_time_profile_is_what_runs(cluster: Cluster) -> None:
    """The processes' own arguments say so."""
    kcm = cluster.component("kcm").command
    renewals = [
        lease["spec"]["leaseDurationSeconds"]
        for lease in cluster.history.latest("Lease").values()
    ]

    assert f"--node-monitor-grace-period={cluster.profile.monitor_grace_s:g}s" in kcm
    assert set(renewals) == {cluster.profile.lease_s}


def test_components_are_killed_paused_and_restarted(cluster: Cluster) -> None:
    """Each verb has taken effect when it returns, and the history tells of it."""
    scheduler = cluster.component("scheduler")
    first = scheduler.pid

    scheduler.pause()
    paused = scheduler.running
    scheduler.resume()
    resumed = scheduler.running
    scheduler.kill()
    killed = scheduler.pid
    scheduler.restart()

    verbs = [
        record.verb
        for record in cluster.history.records("knav/Step")
        if record.name == "kube-scheduler"
    ]
    assert (paused, resumed, killed) == (False, True, None)
    assert scheduler.pid not in {None, first}
    assert verbs == ["PAUSE", "RESUME", "KILL", "RESTART"]


def test_what_dies_by_itself_is_restarted_and_what_is_ended_is_not(
    cluster: Cluster,
) -> None:
    """As a kubelet does; whoever ends it. History and failure report tell of it."""
    scheduler, kcm = cluster.component("scheduler"), cluster.component("kcm")
    first = scheduler.pid
    job = cluster.submit(Job("endless", completions=1))

    die_by_itself(cluster, "kube-scheduler")
    second = scheduler.pid
    cluster.wait_for(job.running, timeout="60s")
    with pytest.raises(WaitTimeout) as error:
        cluster.wait_for(job.finished, timeout="0.1s")
    end_elsewhere(cluster, "kube-scheduler")
    # Who looks after both of them has been awake since then.
    die_by_itself(cluster, "kube-controller-manager")
    ended = scheduler.pid
    kcm.wait_healthy()

    verbs = [
        record.verb
        for record in cluster.history.records(STEP)
        if record.name == "kube-scheduler"
    ]
    assert second not in {None, first}
    assert ended is None
    assert verbs == [DIED.upper(), STARTED.upper()]
    assert "died by itself: kube-scheduler (1x): " in str(error.value)


def end_elsewhere(cluster: Cluster, name: str) -> None:
    """End a component as a restore does it, in another process."""
    script = """
import sys
from pathlib import Path
from pytest_knav.control_plane.plane import attach_by_kubeconfig
attach_by_kubeconfig(Path(sys.argv[1])).component(sys.argv[2]).end()
"""
    command = [sys.executable, "-c", script, str(cluster.kubeconfig), name]
    subprocess.run(command, check=True, timeout=60)


def die_by_itself(cluster: Cluster, name: str) -> None:
    """End a process behind our back, and return when it has been restarted."""
    pid = cluster.component(name).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert cluster.recorder.wait(
        lambda history: any(
            (record.verb, record.name) == (STARTED.upper(), name)
            for record in history.records(STEP)
        ),
        60,
    )


def test_a_process_that_nobody_noted_is_ended(cluster: Cluster) -> None:
    """Whoever is killed right after a start leaves one; it would hold the port."""
    scheduler = cluster.component("scheduler")
    command = scheduler.command
    unknown = []

    for verb in (scheduler.end, scheduler.restart):
        scheduler.end()
        left = processes.spawn(
            command, directory=cluster.artifacts, log=Path(os.devnull), env=os.environ
        )
        assert left is not None
        assert retrying.until(scheduler.healthy, timeout_s=60)
        verb()
        unknown.append(left.alive)

    assert unknown == [False, False]
    assert [p.pid for p in processes.of_program(command[0])] == [scheduler.pid]


def test_the_history_has_no_gap_over_a_restart_of_the_api_server(
    cluster: Cluster,
) -> None:
    """What happened while the watches were broken is filled from etcd."""
    cluster.submit(Job("before", completions=2, gpus_per_pod=1))
    cluster.component("apiserver").kill()
    cluster.component("apiserver").restart()
    job = cluster.submit(Job("after", completions=2, gpus_per_pod=1))
    cluster.wait_for(job.running, timeout="120s")

    cluster.catch_up()

    assert cluster.history.gaps() == []


def test_etcd_says_when_something_last_changed(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short way, by what was deleted and what is there, is as good as the long."""
    prefixes = [r.etcd_prefix for r in DEFAULT_RESOURCES]
    kept = cluster.submit(Job("kept", completions=2, gpus_per_pod=1))
    cluster.wait_for(kept.running)
    since = cluster.catch_up()
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    body = {"template": {"spec": POD_SPEC}}
    cluster.plane.api.create(jobs, {"metadata": {"name": "stays"}, "spec": body})
    # The newest change of this kind is an end.
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    gone = {"metadata": {"name": "gone"}, "spec": DEPLOYED}
    cluster.plane.api.create(deployments, gone)
    cluster.plane.api.delete(f"{deployments}/gone", propagationPolicy="Background")
    until = cluster.catch_up()
    transport = HttpTransport(cluster.plane.etcd_url, request_timeout_s=20.0)
    asked = EtcdRevisions(transport)

    every = asked.last(prefixes, since, until)
    monkeypatch.setattr(revisions, "SPAN_MAX", 0)
    short = asked.last(prefixes, since, until)
    transport.close()

    changed = {prefix for prefix, at in every.items() if at}
    assert {"/registry/jobs/", "/registry/deployments/"} <= changed
    assert {p: at for p, at in short.items() if at > since} == {
        p: every[p] for p in changed
    }


def test_a_component_that_dies_at_start_is_noticed(cluster: Cluster) -> None:
    """All seems well to kwokctl; the error has the component's own words."""
    scheduler = cluster.component("scheduler")
    command = scheduler.command
    scheduler.kill()
    path = cluster.plane.workdir / "kwok.yaml"
    text = path.read_text()
    path.write_text(text.replace("--leader-elect=false", "--no-such-flag=1"))

    try:
        with pytest.raises(ClusterError, match=r"(?s)scheduler died.*no-such-flag"):
            scheduler.restart()
    finally:
        # The cluster is not done yet: the next test has it.
        path.write_text(text)

    assert "--leader-elect=false" in command


def test_a_pod_runs_for_its_time_and_ends(cluster: Cluster) -> None:
    """Without a run time it goes on; with one it succeeds after it."""
    short = cluster.submit(Job("short", completions=2, run_for="2s"))
    endless = cluster.submit(Pod("endless"))

    cluster.wait_for(short.finished, timeout="60s")

    ran = [pod.phase for pod in endless.all_pods]
    times = cluster.core.list_namespaced_pod(
        "default", label_selector="pytest-knav/workload=short"
    ).items
    lasted = [
        (s.state.terminated.finished_at - s.state.terminated.started_at).seconds
        for pod in times
        for s in pod.status.container_statuses
    ]
    assert ran == ["Running"]
    assert all(1 <= seconds <= 10 for seconds in lasted)


def test_a_manifest_brings_its_own_kind(cluster: Cluster) -> None:
    """A PriorityClass without a namespace and a ReplicaSet with pods."""
    text = """
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 1000
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      priorityClassName: high
      containers: [{name: c, image: c}]
"""
    web = cluster.submit(Manifest(text, name="web", pods="app=web", ready=2))

    cluster.wait_for(web.running, timeout="60s")

    assert len(web.nodes) == 2


@pytest.mark.parametrize(
    ("workload", "shown"),
    [
        (Pod("p", gpus_per_pod=9), "largest node of dgx-h100 has 8 GPUs"),
        (Gang("g", replicas=5, gpus_per_pod=8), "needs 40 GPUs at once"),
        (
            Manifest({"apiVersion": "a/v1", "kind": "B", "metadata": {"name": "c"}}),
            "serves no B of a/v1",
        ),
    ],
)
def test_what_can_never_run_is_refused_at_once(
    cluster: Cluster, workload: Any, shown: str
) -> None:
    """The message has what was asked for and what there is."""
    with pytest.raises(BadInput) as error:
        cluster.submit(workload)

    assert shown in str(error.value)


def test_reset_leaves_nothing_of_before(cluster: Cluster) -> None:
    """Workloads, pods and a killed scheduler are as at the start."""
    job = cluster.submit(Job("old", completions=2))
    cluster.wait_for(job.running, timeout="60s")
    cluster.component("scheduler").kill()

    cluster.reset(cluster.artifacts / "again")

    pods = cluster.core.list_namespaced_pod("default").items
    assert pods == []
    assert cluster.component("scheduler").running
    assert all(node.usable for node in cluster.nodes)
