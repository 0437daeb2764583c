"""
Nodes by the thousand: one of each kind is made the usual way, the rest are copies.

So what the API server, KWOK and kube-controller-manager add to a node (defaults,
status, labels, annotations) is their own work, and not our guess at it.
"""

from __future__ import annotations

import functools
import json
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.kwokctl import KUBELET_LABEL, KUBELET_RUNNING
from pytest_knav.control_plane.nodes import node_info
from pytest_knav.control_plane.state import leases
from pytest_knav.errors import ClusterError
from pytest_knav.topology.manifests import node_manifest


if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from pytest_knav.control_plane.api import Api, JsonObject
    from pytest_knav.topology import NodeSpec, Topology

PREFIX: Final = "/registry/minions/"
READY_TIMEOUT_S: Final = 60.0
_TTL: Final = "node.alpha.kubernetes.io/ttl"
# How long a kubelet may cache secrets, by the size of the cluster: the largest size of
# each step and its seconds (pkg/controller/ttl/ttl_controller.go).
_TTL_STEPS: Final = ((100, 0), (500, 15), (1_000, 30), (2_000, 60), (10_000, 300))
_TTL_LAST: Final = 600
# Added by the node lifecycle controller to nodes with the labels that replaced them
# (pkg/controller/nodelifecycle/node_lifecycle_controller.go, labelReconcileInfo).
_ADDED_LABELS: Final = {"beta.kubernetes.io/os", "beta.kubernetes.io/arch"}


def make_models(api: Api, topology: Topology, missing: Iterable[str]) -> None:
    """
    Make one node of each kind that has none, and return when all of them are finished.

    Args:
        api: The API server.
        topology: What is simulated.
        missing: The names of its nodes that the cluster does not have.

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
        if not retrying.until(
            lambda path=path: _finished(api.get(path)),  # type: ignore[misc]
            timeout_s=READY_TIMEOUT_S,
        ):
            conditions = api.get(path).get("status", {}).get("conditions", [])
            ready = [c for c in conditions if c["type"] == "Ready"]
            raise ClusterError(
                f"node {node.name} is not usable after {READY_TIMEOUT_S:g}s: "
                f"{ready or 'it has no condition Ready, so KWOK does not play it'}"
            )


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
    originals: dict[Hashable, tuple[NodeSpec, JsonObject]] = {}
    for model in models:
        spec = by_name.get(model["metadata"]["name"])
        if spec is not None:
            originals.setdefault(shape(spec), (spec, model))
    values: dict[str, bytes] = {}
    now = time.time()
    for node in _specs(topology, missing):
        spec, model = originals[shape(node)]
        made = _copy(node, spec, model, now)
        made["metadata"]["annotations"][_TTL] = str(ttl_s(len(topology.nodes)))
        lease = lease_of(made, now, lease_s)
        values[PREFIX + node.name] = json.dumps(made).encode()
        values[leases.PREFIX + node.name] = json.dumps(lease).encode()
    return values


def shape(node: NodeSpec) -> Hashable:
    """Return what nodes have in common that differ only in name and labels' values."""
    labels = tuple(sorted(key for key, _ in node.labels))
    return node.machine, node.capacity, node.allocatable, node.taints, labels


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


def _finished(node: JsonObject) -> bool:
    """Return whether everyone who adds to a new node has done so."""
    metadata = node["metadata"]
    return (
        node_info(node).usable
        and _TTL in metadata.get("annotations", {})
        and set(metadata["labels"]) >= _ADDED_LABELS
    )


def _copy(
    node: NodeSpec, spec: NodeSpec, model: JsonObject, now: float
) -> dict[str, Any]:
    # A third of the time of `copy.deepcopy`.
    made: dict[str, Any] = json.loads(json.dumps(model))
    made |= {"apiVersion": "v1", "kind": "Node"}
    metadata, ours = made["metadata"], manifest_of(node)["metadata"]
    theirs = manifest_of(spec)["metadata"]
    for part in ("labels", "annotations"):
        metadata[part] = _replaced(metadata[part], theirs[part], ours[part])
    metadata["name"] = node.name
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = timestamp(now)
    metadata.pop("resourceVersion", None)
    for address in made["status"].get("addresses", ()):
        if address["address"] == spec.name:
            address["address"] = node.name
    return made


def _replaced(
    found: Mapping[str, str], theirs: Mapping[str, str], ours: Mapping[str, str]
) -> dict[str, str]:
    """Return what others added to the model, and our own for the copy."""
    return {k: v for k, v in found.items() if k not in theirs} | dict(ours)
