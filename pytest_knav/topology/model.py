"""
What is simulated, as frozen values: machines in places, switches, and who hangs where.

Every component has a stable name:

| kind | name |
|---|---|
| node, switch, rack, NVLink domain and other places | its own: `dgx-h100-0003` |
| GPU, NIC, NUMA node, PCIe root, NVSwitch of a node | `dgx-h100-0003/gpu-5` |
| power feed | `rack-000/feed-a` |
| rail | `rail-3` |
| link | its two ends: `dgx-h100-0003/nic-5--leaf-0-rail-5` |
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pytest_knav.topology.graph import BlastRadius, Component, Graph
    from pytest_knav.topology.machine import GpuModel, Machine
    from pytest_knav.topology.routes import Distance, Fabric, Routes

RACK_LABEL: Final = "topology.kubernetes.io/rack"
ZONE_LABEL: Final = "topology.kubernetes.io/zone"
# Uids of GPUs are made from their names, so that they are the same in each run.
_UUIDS: Final = uuid.UUID("8f0c6c4e-6b5a-5d0e-9c57-6b6e61760000")


class Level(StrEnum):
    """
    The kinds of place that nodes share, from the widest to the narrowest.

    `leaf` is the set of nodes behind the same leaf switches: behind one switch where
    racks have one of their own, a scalable unit where rails have one each. `nvlink` is
    a scale-up domain of more than one node.
    """

    REGION = "region"
    ZONE = "zone"
    DATACENTER = "datacenter"
    CORE = "core"
    SPINE = "spine"
    LEAF = "leaf"
    RACK = "rack"
    NVLINK = "nvlink"


LEVELS: Final = tuple(Level)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """
    One simulated node.

    Attributes:
        places: Pairs of a level and the name of the place at that level, the widest
            first. Places form a tree: nodes of one rack share everything wider.
        uplinks: For each NIC of the machine, by index, the name of the leaf switch
            that it hangs on; None for a NIC without a link.
        power_feeds: What the node draws from. It runs while `power_needed` of them do.
        labels: Every label of its Node object, sorted.
        taints: Triples of key, value and effect.
        capacity: Resources of the Node object that differ from the machine's own, as
            Kubernetes quantities: what an imported node said, or more extended
            resources. An empty quantity takes a resource away.
        allocatable: The same for what pods can have; what is not named is as capacity.
        nvlink_domain: The scale-up domain of its GPUs; empty where they have none.
        gpu_uuids: The UUIDs of its GPUs, by index, where they are known; by default
            made of their names.

    """

    name: str
    machine: Machine
    places: tuple[tuple[Level, str], ...]
    uplinks: tuple[str | None, ...] = ()
    power_feeds: tuple[str, ...] = ()
    power_needed: int = 1
    nvlink_domain: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    taints: tuple[tuple[str, str, str], ...] = ()
    capacity: tuple[tuple[str, str], ...] = ()
    allocatable: tuple[tuple[str, str], ...] = ()
    gpu_uuids: tuple[str, ...] = ()

    def place(self, level: Level) -> str | None:
        """Return the name of its place at a level, or None where it has none."""
        return next((name for at, name in self.places if at == level), None)

    @property
    def rack(self) -> str:
        """Return the rack it stands in; empty where the topology has no racks."""
        return self.place(Level.RACK) or ""

    @property
    def gpus(self) -> int:
        """Return how many GPUs it has."""
        return len(self.machine.gpus)

    @property
    def gpu_resource(self) -> str:
        """Return the extended resource that its GPUs are; empty where it has none."""
        return self.machine.gpu.resource if self.machine.gpu else ""

    @property
    def cpus(self) -> int:
        """Return its hardware threads."""
        return self.machine.cpus

    @property
    def memory_gib(self) -> int:
        """Return its memory in GiB."""
        return self.machine.memory_gib

    @property
    def pods(self) -> int:
        """Return the most pods that its kubelet takes."""
        return self.machine.pods

    def gpu(self, index: int) -> Gpu:
        """
        Return one of its GPUs.

        Raises:
            KeyError: It has none of that index.

        """
        model = self.machine.gpu
        if model is None or not 0 <= index < self.gpus:
            raise KeyError(f"{self.name}/gpu-{index}")
        slot = self.machine.gpus[index]
        return Gpu(
            node=self.name,
            index=index,
            model=model,
            numa=slot.numa,
            pcie_root=slot.pcie_root,
            nic=slot.nic,
            nvlink_domain=self.nvlink_domain,
            known_uuid=self.gpu_uuids[index] if index < len(self.gpu_uuids) else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU of one node."""

    node: str
    index: int
    model: GpuModel
    numa: int
    pcie_root: int
    nic: int | None
    nvlink_domain: str
    known_uuid: str = ""

    @property
    def name(self) -> str:
        """Return its name: `dgx-h100-0003/gpu-5`."""
        return f"{self.node}/gpu-{self.index}"

    @property
    def uuid(self) -> str:
        """Return its UUID as the driver writes it: known, or made of its name alone."""
        return self.known_uuid or f"GPU-{uuid.uuid5(_UUIDS, self.name)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """
    A switch of the compute fabric.

    Attributes:
        level: `leaf`, `spine` or `core`.
        uplinks: Pairs of a wider switch and the bandwidth of all cables to it
            together, one direction, in Gbit/s.
        rail: The rail it serves, where each rail has its own leaf switches.

    """

    name: str
    level: Level
    uplinks: tuple[tuple[str, int], ...] = ()
    rail: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rack:
    """A rack and the names of the nodes in it: they fail together."""

    name: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """
    A connection between two components.

    Attributes:
        ends: The inner end first: NIC and leaf, leaf and spine, GPU and NVLink domain.
        gbps: Bandwidth, one direction, in Gbit/s.

    """

    ends: tuple[str, str]
    gbps: int

    @property
    def name(self) -> str:
        """Return its name, made of its ends."""
        return "--".join(self.ends)


@dataclass(frozen=True, kw_only=True)
class Topology:
    """
    All nodes of a cluster, in order, and what connects and feeds them.

    Attributes:
        name: The preset, or the name that a file gives it.
        source: Where its figures come from.
        nodes: The nodes, in order.
        switches: The switches of the compute fabric, leaf switches first.
        nvswitches: NVSwitches of NVLink domains that span nodes, by domain; those
            inside a machine are the machine's.
        notes: What was assumed where the source said nothing, for reports.
        dra: Whether its GPUs are devices of dynamic resource allocation, and no
            amounts of the nodes; made so by `devices.with_dra`.
        load: What runs in it from the beginning: a Kubernetes List, as YAML or JSON;
            empty for nothing.

    """

    name: str
    source: str
    nodes: tuple[NodeSpec, ...]
    switches: tuple[Switch, ...] = ()
    nvswitches: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    dra: bool = False
    load: str = ""

    @cached_property
    def _by_name(self) -> Mapping[str, NodeSpec]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _switches(self) -> Mapping[str, Switch]:
        return {switch.name: switch for switch in self.switches}

    @cached_property
    def _places(self) -> Mapping[Level, Mapping[str, tuple[str, ...]]]:
        members: dict[Level, dict[str, list[str]]] = {}
        for node in self.nodes:
            for level, name in node.places:
                members.setdefault(level, {}).setdefault(name, []).append(node.name)
        return {
            level: {name: tuple(nodes) for name, nodes in members[level].items()}
            for level in LEVELS
            if level in members
        }

    @property
    def levels(self) -> tuple[Level, ...]:
        """Return the levels that its places have, the widest first."""
        return tuple(self._places)

    def places(self, level: Level) -> Mapping[str, tuple[str, ...]]:
        """Return the places of a level and the names of their nodes, in order."""
        return self._places.get(level, {})

    @cached_property
    def racks(self) -> tuple[Rack, ...]:
        """Return the racks in the order of their first node."""
        racks = self.places(Level.RACK).items()
        return tuple(Rack(name=name, nodes=nodes) for name, nodes in racks)

    @cached_property
    def gpus(self) -> int:
        """Return the number of GPUs of the whole cluster."""
        return sum(node.gpus for node in self.nodes)

    @cached_property
    def gpus_per_node(self) -> int:
        """Return the largest number of GPUs that one node has."""
        return max((node.gpus for node in self.nodes), default=0)

    @cached_property
    def gpu_resource(self) -> str:
        """Return the extended resource that most of its GPUs are; else NVIDIA's."""
        counts = Counter(n.gpu_resource for n in self.nodes if n.gpu_resource)
        return counts.most_common(1)[0][0] if counts else "nvidia.com/gpu"

    @property
    def machines(self) -> tuple[Machine, ...]:
        """Return the kinds of machine in it, in the order of their first node."""
        return tuple({node.machine: None for node in self.nodes})

    def node(self, name: str) -> NodeSpec:
        """
        Return a node by name.

        Raises:
            KeyError: There is no such node.

        """
        return self._by_name[name]

    def switch(self, name: str) -> Switch:
        """
        Return a switch by name.

        Raises:
            KeyError: There is no such switch.

        """
        return self._switches[name]

    def gpu(self, name: str) -> Gpu:
        """
        Return a GPU by its name, such as `dgx-h100-0003/gpu-5`.

        Raises:
            KeyError: There is no such GPU.

        """
        node, _, part = name.rpartition("/gpu-")
        if not part.isdecimal():
            raise KeyError(name)
        return self.node(node).gpu(int(part))

    def rack_of(self, node_name: str) -> Rack:
        """
        Return the rack that a node stands in.

        Raises:
            KeyError: There is no such node, or it stands in no rack.

        """
        rack = self.node(node_name).rack
        return Rack(name=rack, nodes=self.places(Level.RACK)[rack])

    def links(self) -> Iterator[Link]:
        """Return every link: NIC to leaf, switch to switch, GPU to NVLink domain."""
        for node in self.nodes:
            for index, leaf in enumerate(node.uplinks):
                if leaf is not None:
                    gbps = node.machine.nics[index].gbps
                    yield Link(ends=(f"{node.name}/nic-{index}", leaf), gbps=gbps)
            if node.nvlink_domain and node.machine.gpu:
                gbps = node.machine.gpu.scale_up_gbps
                for index in range(node.gpus):
                    ends = (f"{node.name}/gpu-{index}", node.nvlink_domain)
                    yield Link(ends=ends, gbps=gbps)
        for switch in self.switches:
            for wider, gbps in switch.uplinks:
                yield Link(ends=(switch.name, wider), gbps=gbps)

    @cached_property
    def graph(self) -> Graph:
        """Return the topology indexed for questions; see `Graph`."""
        from pytest_knav.topology.graph import Graph  # noqa: PLC0415 - it imports this

        return Graph(self)

    @cached_property
    def routes(self) -> Routes:
        """Return what answers questions about ways; see `Routes`."""
        from pytest_knav.topology.routes import Routes  # noqa: PLC0415 - it imports this

        return Routes(self.graph)

    def component(self, name: str) -> Component:
        """Return a component by its name; see `Graph.component`."""
        return self.graph.component(name)

    def blast_radius(self, *names: str) -> BlastRadius:
        """Return what is lost while components are down; see `Graph.blast_radius`."""
        return self.graph.blast_radius(*names)

    def distance(self, a: str, b: str) -> Distance:
        """Return how far two nodes or GPUs are apart; see `Routes.distance`."""
        return self.routes.distance(a, b)

    def fabric(self, nodes: Collection[str], without: Sequence[str] = ()) -> Fabric:
        """Return what is left of the fabric for nodes; see `Routes.fabric`."""
        return self.routes.fabric(nodes, without)

    def best_nodes(
        self,
        count: int,
        among: Iterable[str] | None = None,
        without: Sequence[str] = (),
    ) -> tuple[str, ...]:
        """Return the nodes that lie closest together; see `placement.best_nodes`."""
        from pytest_knav.topology import placement  # noqa: PLC0415 - it imports this

        return placement.best_nodes(self.graph, count, among, without)

    @cached_property
    def fingerprint(self) -> str:
        """Return a digest of everything in it that shapes a cluster."""
        machines = {machine: i for i, machine in enumerate(self.machines)}
        digest = hashlib.sha256(repr(list(machines)).encode())
        shared = (self.name, self.switches, self.nvswitches, self.dra)
        digest.update(repr(shared).encode())
        digest.update(self.load.encode())
        for node in self.nodes:
            rest = (
                node.name,
                machines[node.machine],
                node.places,
                node.uplinks,
                node.power_feeds,
                node.power_needed,
                node.nvlink_domain,
                node.labels,
                node.annotations,
                node.taints,
                node.capacity,
                node.allocatable,
                node.gpu_uuids,
            )
            digest.update(json.dumps(rest).encode())
        return digest.hexdigest()
