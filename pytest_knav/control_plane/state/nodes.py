"""
Nodes by the thousand: one of each kind is made the usual way, the rest are copies.

So what the API server, KWOK and kube-controller-manager add to a node (defaults,
status, labels, annotations) is their own work, and not our guess at it.
"""

from __future__ import annotations

import functools
import re
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.api import ApiRefusedError
from pytest_knav.control_plane.kwokctl import KUBELET_LABEL, KUBELET_RUNNING
from pytest_knav.control_plane.nodes import node_info
from pytest_knav.control_plane.state import leases
from pytest_knav.errors import ClusterError
from pytest_knav.topology.manifests import allocatable, capacity, node_manifest


if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from pytest_knav.control_plane.api import Api, JsonObject
    from pytest_knav.topology import NodeSpec, Topology

PREFIX: Final = "/registry/minions/"
# What a manifest says and others add to.
_OURS: Final = (
    ("metadata", "labels"),
    ("metadata", "annotations"),
    ("status", "capacity"),
    ("status", "allocatable"),
)
READY_TIMEOUT_S: Final = 60.0
# KWOK plays a new node within a second, on a busy machine within a few.
_FORGOTTEN_S: Final = 10.0
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_TTL: Final = "node.alpha.kubernetes.io/ttl"
# How long a kubelet may cache secrets, by the size of the cluster: the largest size of
# each step and its seconds (pkg/controller/ttl/ttl_controller.go).
_TTL_STEPS: Final = ((100, 0), (500, 15), (1_000, 30), (2_000, 60), (10_000, 300))
_TTL_LAST: Final = 600
# Such as every API server reads (apimachinery, pkg/api/resource/quantity.go).
_PLAIN_QUANTITY: Final = re.compile(r"\d{1,15}(\.\d{1,3})?(m|k|[MGT]i?|Ki)?")
# Added by the node lifecycle controller to nodes with the labels that replaced them
# (pkg/controller/nodelifecycle/node_lifecycle_controller.go, labelReconcileInfo).
_ADDED_LABELS: Final = {
    "kubernetes.io/os": "beta.kubernetes.io/os",
    "kubernetes.io/arch": "beta.kubernetes.io/arch",
}


def make_models(
    api: Api,
    topology: Topology,
    missing: Iterable[str],
    *,
    lease_s: float,
    revive: Callable[[], None],
) -> None:
    """
    Make one node of each kind that has none, and return when all of them are finished.

    Args:
        api: The API server.
        topology: What is simulated.
        missing: The names of its nodes that the cluster does not have.
        lease_s: How long a lease lasts.
        revive: Starts KWOK afresh; called when it does not play a node, even with a
            lease. Seen once in a hundred fresh clusters on a busy machine.

    Raises:
        ClusterError: One is not usable in time.

    """
    models = {shape(node): node for node in _specs(topology, missing)}
    api.each(
        functools.partial(api.create, "/api/v1/nodes", manifest_of(node))
        for node in models.values()
    )
    for node in models.values():
        path = f"/api/v1/nodes/{node.name}"

        def finished(path: str = path, spec: NodeSpec = node) -> bool:
            return _finished(api.get(path), spec)

        if retrying.until(finished, timeout_s=_FORGOTTEN_S):
            continue
        _give_lease(api, api.get(path), lease_s)
        if retrying.until(finished, timeout_s=_FORGOTTEN_S):
            continue
        revive()
        if not retrying.until(finished, timeout_s=READY_TIMEOUT_S):
            conditions = api.get(path).get("status", {}).get("conditions", [])
            ready = [c for c in conditions if c["type"] == "Ready"]
            raise ClusterError(
                f"node {node.name} is not usable after {READY_TIMEOUT_S:g}s: "
                f"{ready or 'it has no condition Ready, so KWOK does not play it'}"
            )


def _give_lease(api: Api, node: JsonObject, lease_s: float) -> None:
    """
    Make the lease of a node that KWOK does not play, if there is none.

    A KWOK that was held while a thousand leases were deleted can keep one of them in
    its cache. It then renews that one without end and never plays the node that comes
    with the name again; a new lease takes its place.
    """
    if api.get_or_none(f"{_LEASES}/{node['metadata']['name']}") is not None:
        return
    try:
        api.create(_LEASES, lease_of(node, time.time(), lease_s))
    except ApiRefusedError as error:
        # KWOK was quicker.
        if error.status != HTTPStatus.CONFLICT:
            raise


