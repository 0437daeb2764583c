"""Lists of objects loaded at once: the API server takes them for its own."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client

from pytest_knav import BadInput, Job


if TYPE_CHECKING:
    from pytest_knav import Cluster

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=4)

NAMESPACE = "team"
SETTLED_S = (5.0, 20.0)
AMOUNTS = {"cpu": "8", "memory": "64Gi", "pods": "110", "nvidia.com/gpu": "8"}
CONTAINERS = [{"name": "c", "image": "c"}]


def made(
    version: str, kind: str, name: str, *, inside: bool = True, **parts: Any
) -> dict[str, Any]:
    """Return an object."""
    metadata = {"name": name, **parts.pop("metadata", {})}
    if inside:
        metadata["namespace"] = NAMESPACE
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


def template(app: str) -> dict[str, Any]:
    """Return the template of a workload's pods."""
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": CONTAINERS}}


def environment() -> list[dict[str, Any]]:
    """Return what the other objects refer to; it may come last."""
    return [
        made("v1", "Namespace", NAMESPACE, inside=False),
        made("v1", "ServiceAccount", "robot"),
        made(
            "scheduling.k8s.io/v1", "PriorityClass", "gold", inside=False, value=1_000
        ),
        made("v1", "Node", "extra", inside=False,
             metadata={"labels": {"topology.kubernetes.io/zone": "z9"}},
             status={"allocatable": AMOUNTS, "capacity": AMOUNTS}),
        made(
            "apiextensions.k8s.io/v1", "CustomResourceDefinition",
            "gangs.example.org", inside=False,
            spec={
                "group": "example.org",
                "scope": "Namespaced",
                "names": {"kind": "Gang", "plural": "gangs", "singular": "gang"},
                "versions": [{
                    "name": "v1", "served": True, "storage": True,
                    "schema": {"openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {
                            "type": "object",
                            "properties": {"size": {"type": "integer", "default": 3}},
                        }},
                    }},
                }],
            },
        ),
    ]  # fmt: skip


def one_of_each() -> list[dict[str, Any]]:
    """Return an object of many kinds, as a person writes them."""
    slice_spec = {
        "driver": "gpu.example.com",
        "nodeName": "extra",
        "pool": {"name": "extra", "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": "gpu0", "attributes": {"numa": {"int": 0}}}],
    }
    rule = {"http": {"paths": [{
        "path": "/", "pathType": "Prefix",
        "backend": {"service": {"name": "web", "port": {"number": 80}}},
    }]}}  # fmt: skip
    return [
        made("v1", "ConfigMap", "settings", data={"a": "b"}),
        made("v1", "Secret", "password", stringData={"k": "v"}),
        made("v1", "Service", "web", spec={"ports": [{"port": 80}]}),
        made("v1", "Service", "door",
             spec={"type": "NodePort", "ports": [{"port": 1}]}),
        made("v1", "PersistentVolumeClaim", "disk", spec={
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        }),
        made("v1", "Pod", "lone", spec={
            "containers": CONTAINERS, "nodeName": "extra",
            "priorityClassName": "gold", "serviceAccountName": "robot",
        }, status={"phase": "Running"}),
        made("v1", "ReplicationController", "old", spec={
            "replicas": 0, "selector": {"app": "old"}, "template": template("old"),
        }),
        made("apps/v1", "DaemonSet", "agents", spec={
            "selector": {"matchLabels": {"app": "a"}},
            "template": {**template("a"), "spec": {
                "containers": CONTAINERS, "nodeSelector": {"none": "none"},
            }},
        }),
        made("batch/v1", "Job", "train", spec={
            "suspend": True,
            "template": {"spec": {"containers": CONTAINERS, "restartPolicy": "Never"}},
        }),
        made("networking.k8s.io/v1", "Ingress", "front", spec={"rules": [rule]}),
        made("resource.k8s.io/v1", "ResourceSlice", "extra-gpus", inside=False,
             spec=slice_spec),
        made("example.org/v1", "Gang", "llama", spec={}),
        *environment(),
    ]  # fmt: skip


