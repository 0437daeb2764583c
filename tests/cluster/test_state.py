"""Saving a cluster's state and putting it back, on real control planes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav import BadInput, Gang, Job, Manifest
from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.assets import AssetStore
from pytest_knav.control_plane.plane import Binaries, ControlPlane
from pytest_knav.control_plane.state import restore as restoring
from pytest_knav.control_plane.state import table
from pytest_knav.control_plane.state.model import State
from pytest_knav.control_plane.state.quiet import WORKING
from pytest_knav.errors import ClusterError
from pytest_knav.history.connection import ConnectionLost


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_knav import Cluster

    Objects = dict[str, dict[str, Any]]
    Read = Callable[[ControlPlane], Objects]
    Compare = Callable[..., list[str]]

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=8)

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def crd(scope: str = "Namespaced") -> dict[str, Any]:
    """Return the definition of a custom resource."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org",
            "names": {"kind": "Widget", "plural": "widgets"},
            "scope": scope,
            "versions": [version],
        },
    }


def webhook() -> dict[str, Any]:
    """Return a webhook that nobody answers, in the way of every new Job."""
    rule = {
        "operations": ["CREATE"],
        "apiGroups": ["batch"],
        "apiVersions": ["v1"],
        "resources": ["jobs"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "in-the-way"},
        "webhooks": [
            {
                "name": "nobody.example.org",
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": [rule],
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }


def deployment(name: str, replicas: int) -> dict[str, Any]:
    """Return a Deployment without GPUs."""
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": "example.org/main"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def await_deployment(cluster: Cluster, name: str, replicas: int) -> None:
    """Return when a Deployment has exactly so many ready pods and says so."""

    def settled() -> bool:
        found = cluster.plane.api.get(f"{DEPLOYMENTS}/{name}")
        status = found.get("status", {})
        return bool(
            status.get("observedGeneration") == found["metadata"]["generation"]
            and status.get("replicas") == status.get("readyReplicas") == replicas
        )

    assert retrying.until(settled, timeout_s=60)


def load(cluster: Cluster) -> None:
    """Make a bit of everything that a state has to hold, and let it settle."""
    api = cluster.plane.api
    gang = cluster.submit(Gang("g", replicas=4, gpus_per_pod=8))
    api.create(CRDS, crd())
    api.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
    api.create(DEPLOYMENTS, deployment("web", 6))
    cluster.wait_for(gang.running, timeout="60s")
    await_deployment(cluster, "web", 6)
    widgets = "/apis/example.org/v1/namespaces/default/widgets"
    assert retrying.until(lambda: api.get_or_none(widgets) is not None, timeout_s=30)
    body = {"apiVersion": "example.org/v1", "kind": "Widget"}
    api.apply(f"{widgets}/one", {**body, "metadata": {"name": "one"}, "spec": {"a": 1}})
    # The Job controller of 1.36 may leave `status.ready` at 0 until something else
    # wakes it. A restore starts it afresh, so what it owes is paid before.
    cluster.component("kcm").restart()
    path = "/apis/batch/v1/namespaces/default/jobs/g"
    assert retrying.until(
        lambda: api.get(path).get("status", {}).get("ready") == 4, timeout_s=60
    )


def wait_for_quiet(cluster: Cluster, everything: Read, differences: Compare) -> Objects:
    """Return every object once two readings in a row are equal."""
    readings = [everything(cluster.plane)]

    def quiet() -> bool:
        readings.append(everything(cluster.plane))
        return not differences(readings[-2], readings[-1])

    # The Job controller writes a status a second or more after its cause.
    assert retrying.until(quiet, timeout_s=60, interval_s=2.0)
    return readings[-1]


def wreck(cluster: Cluster) -> None:
    """Do what tests do, and worse."""
    api = cluster.plane.api
    first, second, third = (node.name for node in cluster.nodes[:3])
    api.delete(f"{DEPLOYMENTS}/web", propagationPolicy="Background")
    api.create(DEPLOYMENTS, deployment("other", 3))
    api.patch(f"/api/v1/nodes/{first}", {"metadata": {"labels": {"a": "b"}}})
    api.patch(f"/api/v1/nodes/{second}", {"spec": {"unschedulable": True}})
    api.delete(f"/api/v1/nodes/{third}")
    api.delete("/apis/kwok.x-k8s.io/v1alpha1/stages/pod-complete")
    api.create("/api/v1/namespaces", {"metadata": {"name": "made-by-a-test"}})
    usage = {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterResourceUsage",
        "metadata": {"name": "busy"},
        "spec": {"usages": [{"usage": {"cpu": {"value": "1"}}}]},
    }
    api.apply("/apis/kwok.x-k8s.io/v1alpha1/clusterresourceusages/busy", usage)
    api.create(
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        {"metadata": {"name": "urgent"}, "value": 1000},
    )
    api.create(
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        {"metadata": {"name": "mine"}, "rules": []},
    )
    api.create(WEBHOOKS, webhook())
    cluster.component("scheduler").pause()
    cluster.component("kcm").kill()


@contextmanager
def another_cluster(cluster: Cluster, name: str) -> Iterator[ControlPlane]:
    """Make a second control plane with the same settings."""
    binaries = Binaries.of(AssetStore.from_environment())
    plane = ControlPlane.create(name, cluster.plane.config, binaries, owned=True)
    try:
        yield plane
    finally:
        plane.delete()


def test_every_object_is_as_it_was_and_stays_so(
    cluster: Cluster, everything: Read, differences: Compare
) -> None:
    """At once, and 5, 20 and 60 s later: no controller makes or deletes anything."""
    load(cluster)
    before = wait_for_quiet(cluster, everything, differences)
    state = cluster.save()
    wreck(cluster)

    cluster.restore(state)

    found = {0: differences(before, everything(cluster.plane))}
    for later, pause_s in ((5, 5), (20, 15), (60, 40)):
        # Nothing can be waited for where nothing shall happen.
        cluster.recorder.wait(lambda _: None, pause_s)
        found[later] = differences(before, everything(cluster.plane))
    assert found == {0: [], 5: [], 20: [], 60: []}
    assert all(node.usable for node in cluster.nodes)
    running = [c.name for c in cluster.plane.components.values() if c.running]
    assert running == list(cluster.plane.components)


def test_a_restored_cluster_works(cluster: Cluster) -> None:
    """A new Job runs, a Deployment scales, a custom resource can be changed."""
    load(cluster)
    state = cluster.save()
    wreck(cluster)

    cluster.restore(state)

    api = cluster.plane.api
    job = cluster.submit(Job("after", completions=3))
    api.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 9}})
    widget = "/apis/example.org/v1/namespaces/default/widgets/one"
    changed = api.patch(widget, {"spec": {"a": 2}})
    cluster.wait_for(job.running, timeout="60s")
    await_deployment(cluster, "web", 9)
    assert changed["spec"] == {"a": 2}


