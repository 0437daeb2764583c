"""What hangs on what, and what is lost when some of it fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_knav.topology.components import Component, Components, Kind
from pytest_knav.topology.model import Level


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_knav.topology.model import NodeSpec, Topology

__all__ = ["BlastRadius", "Component", "Failed", "Graph", "Kind"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlastRadius:
    """
    What is lost while some components are down, all of them together.

    Attributes:
        causes: The components that failed, sorted.
        nodes: Nodes that are down: failed themselves, in a place that failed, or with
            less power than they need.
        gpus: Names of GPUs that cannot be used, those of nodes that are down included.
        nics: Names of NICs without a working link, on nodes that run.
        switches: Switches that are down.
        cut_off: Nodes that run and have no way beyond their leaf switches.
        bandwidth: The share of its fabric bandwidth that a node still has, from 0 to 1,
            for nodes that run and have lost some. A leaf switch that has lost uplinks
            counts by the share of them that is left; what spine switches lose above
            them does not count.
        nvlink: The share of its NVLink bandwidth that a domain still has, where it has
            lost NVSwitches or the links of GPUs.
        without_spare: Nodes that run on the last power feeds they can run on.

    """

    causes: tuple[str, ...] = ()
    nodes: frozenset[str] = frozenset()
    gpus: frozenset[str] = frozenset()
    nics: frozenset[str] = frozenset()
    switches: frozenset[str] = frozenset()
    cut_off: frozenset[str] = frozenset()
    bandwidth: Mapping[str, float] = field(default_factory=dict)
    nvlink: Mapping[str, float] = field(default_factory=dict)
    without_spare: frozenset[str] = frozenset()

    @property
    def lost_nodes(self) -> frozenset[str]:
        """Return the nodes on which work that needs the fabric cannot go on."""
        return self.nodes | self.cut_off


@dataclass(slots=True)
class Failed:
    """What has failed itself, sorted by what it is."""

    nodes: set[str] = field(default_factory=set)
    feeds: set[str] = field(default_factory=set)
    switches: set[str] = field(default_factory=set)
    nics: set[tuple[str, int]] = field(default_factory=set)
    gpus: set[tuple[str, int]] = field(default_factory=set)
    nvswitches: dict[str, set[int]] = field(default_factory=dict)
    domains: set[str] = field(default_factory=set)
    links: set[frozenset[str]] = field(default_factory=set)


class Graph:
    """
    A topology, indexed for questions; made once, since a topology never changes.

    Args:
        topology: What it is about.

    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.by_leaf: dict[str, list[tuple[str, int]]] = {}
        self.by_feed: dict[str, list[str]] = {}
        self.by_domain: dict[str, list[str]] = {}
        # Nodes with the same uplinks lose the same: most questions are about a few
        # hundred of these groups, not about ten thousand nodes.
        self._groups: dict[tuple[str | None, ...], list[NodeSpec]] = {}
        self._groups_of_leaf: dict[str, list[tuple[str | None, ...]]] = {}
        for node in topology.nodes:
            self._index(node)
        self._down_from: dict[str, list[str]] = {}
        for switch in topology.switches:
            for wider, _ in switch.uplinks:
                self._down_from.setdefault(wider, []).append(switch.name)
        self._components = Components(topology)
        self.order = {node.name: i for i, node in enumerate(topology.nodes)}

    def component(self, name: str) -> Component:
        """
        Return a component by its name.

        Raises:
            BadInput: There is none; with names that are close.

        """
        return self._components.named(name)

    def components(self, kind: Kind | Level) -> Iterator[Component]:
        """Yield every component of a kind, in order."""
        return self._components.of(kind)

    def failed(self, *names: str) -> Failed:
        """Return what has failed itself when these components fail."""
        failed = Failed()
        for name in names:
            self._fail(self.component(name), failed)
        return failed

    def blast_radius(self, *names: str) -> BlastRadius:
        """
        Return what is lost while these components are down, all of them together.

        Raises:
            BadInput: One of them does not exist.

        """
        failed = self.failed(*names)
        without_spare = self._without_power(failed)
        down = failed.nodes
        bandwidth = self._bandwidth(failed)
        gpus = {f"{node}/gpu-{i}" for node, i in failed.gpus}
        for name in down:
            gpus |= {f"{name}/gpu-{i}" for i in range(self.topology.node(name).gpus)}
        return BlastRadius(
            causes=tuple(sorted(set(names))),
            nodes=frozenset(down),
            gpus=frozenset(gpus),
            nics=frozenset(self._dead_nics(failed)),
            switches=frozenset(failed.switches),
            cut_off=frozenset(n for n, share in bandwidth.items() if share == 0),
            bandwidth=bandwidth,
            nvlink=self._nvlink(failed),
            without_spare=frozenset(without_spare),
        )

    def links_of(self, leaf: str, failed: Failed) -> float:
        """Return the share of a leaf switch's uplinks that is left, from 0 to 1."""
        if leaf in failed.switches:
            return 0.0
        uplinks = self.topology.switch(leaf).uplinks
        whole = sum(gbps for _, gbps in uplinks)
        if not whole:
            return 1.0
        left = sum(
            gbps
            for wider, gbps in uplinks
            if wider not in failed.switches
            and frozenset((leaf, wider)) not in failed.links
        )
        return left / whole

    def nic_works(self, node: NodeSpec, index: int, failed: Failed) -> bool:
        """Return whether a NIC of a node that runs has a working link."""
        leaf = node.uplinks[index] if index < len(node.uplinks) else None
        return (
            leaf is not None
            and leaf not in failed.switches
            and (node.name, index) not in failed.nics
            and frozenset((f"{node.name}/nic-{index}", leaf)) not in failed.links
        )

    def _index(self, node: NodeSpec) -> None:
        for feed in node.power_feeds:
            self.by_feed.setdefault(feed, []).append(node.name)
        if node.nvlink_domain:
            self.by_domain.setdefault(node.nvlink_domain, []).append(node.name)
        if node.uplinks not in self._groups:
            for above in {leaf for leaf in node.uplinks if leaf is not None}:
                self._groups_of_leaf.setdefault(above, []).append(node.uplinks)
        self._groups.setdefault(node.uplinks, []).append(node)
        for index, leaf in enumerate(node.uplinks):
            if leaf is not None:
                self.by_leaf.setdefault(leaf, []).append((node.name, index))

    def _fail(self, component: Component, failed: Failed) -> None:  # noqa: C901 - one branch a kind
        kind, name = component.kind, component.name
        if isinstance(kind, Level):
            failed.nodes |= set(self.topology.places(kind)[name])
        elif kind is Kind.NODE:
            failed.nodes.add(name)
        elif kind is Kind.FEED:
            failed.feeds.add(name)
        elif kind is Kind.SWITCH:
            failed.switches.add(name)
        elif kind is Kind.RAIL:
            failed.switches |= {
                s.name for s in self.topology.switches if s.rail == component.index
            }
        elif kind is Kind.GPU:
            failed.gpus.add((component.node, component.index))
        elif kind is Kind.NIC:
            failed.nics.add((component.node, component.index))
        elif kind in {Kind.NUMA, Kind.PCIE}:
            self._fail_slots(component, failed)
        elif kind is Kind.NVSWITCH:
            domain = name.rpartition("/")[0]
            if component.node:
                domain = self.topology.node(component.node).nvlink_domain
            failed.nvswitches.setdefault(domain, set()).add(component.index)
        elif kind is Kind.DOMAIN:
            failed.domains.add(name)
        else:
            failed.links.add(frozenset(component.ends))

    def _fail_slots(self, component: Component, failed: Failed) -> None:
        machine, index = self.topology.node(component.node).machine, component.index
        numa = component.kind is Kind.NUMA
        for number, gpu in enumerate(machine.gpus):
            if (gpu.numa if numa else gpu.pcie_root) == index:
                failed.gpus.add((component.node, number))
        for number, nic in enumerate(machine.nics):
            if (nic.numa if numa else nic.pcie_root) == index:
                failed.nics.add((component.node, number))

    def _without_power(self, failed: Failed) -> set[str]:
        """Add the nodes without power; return those that have none to spare."""
        touched = {n for feed in failed.feeds for n in self.by_feed[feed]}
        without_spare = set()
        for name in touched - failed.nodes:
            node = self.topology.node(name)
            left = len(set(node.power_feeds) - failed.feeds)
            if left < node.power_needed:
                failed.nodes.add(name)
            elif left == node.power_needed:
                without_spare.add(name)
        return without_spare

    def _touched_leaves(self, failed: Failed) -> set[str]:
        """Return the leaf switches that are down or have lost an uplink."""
        touched = set()
        for switch in failed.switches:
            touched |= {switch} & self.by_leaf.keys()
            touched |= set(self._below(switch))
        for ends in failed.links:
            touched |= ends & self.by_leaf.keys()
        return touched

    def _below(self, switch: str) -> Iterator[str]:
        for below in self._down_from.get(switch, ()):
            if below in self.by_leaf:
                yield below

    def _bandwidth(self, failed: Failed) -> dict[str, float]:
        left: dict[str, float] = {}
        shares = {
            leaf: self.links_of(leaf, failed) for leaf in self._touched_leaves(failed)
        }
        groups = {
            g: None for leaf in shares for g in self._groups_of_leaf.get(leaf, ())
        }
        special = {name for name, _ in failed.nics}
        special |= {end.rpartition("/")[0] for link in failed.links for end in link}
        for group in groups:
            for node in self._groups[group]:
                if node.name not in special and node.name not in failed.nodes:
                    left[node.name] = self._share(node, shares, failed)
        for name in (special - failed.nodes) & self.order.keys():
            left[name] = self._share(self.topology.node(name), shares, failed)
        return {name: share for name, share in left.items() if share < 1}

    def _share(
        self, node: NodeSpec, shares: Mapping[str, float], failed: Failed
    ) -> float:
        whole = linked = 0.0
        for index, nic in enumerate(node.machine.nics):
            leaf = node.uplinks[index] if index < len(node.uplinks) else None
            if leaf is None:
                continue
            whole += nic.gbps
            if self.nic_works(node, index, failed):
                linked += nic.gbps * shares.get(leaf, 1.0)
        return linked / whole if whole else 1.0

    def _dead_nics(self, failed: Failed) -> Iterator[str]:
        candidates = set(failed.nics)
        for switch in failed.switches:
            candidates |= set(self.by_leaf.get(switch, ()))
        for node, index in candidates:
            if node not in failed.nodes:
                yield f"{node}/nic-{index}"
        for ends in failed.links:
            for end in ends:
                node, _, part = end.rpartition("/")
                if part.startswith("nic-") and node not in failed.nodes:
                    yield end

    def _nvlink(self, failed: Failed) -> dict[str, float]:
        left = dict.fromkeys(failed.domains, 0.0)
        unlinked = Counter(
            domain for ends in failed.links for domain in ends & self.by_domain.keys()
        )
        for domain in {*failed.nvswitches, *unlinked} - left.keys():
            nvswitches = self._components.nvswitches_of(domain)
            gpus = sum(self.topology.node(n).gpus for n in self.by_domain[domain])
            lost = len(failed.nvswitches.get(domain, ())) / (nvswitches or 1)
            left[domain] = (1 - lost) * (1 - unlinked[domain] / gpus)
        return left