def readers(cluster: Cluster) -> dict[str, tuple[Any, str, tuple[str, ...]]]:
    """Return for each kind its API, the end of its methods, and the object's place."""
    api = cluster.api
    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    extensions, inside = client.ApiextensionsV1Api(api), (NAMESPACE,)
    return {
        "ConfigMap": (core, "namespaced_config_map", ("settings", *inside)),
        "Secret": (core, "namespaced_secret", ("password", *inside)),
        "Service": (core, "namespaced_service", ("door", *inside)),
        "Claim": (core, "namespaced_persistent_volume_claim", ("disk", *inside)),
        "Pod": (core, "namespaced_pod", ("lone", *inside)),
        "Controller": (core, "namespaced_replication_controller", ("old", *inside)),
        "Account": (core, "namespaced_service_account", ("robot", *inside)),
        "Namespace": (core, "namespace", (NAMESPACE,)),
        "Node": (core, "node", ("extra",)),
        "DaemonSet": (apps, "namespaced_daemon_set", ("agents", *inside)),
        "Job": (client.BatchV1Api(api), "namespaced_job", ("train", *inside)),
        "Ingress": (
            client.NetworkingV1Api(api), "namespaced_ingress", ("front", *inside)
        ),
        "Slice": (client.ResourceV1Api(api), "resource_slice", ("extra-gpus",)),
        "Priority": (client.SchedulingV1Api(api), "priority_class", ("gold",)),
        "Definition": (
            extensions, "custom_resource_definition", ("gangs.example.org",)
        ),
    }  # fmt: skip


def test_each_kind_is_read_typed_and_updated(cluster: Cluster) -> None:
    """By the official client, with what the API server adds to new objects."""
    loaded = cluster.load(one_of_each())

    read = {}
    for kind, (api, end, place) in readers(cluster).items():
        found = getattr(api, f"read_{end}")(*place)
        found.metadata.labels = {**(found.metadata.labels or {}), "seen": "yes"}
        changed = getattr(api, f"replace_{end}")(*place, found)
        assert changed.metadata.labels["seen"] == "yes", kind
        assert changed.metadata.uid, kind
        assert changed.metadata.creation_timestamp, kind
        read[kind] = changed
    custom = client.CustomObjectsApi(cluster.api)
    gang = custom.get_namespaced_custom_object(
        "example.org", "v1", NAMESPACE, "gangs", "llama"
    )
    pod = read["Pod"]
    tolerated = {toleration.key for toleration in pod.spec.tolerations}
    assert loaded == len(one_of_each())
    assert gang["spec"] == {"size": 3}
    assert (pod.spec.priority, pod.spec.service_account_name) == (1_000, "robot")
    assert pod.metadata.labels["topology.kubernetes.io/zone"] == "z9"
    assert tolerated >= {
        "node.kubernetes.io/unreachable",
        "node.kubernetes.io/not-ready",
    }
    assert pod.spec.volumes[0].projected is not None
    assert pod.status.qos_class == "BestEffort"
    assert read["Service"].spec.ports[0].node_port >= 30_000
    assert read["Secret"].data == {"k": "dg=="}
    assert read["Job"].spec.backoff_limit == 6
    uid = read["Job"].metadata.uid
    assert read["Job"].spec.selector.match_labels == {
        "batch.kubernetes.io/controller-uid": uid
    }
    assert read["Slice"].spec.pool.name == "extra"
    cluster.recorder.wait(lambda _: cluster.node("extra").usable, 30)
    assert cluster.node("extra").usable


