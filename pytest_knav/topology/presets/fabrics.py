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

    Attributes:
        unit: Nodes of a scalable unit.
        rack: Nodes of a rack.
        group: Scalable units that share spine switches; where there are more, core
            switches join the groups.
        spines: Spine switches of a group, by how many units it has.
        cores: Core switches, where there is more than one group.
        scale_up: How many nodes share an NVLink domain; 1 for those within a machine.
        nvswitches: NVSwitches of such a domain, where it spans nodes.

    """

    unit: int
    rack: int
    group: int
    spines: Mapping[int, int]
    cores: int
    scale_up: int = 1
    nvswitches: int = 0

    def make(self, machine: Machine, count: int, source: str) -> Topology:
        """Return the topology of a number of nodes."""
        domains = sorted({self._domain(machine, i) for i in range(count)} - {""})
        spanning = domains if self.nvswitches else []
        return Topology(
            name=machine.name,
            source=source,
            nodes=tuple(self._node(machine, i) for i in range(count)),
            switches=self._switches(machine, count),
            nvswitches=tuple((domain, self.nvswitches) for domain in spanning),
        )

    def _node(self, machine: Machine, number: int) -> NodeSpec:
        unit, rack = number // self.unit, f"rack-{number // self.rack:03d}"
        places = [
            (Level.REGION, "region-0"),
            (Level.ZONE, f"zone-{number // self._zone}"),
            (Level.SPINE, f"spine-group-{unit // self.group}"),
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
        """Return the nodes of a zone: whole groups, about a thousand nodes."""
        group = self.unit * self.group
        return max(1, NODES_PER_ZONE // group) * group

    def _domain(self, machine: Machine, number: int) -> str:
        if machine.gpu is None or not machine.gpu.scale_up_gbps:
            return ""
        if self.scale_up > 1:
            return f"nvl-{number // self.scale_up:03d}"
        return f"{node_name(machine, number)}/nvlink"

    def _switches(self, machine: Machine, count: int) -> tuple[Switch, ...]:
        units = -(-count // self.unit)
        groups = -(-units // self.group)
        leaves, spines = [], []
        for group in range(groups):
            first = group * self.group
            here = range(first, min(units, first + self.group))
            number = self.spines[len(here)]
            names = [f"spine-{group:02d}-{i:02d}" for i in range(number)]
            leaves += [
                Switch(
                    name=_leaf(unit, nic.rail),
                    level=Level.LEAF,
                    uplinks=tuple((n, self.unit * nic.gbps // number) for n in names),
                    rail=nic.rail,
                )
                for unit in here
                for nic in machine.nics
            ]
            spines += [
                Switch(
                    name=name,
                    level=Level.SPINE,
                    uplinks=self._uplinks(machine, groups, len(here), number),
                )
                for name in names
            ]
        numbers = range(self.cores if groups > 1 else 0)
        cores = [Switch(name=f"core-{i:02d}", level=Level.CORE) for i in numbers]
        return (*leaves, *spines, *cores)

    def _uplinks(
        self, machine: Machine, groups: int, units: int, spines: int
    ) -> tuple[tuple[str, int], ...]:
        """Return a spine's uplinks: as much as comes from below, over all cores."""
        if groups == 1:
            return ()
        below = units * self.unit * machine.fabric_gbps // spines
        return tuple((f"core-{i:02d}", below // self.cores) for i in range(self.cores))


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