def copies(
    topology: Topology,
    missing: Iterable[str],
    models: Sequence[JsonObject],
    *,
    lease_s: float,
) -> dict[str, bytes]:
    """
    Return the stored keys of nodes and their leases, as copies of finished nodes.

    Args:
        topology: What is simulated.
        missing: The names of its nodes to be made.
        models: Node objects of the cluster; one for each kind that is missing.
        lease_s: How long a lease lasts.

    """
    by_name = {node.name: node for node in topology.nodes}
    originals: dict[Hashable, _Original] = {}
    for model in models:
        spec = by_name.get(model["metadata"]["name"])
        if spec is not None and shape(spec) not in originals:
            originals[shape(spec)] = _Original.of(spec, model)
    values: dict[str, bytes] = {}
    now = time.time()
    born, ttl = timestamp(now), str(ttl_s(len(topology.nodes)))
    for node in _specs(topology, missing):
        made = originals[shape(node)].copy(node, born)
        made["metadata"]["annotations"][_TTL] = ttl
        lease = lease_of(made, now, lease_s)
        values[PREFIX + node.name] = _encode(made)
        values[leases.PREFIX + node.name] = _encode(lease)
    return values


def shape(node: NodeSpec) -> Hashable:
    """
    Return what others look at when they complete a node.

    Nodes that differ only in name, annotations, labels and how much they have of
    something are of one shape: machines of one kind differ in a few KiB of memory. Not
    so the labels that make the node lifecycle controller add others, and amounts that
    the API server might not be able to read: in the store they would break every list.
    """
    labels = dict(node.labels)
    seen = [labels.get(key) for pair in _ADDED_LABELS.items() for key in pair]
    return (
        _kinds(capacity(node)),
        _kinds(allocatable(node)),
        node.taints,
        tuple(seen),
    )


def _kinds(amounts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, "" if _PLAIN_QUANTITY.fullmatch(quantity) else quantity)
        for name, quantity in sorted(amounts.items())
    )


def ttl_s(nodes: int) -> int:
    """Return the seconds that the TTL controller writes onto nodes of a cluster."""
    return next((ttl for most, ttl in _TTL_STEPS if nodes <= most), _TTL_LAST)


def manifest_of(node: NodeSpec) -> dict[str, Any]:
    """Return the Node object to create, in the care of KWOK."""
    return node_manifest(node, {KUBELET_LABEL: KUBELET_RUNNING})


def lease_of(node: Mapping[str, Any], now: float, lease_s: float) -> dict[str, Any]:
    """Return the lease of a stored node, renewed now and held by nobody."""
    metadata = node["metadata"]
    owner = {
        "apiVersion": "v1",
        "kind": "Node",
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": metadata["name"],
            "namespace": "kube-node-lease",
            "uid": str(uuid.uuid4()),
            "creationTimestamp": timestamp(now),
            "ownerReferences": [owner],
        },
        "spec": {
            "leaseDurationSeconds": int(lease_s),
            "renewTime": leases.micro_time(now),
        },
    }


def timestamp(now: float) -> str:
    """Return a moment as a Kubernetes Time."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _specs(topology: Topology, names: Iterable[str]) -> list[NodeSpec]:
    wanted = set(names)
    return [node for node in topology.nodes if node.name in wanted]


def _finished(node: JsonObject, spec: NodeSpec) -> bool:
    """Return whether everyone who adds to a new node has done so."""
    metadata = node["metadata"]
    labels = metadata.get("labels", {})
    return (
        node_info(node).usable_but_for(spec.taints)
        and _TTL in metadata.get("annotations", {})
        and all(new in labels for old, new in _ADDED_LABELS.items() if old in labels)
    )


@dataclass(frozen=True, slots=True)
class _Original:
    """A finished node, to be copied many times."""

    name: str
    text: bytes
    manifest: Mapping[str, Any]

    @classmethod
    def of(cls, spec: NodeSpec, model: JsonObject) -> _Original:
        """Return a node of the cluster with what we had said of it."""
        whole = {**model, "apiVersion": "v1", "kind": "Node"}
        return cls(spec.name, _encode(whole), manifest_of(spec))

    def copy(self, node: NodeSpec, born: str) -> dict[str, Any]:
        """Return another node with the same done to it."""
        # A tenth of the time of `copy.deepcopy`.
        made: dict[str, Any] = _decode(self.text)
        metadata, ours = made["metadata"], manifest_of(node)
        for where, part in _OURS:
            made[where][part] = _replaced(
                made[where][part], self.manifest[where][part], ours[where][part]
            )
        metadata["name"] = node.name
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = born
        metadata.pop("resourceVersion", None)
        for address in made["status"].get("addresses", ()):
            if address["address"] == self.name:
                address["address"] = node.name
        return made


def _replaced(
    found: Mapping[str, str], theirs: Mapping[str, str], ours: Mapping[str, str]
) -> dict[str, str]:
    """Return what others added to the model, and our own for the copy."""
    return {k: v for k, v in found.items() if k not in theirs} | dict(ours)
