"""Objects on their way into the store: their keys, their shapes, what is added."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.control_plane.api import ApiRefusedError
from pytest_knav.control_plane.state import objects
from pytest_knav.control_plane.state.places import key_of, place
from pytest_knav.control_plane.state.shapes import completed, merged, shape
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KINDS = {
    "v1": [("Pod", "pods", True), ("Service", "services", True),
           ("Node", "nodes", False), ("Namespace", "namespaces", False)],
    "batch/v1": [("Job", "jobs", True)],
    "authentication.k8s.io/v1": [("TokenReview", "tokenreviews", False)],
    "queue.example.com/v1": [("Queue", "queues", True)],
}  # fmt: skip
ZONE = "topology.kubernetes.io/zone"


class FakeApi:
    """Serves some kinds, and adds something to whatever is created by a dry run."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.zones = {"n0": "a", "n1": "a", "n2": "b"}

    def get_or_none(self, path: str) -> dict[str, Any] | None:
        """Return what a group and version serves."""
        found = KINDS.get(path.removeprefix("/apis/").removeprefix("/api/"))
        items = [
            {
                "kind": kind,
                "name": plural,
                "namespaced": inside,
                "verbs": ["create"] if kind == "TokenReview" else ["create", "list"],
            }
            for kind, plural, inside in found or ()
        ]
        return {"resources": items}

    def get_as(self, path: str, accept: str) -> dict[str, Any]:
        """Return names of definitions, namespaces or nodes."""
        del accept
        if path.endswith("definitions"):
            return {"items": [{"metadata": {"name": "queues.queue.example.com"}}]}
        if path.endswith("namespaces"):
            return {"items": [{"metadata": {"name": "default"}}]}
        return {
            "items": [
                {"metadata": {"name": node, "labels": {ZONE: zone}}}
                for node, zone in self.zones.items()
            ]
        }

    def get(self, path: str) -> dict[str, Any]:
        """Return Services, or their range of six addresses."""
        if path.endswith("services"):
            return {"items": [{"spec": {"clusterIP": "10.0.0.6"}}]}
        return {"items": [{"spec": {"cidrs": ["10.0.0.0/29"]}}]}

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer as the API server does to a dry run."""
        assert "dryRun=All" in path
        self.asked.append(body)
        if body.get("spec") == "wrong":
            raise ApiRefusedError("POST", path, 400, "cannot unmarshal string")
        made = copy.deepcopy(body)
        made["metadata"] |= {"uid": "theirs", "creationTimestamp": "now"}
        made.pop("status", None)
        if made["kind"] == "Pod":
            made["spec"]["priority"] = 0
            made["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
            zone = self.zones.get(made["spec"].get("nodeName", ""))
            if zone:
                made["metadata"].setdefault("labels", {})[ZONE] = zone
        if made["kind"] == "Job":
            labels = {"job-name": made["metadata"]["name"], "controller-uid": "theirs"}
            made["spec"]["labels"] = labels
        return made

    def each(self, calls: Iterable[Callable[[], Any]]) -> list[Any]:
        """Make requests."""
        return [call() for call in calls]


@pytest.fixture
def api() -> Any:
    """Return an API server that only dry-runs."""
    return FakeApi()


def pod(name: str = "p", **parts: Any) -> dict[str, Any]:
    """Return a pod."""
    metadata = {"name": name, **parts.pop("metadata", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {},
        **parts,
    }


def loaded(api: Any, *items: dict[str, Any]) -> dict[str, Any]:
    """Return the stored objects by key."""
    return {k: json.loads(v) for k, v in objects.stored(api, items).items()}


@pytest.mark.parametrize(
    ("group", "plural", "namespace", "key"),
    [
        ("", "pods", "ns", "/registry/pods/ns/x"),
        ("", "nodes", None, "/registry/minions/x"),
        ("", "services", "ns", "/registry/services/specs/ns/x"),
        ("", "endpoints", "ns", "/registry/services/endpoints/ns/x"),
        ("", "replicationcontrollers", "ns", "/registry/controllers/ns/x"),
        ("apps", "deployments", "ns", "/registry/deployments/ns/x"),
        ("networking.k8s.io", "ingresses", "ns", "/registry/ingress/ns/x"),
        ("resource.k8s.io", "resourceslices", None, "/registry/resourceslices/x"),
        ("scheduling.k8s.io", "podgroups", "ns", "/registry/podgroups/ns/x"),
        (
            "apiregistration.k8s.io",
            "apiservices",
            None,
            "/registry/apiregistration.k8s.io/apiservices/x",
        ),
        (
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            None,
            "/registry/apiextensions.k8s.io/customresourcedefinitions/x",
        ),
    ],
)
def test_built_in_kinds_have_their_keys(
    group: str, plural: str, namespace: str | None, key: str
) -> None:
    """By plural alone, with the few that are stored under another name."""
    assert key_of(group, plural, namespace, "x", custom=False) == key


def test_custom_kinds_are_stored_by_group() -> None:
    """Also in a group that looks built in, and with a plural that is renamed."""
    gateways = key_of("gateway.networking.k8s.io", "gateways", "a", "x", custom=True)
    nodes = key_of("example.com", "nodes", None, "x", custom=True)

    assert gateways == "/registry/gateway.networking.k8s.io/gateways/a/x"
    assert nodes == "/registry/example.com/nodes/x"


def test_a_definition_in_the_list_defines_its_kind(api: Any) -> None:
    """Though nothing serves it yet."""
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gangs.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"kind": "Gang", "plural": "gangs"},
            "versions": [{"name": "v1"}],
        },
    }
    gang = {"apiVersion": "example.com/v1", "kind": "Gang", "metadata": {"name": "g"}}
    KINDS["apiextensions.k8s.io/v1"] = [
        ("CustomResourceDefinition", "customresourcedefinitions", False)
    ]

    keys = [one.key for one in place(api, [gang, definition])]

    assert keys[0] == "/registry/example.com/gangs/default/g"


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ([{"kind": "Pod"}], "has no apiVersion, kind and metadata.name"),
        ([pod(), pod()], "Pod default/p is given 2 times"),
        ([pod(spec={"at": object()})], "Pod p is not JSON"),
        ([{**pod(), "kind": "Pot"}], "serves no Pot of v1"),
        ([pod(metadata={"namespace": "x"})], "there is no namespace 'x'"),
        ([pod(spec="wrong")], "refuses Pod default/p: cannot unmarshal"),
        (
            [
                {
                    **pod(),
                    "apiVersion": "authentication.k8s.io/v1",
                    "kind": "TokenReview",
                }
            ],
            "TokenReview p: objects of this kind are stored nowhere",
        ),
    ],
)
def test_what_cannot_be_stored_is_refused(
    api: Any, items: list[dict[str, Any]], says: str
) -> None:
    """With the object and what is wrong with it."""
    with pytest.raises(BadInput) as refused:
        objects.stored(api, items)

    assert says in str(refused.value)


def test_a_namespace_in_the_list_is_there(api: Any) -> None:
    """Whether it comes before or after what is in it."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}

    keys = [
        one.key for one in place(api, [pod(metadata={"namespace": "x"}), namespace])
    ]

    assert keys == ["/registry/pods/x/p", "/registry/namespaces/x"]


