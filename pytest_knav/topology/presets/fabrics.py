"""The shapes of compute fabrics that presets are built of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_knav.topology.model import Level, NodeSpec, Switch, Topology


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.topology.machine import Machine

NODES_PER_ZONE: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RailOptimised:
    """
    Scalable units of nodes in which each rail has a leaf switch of its own.

    Up to a number of units every leaf switch reaches every spine switch. More units
    stand in pods with spine switches of their own, and core switches join those: the
    spine switches of an index, one in each pod, share a plane of core switches.

    Attributes:
        unit: Nodes of a scalable unit.
        rack: Nodes of a rack.
        spines: Spine switches without cores, by the number of units they suffice for.
        pod: Scalable units of a pod, where there are cores.
        pod_spines: Spine switches of a pod.
        ports: Ports of a switch, of which the number of core switches follows.
        scale_up: How many nodes share an NVLink domain; 1 for those within a machine.
        nvswitches: NVSwitches of such a domain, where it spans nodes.
        notes: What is assumed where the source says nothing.

    """

    unit: int
    rack: int
    spines: Mapping[int, int]
    pod: int
    pod_spines: int
    ports: int
    scale_up: int = 1
    nvswitches: int = 0
    notes: tuple[str, ...] = ()

    def make(self, machine: Machine, count: int, source: str) -> Topology:
        """Return the topology of a number of nodes."""
        domains = sorted({self._domain(machine, i) for i in range(count)} - {""})
        spanning = domains if self.nvswitches else []
        units = -(-count // self.unit)
        return Topology(
            name=machine.name,
            source=source,
            nodes=tuple(self._node(machine, i, units) for i in range(count)),
            switches=self._switches(machine, units),
            nvswitches=tuple((domain, self.nvswitches) for domain in spanning),
            notes=self.notes,
        )

    def _group(self, units: int) -> int:
        """Return how many units share spine switches."""
        two_tiers = max(self.spines)
        return two_tiers if units <= two_tiers else self.pod

    def _node(self, machine: Machine, number: int, units: int) -> NodeSpec:
        unit, rack = number // self.unit, f"rack-{number // self.rack:03d}"
        places = [
            (Level.REGION, "region-0"),
            (Level.ZONE, f"zone-{number // self._zone}"),
            (Level.SPINE, f"spine-group-{unit // self._group(units)}"),
            (Level.LEAF, f"su-{unit:03d}"),
            (Level.RACK, rack),
        ]
        domain = self._domain(machine, number)
        if self.scale_up > 1:
            places.append((Level.NVLINK, domain))
        return NodeSpec(
            name=node_name(machine, number),
            machine=machine,
            places=tuple(places),
            uplinks=tuple(_leaf(unit, nic.rail) for nic in machine.nics),
            power_feeds=(f"{rack}/feed-a", f"{rack}/feed-b"),
            nvlink_domain=domain,
        )

    @property
    def _zone(self) -> int:
        """Return the nodes of a zone: whole pods, about a thousand nodes."""
        pod = self.unit * self.pod
        return max(1, NODES_PER_ZONE // pod) * pod

    def _domain(self, machine: Machine, number: int) -> str:
        if machine.gpu is None or not machine.gpu.scale_up_gbps:
            return ""
        if self.scale_up > 1:
            return f"nvl-{number // self.scale_up:03d}"
        return f"{node_name(machine, number)}/nvlink"

    def _switches(self, machine: Machine, units: int) -> tuple[Switch, ...]:
        group = self._group(units)
        enough = [number for most, number in self.spines.items() if most >= units]
        spines = min(enough) if enough else self.pod_spines
        planes = [] if enough else self._planes(machine, units)
        leaves = [
            Switch(
                name=_leaf(unit, nic.rail),
                level=Level.LEAF,
                uplinks=tuple(
                    (_spine(unit // group, i), self.unit * nic.gbps // spines)
                    for i in range(spines)
                ),
                rail=nic.rail,
            )
            for unit in range(units)
            for nic in machine.nics
        ]
        # As much goes up from a spine switch of a full pod as comes from below.
        below = self.pod * self.unit * machine.fabric_gbps // spines
        upper = [
            Switch(
                name=_spine(at, i),
                level=Level.SPINE,
                uplinks=tuple((c, below // len(planes[i])) for c in planes[i])
                if planes
                else (),
            )
            for at in range(-(-units // group))
            for i in range(spines)
        ]
        cores = [Switch(name=c, level=Level.CORE) for plane in planes for c in plane]
        return (*leaves, *upper, *cores)

    def _planes(self, machine: Machine, units: int) -> list[list[str]]:
        """Return the names of core switches, as many as block nothing, by plane."""
        cables = units * self.unit * len(machine.nics)
        number = -(-cables // (self.pod_spines * self.ports))
        return [
            [f"core-{i:02d}-{j:02d}" for j in range(number)]
            for i in range(self.pod_spines)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopOfRack:
    """
    Racks with one leaf switch each, and spine switches above a group of racks.

    Attributes:
        rack: Nodes of a rack.
        group: Racks that share spine switches; where there are more groups, core
            switches join them.
        spines: Spine switches of a group.
        cores: Core switches, where there is more than one group.
        oversubscribed: How much more the nodes of a rack can send than its uplinks
            take; 1 for a fabric that blocks nothing.

    """

    rack: int
    group: int
    spines: int
    cores: int = 4
    oversubscribed: int = 1

    def make(self, machine: Machine, count: int, source: str) -> Topology:
        """Return the topology of a number of nodes."""
        racks = -(-count // self.rack)
        groups = -(-racks // self.group)
        below = self.rack * machine.fabric_gbps // self.oversubscribed
        leaves = [
            Switch(
                name=f"leaf-{rack:03d}",
                level=Level.LEAF,
                uplinks=tuple(
                    (name, below // self.spines) for name in self._spines(rack)
                ),
            )
            for rack in range(racks)
        ]
        up = below * self.group // self.spines // self.cores
        cores = [f"core-{i:02d}" for i in range(self.cores if groups > 1 else 0)]
        spines = [
            Switch(name=name, level=Level.SPINE, uplinks=tuple((c, up) for c in cores))
            for group in range(groups)
            for name in self._spines(group * self.group)
        ]
        return Topology(
            name=machine.name,
            source=source,
            nodes=tuple(self._node(machine, i) for i in range(count)),
            switches=(
                *leaves,
                *spines,
                *(Switch(name=name, level=Level.CORE) for name in cores),
            ),
        )

    def _spines(self, rack: int) -> list[str]:
        return [f"spine-{rack // self.group:02d}-{i:02d}" for i in range(self.spines)]

    def _node(self, machine: Machine, number: int) -> NodeSpec:
        at = number // self.rack
        rack, name = f"rack-{at:03d}", node_name(machine, number)
        zone = max(1, NODES_PER_ZONE // (self.rack * self.group)) * self.group
        linked = machine.gpu is not None and machine.gpu.scale_up_gbps
        return NodeSpec(
            name=name,
            machine=machine,
            places=(
                (Level.REGION, "region-0"),
                (Level.ZONE, f"zone-{at // zone}"),
                (Level.SPINE, f"spine-group-{at // self.group}"),
                (Level.LEAF, f"leaf-group-{at:03d}"),
                (Level.RACK, rack),
            ),
            uplinks=(f"leaf-{at:03d}",) * len(machine.nics),
            power_feeds=(f"{rack}/feed-a", f"{rack}/feed-b"),
            nvlink_domain=f"{name}/nvlink" if linked else "",
        )


def node_name(machine: Machine, number: int) -> str:
    """Return the name of the node of a number."""
    return f"{machine.name}-{number:04d}"


def _leaf(unit: int, rail: int | None) -> str:
    return f"leaf-{unit:03d}-rail-{rail}"


def _spine(group: int, number: int) -> str:
    return f"spine-{group:02d}-{number:02d}"
