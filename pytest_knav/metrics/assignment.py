"""
Which pod holds which GPU of a node.

With extended resources the API does not say it: a device plugin chooses, and the
kubelet's pod-resources API tells dcgm-exporter. Here a pod gets the lowest free
indices when it is first seen on its node, and keeps them until it is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_knav.metrics.current import Current
from pytest_knav.metrics.text import labels


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.history import History
    from pytest_knav.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """
    A pod that holds a GPU.

    Attributes:
        labels: What dcgm-exporter adds for it.
        running: Whether its phase is Running: before that it holds GPUs idly.

    """

    key: tuple[str, str]
    labels: str
    running: bool


class Assignment:
    """Follows the pods of a history and gives each its GPUs."""

    def __init__(self, topology: Topology) -> None:
        self._resources = {n.name: n.gpu_resource for n in topology.nodes if n.gpus}
        self._counts = {n.name: n.gpus for n in topology.nodes}
        self._pods = Current("Pod")
        self._held: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._by_node: dict[str, dict[int, Holder]] = {}

    def look(self, history: History) -> None:
        """Take over which pods there are now."""
        changes = self._pods.look(history)
        for uid in changes.gone:
            self._free(uid)
        ended = {uid for uid, pod in changes.changed.items() if _ended(pod)}
        for uid in ended:
            self._free(uid)
        rest = [(u, p) for u, p in changes.changed.items() if u not in ended]
        for uid, pod in sorted(rest, key=lambda pair: _age(pair[1])):
            self._give(uid, pod)

    def holders(self, node: str) -> Mapping[int, Holder]:
        """Return who holds which GPU of a node, by index."""
        return self._by_node.get(node, {})

    def _give(self, uid: str, pod: Mapping[str, Any]) -> None:
        node = pod.get("spec", {}).get("nodeName", "")
        resource = self._resources.get(node)
        if resource is None:
            return
        taken = self._by_node.setdefault(node, {})
        if uid not in self._held:
            wanted = _requested(pod, resource)
            free = [i for i in range(self._counts[node]) if i not in taken]
            if not wanted:
                return
            self._held[uid] = (node, tuple(free[:wanted]))
        holder = _holder(pod, resource)
        for index in self._held[uid][1]:
            taken[index] = holder

    def _free(self, uid: str) -> None:
        node, indices = self._held.pop(uid, ("", ()))
        for index in indices:
            self._by_node[node].pop(index, None)


def _holder(pod: Mapping[str, Any], resource: str) -> Holder:
    meta = pod["metadata"]
    container = next(
        (c for c in pod["spec"]["containers"] if _amount(c, resource)), {"name": ""}
    )
    return Holder(
        key=(meta["namespace"], meta["name"]),
        labels=labels(
            ("container", container["name"]),
            ("namespace", meta["namespace"]),
            ("pod", meta["name"]),
        ),
        running=pod.get("status", {}).get("phase") == "Running",
    )


def _requested(pod: Mapping[str, Any], resource: str) -> int:
    return sum(_amount(c, resource) for c in pod["spec"].get("containers", ()))


def _amount(container: Mapping[str, Any], resource: str) -> int:
    # Kubernetes wants limits of extended resources, and requests equal to them.
    limits = container.get("resources", {}).get("limits", {})
    return int(limits.get(resource, 0))


def _ended(pod: Mapping[str, Any]) -> bool:
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def _age(pod: Mapping[str, Any]) -> tuple[str, str]:
    meta = pod["metadata"]
    return meta.get("creationTimestamp", ""), meta["name"]