def test_thousands_of_one_shape_cost_one_question(api: Any) -> None:
    """Each keeps its own name, labels, node and status, and has a uid of its own."""
    many = [
        pod(
            f"p-{i}",
            metadata={"labels": {"i": str(i)}},
            spec={"nodeName": f"n{i % 2}"},
            status={"phase": "Running", "podIP": f"10.0.{i}.1"},
        )
        for i in range(100)
    ]

    made = loaded(api, *many)

    seventh = made["/registry/pods/default/p-7"]
    assert len(api.asked) == 1
    assert seventh["metadata"]["labels"] == {"i": "7", ZONE: "a"}
    assert seventh["spec"] == {"nodeName": "n1", "priority": 0}
    assert seventh["status"] == {
        "phase": "Running", "podIP": "10.0.7.1", "qosClass": "BestEffort"
    }  # fmt: skip
    assert len({one["metadata"]["uid"] for one in made.values()}) == 100


def test_pods_of_another_zone_are_asked_for_apart(api: Any) -> None:
    """Admission writes the zone of its node into a pod."""
    made = loaded(api, *(pod(f"p-{n}", spec={"nodeName": n}) for n in ("n0", "n2")))

    zones = [one["metadata"]["labels"][ZONE] for one in made.values()]
    assert zones == ["a", "b"]


def test_kinds_that_hold_their_own_name_are_asked_for_one_by_one(api: Any) -> None:
    """Such as Jobs; and their own uid is written where the answer's was."""
    jobs = [
        {**pod(name, spec={"completions": 2}), "apiVersion": "batch/v1", "kind": "Job"}
        for name in ("one", "two")
    ]

    made = loaded(api, *jobs)

    for name in ("one", "two"):
        job = made[f"/registry/jobs/default/{name}"]
        uid = job["metadata"]["uid"]
        assert job["spec"]["labels"] == {"job-name": name, "controller-uid": uid}
        assert uid != "theirs"