def tree(replicas: int) -> list[dict[str, Any]]:
    """Return a Deployment with its ReplicaSet and its running pods."""
    inside = {"metadata": {"namespace": "default"}}
    hashed = {"app": "web", "pod-template-hash": "abc"}

    def owned(kind: str, name: str) -> dict[str, Any]:
        owner = {"apiVersion": "apps/v1", "kind": kind, "name": name}
        owner |= {"uid": f"u-{name}", "controller": True}
        return {"ownerReferences": [owner]}

    deployment = made("apps/v1", "Deployment", "web", inside=False, **inside, spec={
        "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
        "template": template("web"),
    })  # fmt: skip
    deployment["metadata"] |= {
        "uid": "u-web", "annotations": {"deployment.kubernetes.io/revision": "1"}
    }  # fmt: skip
    name = "web-abc"
    replica_set = made("apps/v1", "ReplicaSet", name, inside=False, **inside, spec={
        "replicas": replicas, "selector": {"matchLabels": hashed},
        "template": {**template("web"), "metadata": {"labels": hashed}},
    })  # fmt: skip
    replica_set["metadata"] |= {
        "uid": "u-web-abc", "labels": hashed, **owned("Deployment", "web"),
        "annotations": {"deployment.kubernetes.io/revision": "1",
                        "deployment.kubernetes.io/desired-replicas": str(replicas)},
    }  # fmt: skip
    ready = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Ready")]
    pods = [
        made(
            "v1", "Pod", f"web-abc-{i}", inside=False,
            metadata={
                "namespace": "default", "labels": hashed,
                **owned("ReplicaSet", "web-abc"),
            },
            spec={"containers": CONTAINERS, "nodeName": f"dgx-h100-{i % 4:04}"},
            status={"phase": "Running", "podIP": f"10.9.0.{i}", "conditions": ready},
        )
        for i in range(replicas)
    ]  # fmt: skip
    return [deployment, replica_set, *pods]


def test_controllers_find_nothing_to_do(cluster: Cluster) -> None:
    """Pods that are given with their owners stay, and none is made beside them."""
    cluster.load(tree(40))

    def uids() -> dict[str, str]:
        pods = cluster.history.latest("Pod").values()
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods}

    first = uids()
    after = []
    for seconds in (SETTLED_S[0], SETTLED_S[1] - SETTLED_S[0]):
        cluster.recorder.wait(lambda _: False, seconds)
        after.append(uids())

    apps = client.AppsV1Api(cluster.api)
    replica_sets = apps.list_namespaced_replica_set("default").items
    running = {pod.phase for pod in cluster.pods_on(*(n.name for n in cluster.nodes))}
    gone = [r.name for r in cluster.history.records("Pod") if r.verb == "DELETED"]
    assert len(first) == 40
    assert after == [first, first]
    assert running == {"Running"}
    assert gone == []
    assert [one.metadata.name for one in replica_sets] == ["web-abc"]
    status = apps.read_namespaced_deployment("web", "default").status
    assert status.ready_replicas == 40
    apps.patch_namespaced_deployment("web", "default", {"spec": {"replicas": 41}})
    cluster.recorder.wait(lambda _: len(uids()) == 41, 30)
    assert len(uids()) == 41


def test_what_is_wrong_changes_nothing(cluster: Cluster) -> None:
    """Each is refused with its name, before or after something was written."""
    cluster.submit(Job("here", completions=2))
    config = functools.partial(made, "v1", "ConfigMap", inside=False)
    cluster.load([config(f"taken-{i}") for i in range(7)])
    before = cluster.plane.states.save()
    broken = made("v1", "Pod", "broken", inside=False, spec={"containers": "none"})
    broken["metadata"] |= {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    event = made("v1", "Event", "e", inside=False, involvedObject={})
    empty = made("v1", "Pod", "p", spec={"containers": []})
    wrong = {
        "ConfigMap default/taken-4 and 2 more: in the cluster already": [
            *(config(f"taken-{i}") for i in range(7)), config("new")
        ],
        "there is no namespace 'team'": [made("v1", "ConfigMap", "lost")],
        "serves no Wish of v1": [made("v1", "Wish", "w", inside=False)],
        "Event default/e cannot be loaded": [event],
        "cannot unmarshal string": [config("new"), broken],
        "Pod team/p: ": [*environment(), empty],
        'unknown field "spec.replcas"': [
            made("apps/v1", "ReplicaSet", "r", inside=False, spec={"replcas": 1})
        ],
    }  # fmt: skip

    for says, objects in wrong.items():
        with pytest.raises(BadInput) as refused:
            cluster.load(objects)
        assert says in str(refused.value)

    left = set(cluster.plane.states.save().values)
    fleeting = ("/registry/events/", "/registry/leases/")
    new = [k for k in left - set(before.values) if not k.startswith(fleeting)]
    assert [key for key in new if "/pods/" not in key] == []
