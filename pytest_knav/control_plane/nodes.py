"""Nodes as a test sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_knav.topology.model import RACK_LABEL


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

UNREACHABLE = "node.kubernetes.io/unreachable"
NOT_READY = "node.kubernetes.io/not-ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """
    What matters of one node.

    Attributes:
        ready: The status of its Ready condition: `True`, `False` or `Unknown`.
        taints: Pairs of key and effect.

    """

    name: str
    rack: str | None
    ready: str
    cordoned: bool
    taints: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]

    @property
    def usable(self) -> bool:
        """Return whether a scheduler may put pods without tolerations on it."""
        return self.usable_but_for(())

    def usable_but_for(self, taints: Collection[tuple[str, str, str]]) -> bool:
        """
        Return whether a scheduler may put pods on it that tolerate some taints.

        Args:
            taints: Triples of key, value and effect: what the node is meant to have.

        """
        blocking = {"NoSchedule", "NoExecute"}
        meant = {(key, effect) for key, _, effect in taints}
        return (
            self.ready == "True"
            and not self.cordoned
            and not any(
                effect in blocking and (key, effect) not in meant
                for key, effect in self.taints
            )
        )


def node_info(node: Mapping[str, Any]) -> NodeInfo:
    """Return what matters of a Node object."""
    labels = node["metadata"].get("labels", {})
    spec = node.get("spec", {})
    conditions = node.get("status", {}).get("conditions", ())
    ready = next((c["status"] for c in conditions if c["type"] == "Ready"), "Unknown")
    return NodeInfo(
        name=node["metadata"]["name"],
        rack=labels.get(RACK_LABEL),
        ready=ready,
        cordoned=bool(spec.get("unschedulable")),
        taints=tuple((t["key"], t["effect"]) for t in spec.get("taints", ())),
        labels=tuple(sorted(labels.items())),
    )