def test_the_same_definition_may_come_back_with_another_scope(cluster: Cluster) -> None:
    """The API server forgets a removed custom resource and serves the new one."""
    api = cluster.plane.api
    empty = cluster.save()
    api.create(CRDS, crd())
    namespaced = "/apis/example.org/v1/namespaces/default/widgets"
    assert retrying.until(lambda: api.get_or_none(namespaced) is not None, timeout_s=30)

    cluster.restore(empty)

    api.create(CRDS, crd("Cluster"))
    assert retrying.until(
        lambda: api.get_or_none("/apis/example.org/v1/widgets") is not None,
        timeout_s=30,
    )
    assert api.get_or_none(namespaced) is None


def test_open_watches_live_on_and_see_ordinary_events(cluster: Cluster) -> None:
    """The recorder never lists again, and sees every pod go and come back."""
    gang = cluster.submit(Gang("g", replicas=4, gpus_per_pod=8))
    cluster.wait_for(gang.running, timeout="60s")
    uids = {pod.uid for pod in gang.pods}
    full = cluster.save()
    pods = "/api/v1/namespaces/default/pods"
    # The Job too, whose controller would make the pods anew.
    ends = ("/registry/pods/", "/registry/jobs/", "/registry/podgroups/")
    kept = {key: v for key, v in full.values.items() if not key.startswith(ends)}
    empty = replace(full, values=kept)
    name = gang.nodes[0]
    node = f"/api/v1/nodes/{name}"
    before = cluster.plane.api.get(node)["metadata"]["uid"]
    since = cluster.history.newest_revision

    cluster.restore(empty)
    gone = cluster.plane.api.get(pods)["items"]
    cluster.plane.api.delete(node)
    cluster.plane.api.create("/api/v1/nodes", {"metadata": {"name": name}})
    cluster.restore(full)

    seen = cluster.history.records("Pod", since_revision=since)
    assert gone == []
    assert {r.uid for r in seen if r.verb == "DELETED"} >= uids
    assert {r.uid for r in seen if r.verb == "ADDED"} >= uids
    # Whoever resumes a watch resumes behind a revision: two changes that share one
    # would be one lost.
    revisions = [record.revision for record in seen]
    assert len(set(revisions)) == len(revisions)
    assert cluster.history.gaps() == []
    assert cluster.history.records("knav/Gap", since_revision=since) == []
    # The one that was made again under its name ends, and the one of before comes.
    nodes = cluster.history.records("Node", since_revision=since)
    named = [r for r in nodes if r.name == name and r.verb != "MODIFIED"]
    other = named[1].uid
    assert [(r.verb, r.uid) for r in named] == [
        ("DELETED", before), ("ADDED", other), ("DELETED", other), ("ADDED", before)
    ]  # fmt: skip
    assert set(cluster.history.latest("Node")) >= {before}
    assert len(cluster.history.latest("Node")) == len(cluster.nodes)


