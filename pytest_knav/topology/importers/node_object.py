"""One Node object, checked: what of it an import looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.importers.quantities import amount


if TYPE_CHECKING:
    from collections.abc import Mapping

# Ours, by which KWOK knows its nodes.
_OURS: Final = "pytest-knav/kubelet"
# What the node lifecycle controller, the cloud controller or a person with a broken
# node puts on and takes off (Well-Known Labels, Annotations and Taints).
_OF_THE_MOMENT: Final = frozenset({
    "node.cloudprovider.kubernetes.io/shutdown",
    "node.cloudprovider.kubernetes.io/uninitialized",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/network-unavailable",
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/out-of-service",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/unschedulable",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeObject:
    """
    What a Node object says of a machine.

    Attributes:
        taints: Triples of key, value and effect, without those of the moment.
        passing: The keys of the taints of the moment.

    """

    name: str
    labels: dict[str, str]
    taints: tuple[tuple[str, str, str], ...]
    capacity: dict[str, str]
    allocatable: dict[str, str]
    passing: tuple[str, ...]
    cordoned: bool
    ready: bool


def read(item: Mapping[str, Any]) -> NodeObject:
    """
    Return what a Node object says.

    Raises:
        BadInput: It is none, it has no capacity, or an amount or taint is wrong.

    """
    metadata = item.get("metadata") or {}
    name = metadata.get("name")
    if item.get("kind") != "Node" or not name:
        raise BadInput(f"{item.get('kind')} {name!r} is no Node object with a name")
    spec, status = item.get("spec") or {}, item.get("status") or {}
    has = _amounts(name, "capacity", status)
    taints = [_taint(name, taint) for taint in spec.get("taints") or ()]
    labels = metadata.get("labels") or {}
    return NodeObject(
        name=str(name),
        labels={str(k): str(v) for k, v in labels.items() if k != _OURS},
        taints=tuple(t for t in taints if t[0] not in _OF_THE_MOMENT),
        capacity=has,
        allocatable=_amounts(name, "allocatable", status) or has,
        passing=tuple(t[0] for t in taints if t[0] in _OF_THE_MOMENT),
        cordoned=bool(spec.get("unschedulable")),
        ready=any(
            c.get("type") == "Ready" and c.get("status") == "True"
            for c in status.get("conditions") or ()
        ),
    )


def _taint(name: str, taint: Mapping[str, Any]) -> tuple[str, str, str]:
    if not taint.get("key") or not taint.get("effect"):
        raise BadInput(f"Node {name}: spec.taints: {taint!r} has no key or no effect")
    return str(taint["key"]), str(taint.get("value") or ""), str(taint["effect"])


def _amounts(name: str, part: str, status: Mapping[str, Any]) -> dict[str, str]:
    found = status.get(part) or {}
    if not found and part == "capacity":
        raise BadInput(
            f"Node {name}: status.capacity is empty: `kubectl get -o yaml` it"
        )
    for resource, quantity in found.items():
        if amount(quantity, f"Node {name}: status.{part}.{resource}") < 0:
            raise BadInput(f"Node {name}: status.{part}.{resource} is {quantity!r}")
    return {str(resource): str(quantity) for resource, quantity in found.items()}
