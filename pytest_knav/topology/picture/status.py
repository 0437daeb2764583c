"""How the components of a cluster are at one moment: what a picture colours."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.topology.model import Topology


class NodeHealth(StrEnum):
    """What the API says of a node; `gone` where it has no such Node object."""

    READY = "ready"
    NOT_READY = "not ready"
    UNKNOWN = "unknown"
    GONE = "gone"


class SwitchHealth(StrEnum):
    """Whether a switch forwards; `degraded` where some of its uplinks do not."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """
    How one node is.

    Attributes:
        cordoned: Whether new pods are kept off it (`spec.unschedulable`).
        broken: Whether a fault in force has it in its blast radius, whatever the API
            says.
        pods: How many pods it has that have not ended.
        taints: The keys of its taints.

    """

    health: NodeHealth = NodeHealth.READY
    cordoned: bool = False
    broken: bool = False
    pods: int = 0
    taints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """
    How a cluster is at one moment. What is not named is well, and free.

    Attributes:
        nodes: By name.
        allocated: By the name of a GPU, the workload that has it.
        failed: The names of GPUs that are broken or that the cluster misses.
        switches: By name.
        moment: Which moment it is, in words.

    """

    nodes: Mapping[str, NodeStatus] = field(default_factory=dict)
    allocated: Mapping[str, str] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    switches: Mapping[str, SwitchHealth] = field(default_factory=dict)
    moment: str = ""

    def node(self, name: str) -> NodeStatus:
        """Return how a node is."""
        return self.nodes.get(name, NodeStatus())

    def switch(self, name: str) -> SwitchHealth:
        """Return how a switch is."""
        return self.switches.get(name, SwitchHealth.UP)

    @property
    def workloads(self) -> list[tuple[str, int]]:
        """Return the workloads and how many GPUs each has, the largest first."""
        counts = Counter(self.allocated.values())
        return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))

    def summary(self, topology: Topology) -> str:
        """Return how many nodes are ready and how many GPUs are in use."""
        total = len(topology.nodes)
        states = [self.node(node.name) for node in topology.nodes]
        ready = sum(state.health == NodeHealth.READY for state in states)
        parts = [f"{ready:,} of {total:,} nodes ready"]
        cordoned = sum(state.cordoned for state in states)
        if cordoned:
            parts.append(f"{cordoned:,} cordoned")
        if topology.gpus:
            parts.append(f"{len(self.allocated):,} of {topology.gpus:,} GPUs allocated")
        if self.failed:
            parts.append(f"{len(self.failed):,} failed")
        return ", ".join(parts)