def test_a_watch_on_a_removed_custom_resource_is_closed(cluster: Cluster) -> None:
    """Nobody waits for ever on what is not served any more."""
    api = cluster.plane.api
    empty = cluster.save()
    api.create(CRDS, crd())
    path = "/apis/example.org/v1/widgets"
    assert retrying.until(lambda: api.get_or_none(path) is not None, timeout_s=30)
    transport = cluster.plane.transport()
    ended = threading.Event()

    def follow() -> None:
        try:
            with transport.stream(path, {"watch": "true"}) as lines:
                for _ in lines:
                    pass
        except ConnectionLost:
            pass
        ended.set()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()

    cluster.restore(empty)

    assert ended.wait(30)
    transport.close()
    thread.join(10)


def test_custom_resources_are_recorded_on_request(cluster: Cluster) -> None:
    """From their list on, and until a reset, which may take them away."""
    api = cluster.plane.api
    api.create(CRDS, crd())
    path = "/apis/example.org/v1/namespaces/default/widgets"
    assert retrying.until(lambda: api.get_or_none(path) is not None, timeout_s=30)
    widget = {"apiVersion": "example.org/v1", "kind": "Widget"}
    api.create(path, {**widget, "metadata": {"name": "early"}})

    kind = cluster.follow("example.org/v1", "widgets")
    api.create(path, {**widget, "metadata": {"name": "late"}, "spec": {"size": 1}})
    api.delete(f"{path}/early")
    cluster.catch_up()

    seen = [(r.verb, r.name) for r in cluster.history.records(kind)]
    assert kind == "Widget.example.org"
    assert seen == [("ADDED", "early"), ("ADDED", "late"), ("DELETED", "early")]
    with pytest.raises(BadInput, match=r"serves no 'gadgets'.*widgets"):
        cluster.follow("example.org/v1", "gadgets")
    cluster.reset()
    assert kind not in cluster.history.known_since
    cluster.catch_up()


def test_a_state_lives_on_in_another_cluster(
    cluster: Cluster, everything: Read, differences: Compare, tmp_path: Path
) -> None:
    """Uid, spec and status are the same there, and that cluster works."""
    load(cluster)
    before = wait_for_quiet(cluster, everything, differences)
    path = tmp_path / "s.knavstate"
    cluster.save().write(path)

    with another_cluster(cluster, f"{cluster.name}-b"[-40:].strip("-")) as plane:
        pids = {name: c.pid for name, c in plane.components.items()}
        newborn = set(everything(plane))
        plane.states.restore(State.read(path))
        after = everything(plane)
        api = plane.api
        api.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 8}})
        service = {
            "metadata": {"name": "s"},
            "spec": {"type": "NodePort", "ports": [{"port": 80}]},
        }
        api.create("/api/v1/namespaces/default/services", service)

        def scaled() -> bool:
            status = api.get(f"{DEPLOYMENTS}/web").get("status", {})
            return bool(status.get("readyReplicas") == 8)

        works = retrying.until(scaled, timeout_s=60)
        own = {
            name: c.pid for name, c in plane.components.items() if name not in WORKING
        }

    # Kubelets are served by the KWOK of the cluster that they are in.
    for node in (o for p, o in before.items() if p.startswith("/api/v1/nodes ")):
        endpoint = node["status"]["daemonEndpoints"]["kubeletEndpoint"]
        assert endpoint["Port"] == cluster.plane.ports["kwokControllerPort"]
        endpoint["Port"] = plane.ports["kwokControllerPort"]
    brought = {p: o for p, o in before.items() if p not in newborn}
    there = {p: o for p, o in after.items() if p not in newborn}
    # The API server makes the APIService of a definition by itself, at times sooner.
    own_work = ["kube-root-ca.crt", "/apiservices "]
    assert differences(brought, there, ignoring=own_work) == []
    assert newborn <= set(after)
    assert own == {name: pids[name] for name in own}
    assert works