def test_what_an_api_server_has_seen_goes_in_as_it_is(api: Any) -> None:
    """With uid, owners and time of deletion; nothing is asked but whether it reads."""
    metadata = {
        "uid": "u", "creationTimestamp": "then", "deletionTimestamp": "soon",
        "resourceVersion": "7", "managedFields": [], "ownerReferences": [{"uid": "o"}],
    }  # fmt: skip

    made = loaded(api, pod("a", metadata=metadata), pod("b", metadata=metadata))

    left = {"name": "a", "namespace": "default", **metadata}
    del left["resourceVersion"], left["managedFields"]
    assert made["/registry/pods/default/a"]["metadata"] == left
    assert made["/registry/pods/default/a"]["spec"] == {}
    assert len(api.asked) == 1


def test_a_given_uid_is_kept(api: Any) -> None:
    """Others refer to it."""
    made = loaded(api, pod(metadata={"uid": "mine"}))

    assert made["/registry/pods/default/p"]["metadata"]["uid"] == "mine"


def test_nodes_are_played_by_our_kwok(api: Any) -> None:
    """Unless a label says otherwise; one that is Ready keeps no taint of a new one."""
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    node = {**pod("n"), "kind": "Node", "status": ready, "spec": {"taints": [taint]}}
    dead = {**node, "metadata": {"name": "d", "labels": {"pytest-knav/kubelet": "no"}}}

    made = loaded(api, node, dead)

    first, second = made["/registry/minions/n"], made["/registry/minions/d"]
    assert first["metadata"]["labels"] == {"pytest-knav/kubelet": "running"}
    assert first["spec"]["taints"] == []
    assert second["metadata"]["labels"] == {"pytest-knav/kubelet": "no"}


def test_each_service_has_an_address_of_its_own(api: Any) -> None:
    """A dry run gives all of them the same one; those in use are left out."""
    service = {**pod(), "kind": "Service", "spec": {"type": "NodePort"}}
    service["spec"] |= {"ports": [{"port": 80}]}
    many = [{**copy.deepcopy(service), "metadata": {"name": n}} for n in "abc"]

    made = loaded(api, *many).values()

    assert [one["spec"]["clusterIP"] for one in made] == [
        "10.0.0.5", "10.0.0.4", "10.0.0.3"
    ]  # fmt: skip
    assert len({one["spec"]["ports"][0]["nodePort"] for one in made}) == 3


def test_too_many_services_are_refused(api: Any) -> None:
    """The range of addresses is the cluster's."""
    many = [
        {**pod(f"s{i}"), "kind": "Service", "spec": {"ports": []}} for i in range(9)
    ]

    with pytest.raises(BadInput, match="no address left"):
        objects.stored(api, many)


@pytest.mark.parametrize(
    "other",
    [
        pod("Bad_Name"),
        pod(metadata={"labels": {"a": "not valid!"}}),
        pod(metadata={"labels": {"b": "x"}}),
        pod(spec={"priorityClassName": "high"}),
        pod(status={"phase": 5}),
        {**pod(), "kind": "Node"},
    ],
)
def test_what_the_api_server_may_judge_is_another_shape(other: dict[str, Any]) -> None:
    """Also a name or a label that is wrong: each of those it sees itself."""
    plain = pod(metadata={"labels": {"a": "x"}}, status={"phase": "Running"})

    assert shape(other) != shape(plain)


def test_lists_grow_where_the_answer_grew() -> None:
    """What was given stays its own, what was added comes behind it."""
    own = {"tolerations": [{"key": "mine"}], "containers": [{"name": "x"}]}
    given = {"tolerations": [{"key": "his"}], "containers": [{"name": "x"}]}
    answer = {
        "tolerations": [{"key": "his"}, {"key": "added"}],
        "containers": [{"name": "x", "policy": "Always"}],
    }

    assert merged(own, given, answer) == {
        "tolerations": [{"key": "mine"}, {"key": "added"}],
        "containers": [{"name": "x", "policy": "Always"}],
    }


def test_what_the_answer_lacks_is_dropped() -> None:
    """The API server turns `stringData` into `data`, and so it is for the others."""
    given = {**pod("a"), "kind": "Secret", "stringData": {"k": "v"}}
    answer = {**pod("a"), "kind": "Secret", "data": {"k": "dg=="}}
    answer["metadata"]["uid"] = "theirs"
    own = {**given, "metadata": {"name": "b", "uid": "mine"}}

    made = completed(own, given, answer)

    assert "stringData" not in made
    assert made["data"] == {"k": "dg=="}
    assert made["metadata"] == {"name": "b", "uid": "mine"}
