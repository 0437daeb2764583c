"""How a topology becomes Node objects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.topology.dialects.vendors import mig_resource


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.topology.model import NodeSpec

# The suffixes of whole amounts (apimachinery, pkg/api/resource/suffix.go).
_SUFFIXES: Final = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_QUANTITY: Final = re.compile(r"(\d+)([A-Za-z]*)")


def node_manifest(node: NodeSpec, labels: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the Node object of a simulated machine.

    Args:
        node: The machine.
        labels: More labels, such as the one by which KWOK takes care of the node.

    """
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": {**dict(node.labels), **labels},
            "annotations": {
                # Asked by metrics-server; KWOK serves every node on one port.
                "metrics.k8s.io/resource-metrics-path": (
                    f"/metrics/nodes/{node.name}/metrics/resource"
                ),
                **dict(node.annotations),
            },
        },
        "status": {"allocatable": allocatable(node), "capacity": capacity(node)},
    }
    if node.taints:
        manifest["spec"] = {"taints": [_taint(*taint) for taint in node.taints]}
    return manifest


def capacity(node: NodeSpec) -> dict[str, str]:
    """Return what a node has: its machine's amounts, and what is its own."""
    machine = node.machine
    amounts = {
        "cpu": str(machine.cpus),
        "memory": f"{machine.memory_gib}Gi",
        "pods": str(machine.pods),
        "ephemeral-storage": f"{machine.storage_gib}Gi",
        **gpu_amounts(node),
    }
    return _changed(amounts, node.capacity)


def allocatable(node: NodeSpec) -> dict[str, str]:
    """Return what pods can have of a node."""
    return _changed(capacity(node), node.allocatable)


def gpu_amounts(node: NodeSpec) -> dict[str, str]:
    """
    Return the extended resources that the machine's GPUs are.

    GPUs that are cut are counted by profile and not as GPUs, as NVIDIA's device plugin
    does with the MIG strategy `mixed`.
    """
    gpu = node.machine.gpu
    if gpu is None or not node.gpus:
        return {}
    if node.machine.mig:
        return {
            mig_resource(gpu, profile): str(each * node.gpus)
            for profile, each in node.machine.mig
        }
    return {gpu.resource: str(node.gpus)}


def amount_of(node: NodeSpec, resource: str) -> int:
    """Return how many of an extended resource pods can have of a node."""
    # Without a look at the rest: it is asked for every node at each submit.
    for own in (node.allocatable, node.capacity):
        for name, quantity in own:
            if name == resource:
                return whole(quantity)
    return whole(gpu_amounts(node).get(resource, ""))


def whole(quantity: str) -> int:
    """Return a whole Kubernetes quantity as a number; 0 for what is none."""
    found = _QUANTITY.fullmatch(quantity)
    return int(found[1]) * _SUFFIXES.get(found[2], 0) if found else 0


def _changed(
    amounts: Mapping[str, str], own: tuple[tuple[str, str], ...]
) -> dict[str, str]:
    changed = {**amounts, **dict(own)}
    return {name: quantity for name, quantity in changed.items() if quantity}


def _taint(key: str, value: str, effect: str) -> dict[str, str]:
    return {"key": key, "effect": effect, **({"value": value} if value else {})}