def test_a_restore_that_was_killed_is_repaired_by_the_next(
    cluster: Cluster, everything: Read, differences: Compare
) -> None:
    """Whenever it dies: the next restore makes the cluster whole."""
    load(cluster)
    state = cluster.save()
    before = wait_for_quiet(cluster, everything, differences)
    marker = cluster.plane.entry.directory / restoring.UNFINISHED_FILE
    script = textwrap.dedent("""
        import sys
        from dataclasses import replace
        from pytest_knav.control_plane import registry
        from pytest_knav.control_plane.plane import ControlPlane
        plane = ControlPlane.attach(registry.find(sys.argv[1]))
        full = plane.states.save()
        kept = {k: v for k, v in full.values.items() if "/pods/" not in k}
        empty = replace(full, values=kept)
        print("begin", flush=True)
        while True:
            plane.states.restore(empty)
            plane.states.restore(full)
    """)
    moments = random.Random(4)  # noqa: S311 - for moments in time
    halves = []

    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", script, cluster.name],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begin\n"
        retrying.until(lambda: False, timeout_s=moments.uniform(0.05, 1.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        halves.append(marker.exists())
        cluster.restore(state)

    assert differences(before, wait_for_quiet(cluster, everything, differences)) == []
    assert not marker.exists()
    assert all(component.running for component in cluster.plane.components.values())


def test_two_restores_at_once_are_refused(cluster: Cluster) -> None:
    """The second says so and changes nothing; the first is not disturbed."""
    state = cluster.save()
    keeper = cluster.plane.states

    with keeper.alone(), pytest.raises(ClusterError) as error:
        keeper.restore(state)

    assert "another restore" in str(error.value)
    assert "nothing was changed" in str(error.value)
    assert all(component.running for component in cluster.plane.components.values())


def test_a_state_of_another_kind_of_cluster_is_refused(cluster: Cluster) -> None:
    """The message has both keys; nothing is touched, nothing is stopped."""
    state = cluster.save()
    foreign = replace(state, key="0123456789ab")
    before = cluster.component("scheduler").pid

    with pytest.raises(BadInput) as error:
        cluster.restore(foreign)

    assert "0123456789ab" in str(error.value)
    assert state.key in str(error.value)
    assert cluster.component("scheduler").pid == before


def test_a_dead_etcd_is_started_again_before_a_restore(cluster: Cluster) -> None:
    """Component faults left over are repaired, the store included."""
    state = cluster.save()
    cluster.component("etcd").kill()
    with pytest.raises(ClusterError) as error:
        cluster.plane.states.save()

    cluster.restore(state)

    assert "etcd" in str(error.value)
    assert "does not answer" in str(error.value)
    assert all(component.running for component in cluster.plane.components.values())


def test_an_etcd_that_dies_meanwhile_leaves_a_cluster_that_says_so(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the state of the cluster, and the next restore mends it."""
    state = cluster.save()
    cluster.plane.api.create(DEPLOYMENTS, deployment("web", 2))
    await_deployment(cluster, "web", 2)
    keeper = cluster.plane.states
    planned = table.changes

    def kill_first(*arguments: Any, **named: Any) -> table.Changes:
        todo = planned(*arguments, **named)
        cluster.component("etcd").kill()
        return todo

    with monkeypatch.context() as patched:
        patched.setattr(restoring.table, "changes", kill_first)
        with pytest.raises(ClusterError) as error:
            keeper.restore(state)
    marker = cluster.plane.entry.directory / restoring.UNFINISHED_FILE
    half = marker.exists()

    cluster.restore(state)

    assert "half restored" in str(error.value)
    assert half
    assert not marker.exists()
    assert cluster.plane.api.get(DEPLOYMENTS)["items"] == []


def test_nodes_by_the_store_are_ordinary_nodes(cluster: Cluster) -> None:
    """They read back typed, can be changed through the API, and leases follow."""
    names = [node.name for node in cluster.topology.nodes]
    read = {node.metadata.name: node for node in cluster.core.list_node().items}

    for name in names:
        cluster.core.patch_node(name, {"metadata": {"labels": {"seen": "yes"}}})

    changed = cluster.core.list_node(label_selector="seen=yes").items
    assert sorted(read) == sorted(names)
    assert len({node.metadata.uid for node in read.values()}) == len(names)
    assert {node.metadata.name for node in changed} == set(names)
    for node in read.values():
        assert node.status.allocatable["nvidia.com/gpu"] == "8"
        assert node.metadata.labels["kubernetes.io/hostname"] == node.metadata.name
    job = cluster.submit(Manifest([_daemon()], ready=lambda _: True))
    assert job is not None
    assert retrying.until(
        lambda: len(cluster.plane.api.get("/api/v1/pods")["items"]) == len(names),
        timeout_s=60,
    )


def _daemon() -> dict[str, Any]:
    body = deployment("everywhere", 1)
    spec = {k: v for k, v in body["spec"].items() if k != "replicas"}
    return {**body, "kind": "DaemonSet", "spec": spec}
