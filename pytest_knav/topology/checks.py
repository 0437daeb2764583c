"""What must hold of every topology: a tree of places, links that lead somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Protocol

from pytest_knav.topology.model import LEVELS


if TYPE_CHECKING:
    from pytest_knav.topology.model import Level, Topology


class Fail(Protocol):
    """Raises an error at a node or a switch."""

    def __call__(self, node: str | None, switch: str | None, message: str) -> NoReturn:
        """Raise BadInput."""
        ...


def check_topology(topology: Topology, fail: Fail) -> None:
    """
    Return when a topology can be.

    Args:
        topology: What to look at.
        fail: Called with the name of a node or a switch, and what is wrong with it.

    """
    _check_names(topology, fail)
    _check_tree(topology, fail)
    _check_switches(topology, fail)
    _check_nodes(topology, fail)


def _check_names(topology: Topology, fail: Fail) -> None:
    seen: set[str] = set()
    uuids: dict[str, str] = {}
    for node in topology.nodes:
        if node.name in seen:
            fail(node.name, None, f"node {node.name!r} is there twice")
        seen.add(node.name)
        for uuid in node.gpu_uuids:
            if uuid in uuids:
                fail(
                    node.name,
                    None,
                    f"GPU {uuid} is on {uuids[uuid]} and on {node.name}: it can only "
                    "be on one node",
                )
            uuids[uuid] = node.name
    switches: set[str] = set()
    for switch in topology.switches:
        if switch.name in switches:
            fail(None, switch.name, f"switch {switch.name!r} is there twice")
        switches.add(switch.name)


def _check_tree(topology: Topology, fail: Fail) -> None:
    """Each place lies in one wider place, whichever node one looks at."""
    within: dict[tuple[Level, str], tuple[tuple[tuple[Level, str], ...], str]] = {}
    for node in topology.nodes:
        for at, place in enumerate(node.places):
            wider = node.places[:at]
            first, other = within.setdefault(place, (wider, node.name))
            if first != wider:
                fail(
                    node.name,
                    None,
                    f"{place[0]} {place[1]!r} lies in {_named(first)} with {other}, "
                    f"and in {_named(wider)} with {node.name}: places are a tree",
                )


def _check_switches(topology: Topology, fail: Fail) -> None:
    levels = {switch.name: switch.level for switch in topology.switches}
    for switch in topology.switches:
        for wider, gbps in switch.uplinks:
            if wider not in levels:
                fail(
                    None,
                    switch.name,
                    f"{switch.name} has a link to {wider!r}, which is no switch",
                )
            if gbps <= 0:
                fail(None, switch.name, f"the link to {wider} has {gbps} Gbit/s")
            # A wider level each time, so that there is no way round in a circle.
            if LEVELS.index(levels[wider]) >= LEVELS.index(switch.level):
                fail(
                    None,
                    switch.name,
                    f"{switch.name} ({switch.level}) has {wider} ({levels[wider]}) "
                    "above it: an uplink leads to a wider level, never in a circle",
                )


def _check_nodes(topology: Topology, fail: Fail) -> None:
    leaves = {switch.name for switch in topology.switches}
    for node in topology.nodes:
        for leaf in node.uplinks:
            if leaf is not None and leaf not in leaves:
                fail(
                    node.name,
                    None,
                    f"{node.name} has a link to {leaf!r}, which is no switch",
                )
        if node.power_feeds and node.power_needed > len(node.power_feeds):
            fail(
                node.name,
                None,
                f"{node.name} needs {node.power_needed} power feeds and has "
                f"{len(node.power_feeds)}",
            )
        if len(node.gpu_uuids) not in {0, node.gpus}:
            fail(
                node.name,
                None,
                f"{node.name} has {node.gpus} GPUs and {len(node.gpu_uuids)} UUIDs",
            )
    domains = {node.nvlink_domain for node in topology.nodes}
    for domain, number in topology.nvswitches:
        if domain not in domains:
            fail(None, None, f"NVLink domain {domain!r} has {number} switches, no node")


def _named(places: tuple[tuple[Level, str], ...]) -> str:
    return " in ".join(f"{at} {name!r}" for at, name in reversed(places)) or "nothing"
