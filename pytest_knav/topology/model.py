"""Racks and nodes as frozen values."""

from __future__ import annotations

from dataclasses import dataclass


RACK_LABEL = "topology.kubernetes.io/rack"
ZONE_LABEL = "topology.kubernetes.io/zone"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """One simulated machine: its name, what it offers, and its labels."""

    name: str
    rack: str
    gpus: int
    gpu_resource: str
    cpus: int
    memory_gib: int
    pods: int
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rack:
    """A rack and the names of the nodes in it: they fail together."""

    name: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """All nodes of a cluster, in order, and the racks they stand in."""

    name: str
    source: str
    nodes: tuple[NodeSpec, ...]

    @property
    def racks(self) -> tuple[Rack, ...]:
        """Return the racks in the order of their first node."""
        members: dict[str, list[str]] = {}
        for node in self.nodes:
            members.setdefault(node.rack, []).append(node.name)
        return tuple(Rack(name=n, nodes=tuple(m)) for n, m in members.items())

    @property
    def gpus(self) -> int:
        """Return the number of GPUs of the whole cluster."""
        return sum(node.gpus for node in self.nodes)

    @property
    def gpus_per_node(self) -> int:
        """Return the largest number of GPUs that one node has."""
        return max((node.gpus for node in self.nodes), default=0)

    def node(self, name: str) -> NodeSpec:
        """
        Return a node by name.

        Raises:
            KeyError: There is no such node.

        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def rack_of(self, node_name: str) -> Rack:
        """Return the rack that a node stands in."""
        rack = self.node(node_name).rack
        return next(r for r in self.racks if r.name == rack)
