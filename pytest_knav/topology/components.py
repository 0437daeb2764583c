"""Everything in a topology that can fail, by name and by kind."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.model import Level


if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_knav.topology.model import NodeSpec, Topology

_PART: Final = re.compile(r"(gpu|nic|numa|pcie|nvswitch)-(\d+)")
_SHOWN: Final = 3


class Kind(StrEnum):
    """The kinds of component beside places, which are called by their level."""

    SWITCH = "switch"
    FEED = "power feed"
    RAIL = "rail"
    NODE = "node"
    NUMA = "numa"
    PCIE = "pcie"
    NIC = "nic"
    GPU = "gpu"
    NVSWITCH = "nvswitch"
    DOMAIN = "nvlink domain"
    LINK = "link"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """
    Something of a topology that can fail.

    Attributes:
        kind: A `Kind`, or the `Level` of a place.
        node: The node that it is part of; empty where it is not part of one.
        index: Its number within the node or the NVLink domain; a rail's number.
        ends: The two ends of a link.

    """

    kind: Kind | Level
    name: str
    node: str = ""
    index: int = 0
    ends: tuple[str, str] = ("", "")


class Components:
    """
    The components of a topology, found by name.

    Args:
        topology: What they are part of.

    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._spanning = dict(topology.nvswitches)
        # One node of each NVLink domain: its machine tells the domain's NVSwitches.
        self._domains = {
            node.nvlink_domain: node.name
            for node in reversed(topology.nodes)
            if node.nvlink_domain
        }
        self._names = self._places_by_name()

    def named(self, name: str) -> Component:
        """
        Return a component by its name.

        Raises:
            BadInput: There is none; with names that are close.

        """
        found = self._whole(name) or self._part(name) or self._link(name)
        if found is None:
            raise BadInput(
                f"no component {name!r} in {self._topology.name}{self._close(name)}"
            )
        return found

    def of(self, kind: Kind | Level) -> Iterator[Component]:
        """Yield every component of a kind, in order."""
        for name in self._names_of(kind):
            yield self.named(name)

    def nvswitches_of(self, domain: str) -> int:
        """Return how many NVSwitches an NVLink domain has."""
        if domain in self._spanning:
            return self._spanning[domain]
        return self._topology.node(self._domains[domain]).machine.nvswitches

    def _places_by_name(self) -> dict[str, Component]:
        topology = self._topology
        found: dict[str, Component] = {}
        # Where names are the same, the narrower and more solid thing is meant.
        for level in topology.levels:
            for name in topology.places(level):
                found[name] = Component(kind=level, name=name)
        rails = {s.rail for s in topology.switches if s.rail is not None}
        for rail in sorted(rails):
            name = f"rail-{rail}"
            found[name] = Component(kind=Kind.RAIL, name=name, index=rail)
        for domain in self._domains:
            found[domain] = Component(kind=Kind.DOMAIN, name=domain)
        for node in topology.nodes:
            for feed in node.power_feeds:
                found[feed] = Component(kind=Kind.FEED, name=feed)
        for switch in topology.switches:
            found[switch.name] = Component(kind=Kind.SWITCH, name=switch.name)
        for node in topology.nodes:
            found[node.name] = Component(kind=Kind.NODE, name=node.name, node=node.name)
        return found

    def _whole(self, name: str) -> Component | None:
        return self._names.get(name)

    def _part(self, name: str) -> Component | None:
        """Return a part of a node, or an NVSwitch of a domain that spans nodes."""
        whole, _, part = name.rpartition("/")
        found = _PART.fullmatch(part)
        if found is None:
            return None
        kind, index = Kind(found[1]), int(found[2])
        if kind is Kind.NVSWITCH and whole in self._domains:
            known = index < self.nvswitches_of(whole)
            return Component(kind=kind, name=name, index=index) if known else None
        owner = self._names.get(whole)
        if owner is None or owner.kind is not Kind.NODE:
            return None
        machine = self._topology.node(whole).machine
        number = {
            Kind.GPU: len(machine.gpus),
            Kind.NIC: len(machine.nics),
            Kind.NUMA: machine.numa_nodes,
            Kind.NVSWITCH: machine.nvswitches,
        }
        there = (
            index in machine.pcie_roots if kind is Kind.PCIE else index < number[kind]
        )
        return (
            Component(kind=kind, name=name, node=whole, index=index) if there else None
        )

    def _link(self, name: str) -> Component | None:
        inner, _, outer = name.partition("--")
        end = self._part(inner) or self._whole(inner)
        if end is None or not outer:
            return None
        if end.kind is Kind.NIC:
            uplinks = self._topology.node(end.node).uplinks
            there = end.index < len(uplinks) and uplinks[end.index] == outer
        elif end.kind is Kind.GPU:
            there = self._topology.node(end.node).nvlink_domain == outer
        elif end.kind is Kind.SWITCH:
            uplinks_of = self._topology.switch(inner).uplinks
            there = outer in {wider for wider, _ in uplinks_of}
        else:
            there = False
        if not there:
            return None
        return Component(kind=Kind.LINK, name=name, node=end.node, ends=(inner, outer))

    def _names_of(self, kind: Kind | Level) -> Iterator[str]:
        topology = self._topology
        if isinstance(kind, Level):
            yield from topology.places(kind)
        elif kind is Kind.LINK:
            yield from (link.name for link in topology.links())
        elif kind in {Kind.GPU, Kind.NIC, Kind.NUMA, Kind.PCIE, Kind.NVSWITCH}:
            for node in topology.nodes:
                yield from (f"{node.name}/{part}" for part in _parts(node, kind))
            if kind is Kind.NVSWITCH:
                for domain, number in topology.nvswitches:
                    yield from (f"{domain}/nvswitch-{i}" for i in range(number))
        else:
            yield from (n for n, found in self._names.items() if found.kind is kind)

    def _close(self, name: str) -> str:
        whole, slash, part = name.rpartition("/")
        if slash and whole in self._names and self._names[whole].kind is Kind.NODE:
            node = self._topology.node(whole)
            return (
                f": {whole} has {node.gpus} GPUs, {len(node.machine.nics)} NICs, "
                f"{node.machine.numa_nodes} NUMA nodes and "
                f"{node.machine.nvswitches} NVSwitches, but no {part}"
            )
        close = difflib.get_close_matches(name, self._names, n=_SHOWN)
        return f": did you mean {', '.join(close)}?" if close else ""


def _parts(node: NodeSpec, kind: Kind) -> Iterator[str]:
    machine = node.machine
    numbers = {
        Kind.GPU: range(len(machine.gpus)),
        Kind.NIC: range(len(machine.nics)),
        Kind.NUMA: range(machine.numa_nodes),
        Kind.PCIE: machine.pcie_roots,
        Kind.NVSWITCH: range(machine.nvswitches),
    }
    return (f"{kind.value}-{number}" for number in numbers[kind])
