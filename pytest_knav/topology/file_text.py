"""The text of a topology file that lists every node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from pytest_knav.topology.machine_file import machine_data, machine_names


if TYPE_CHECKING:
    from pytest_knav.topology.model import NodeSpec, Switch, Topology


def dump_topology(topology: Topology) -> str:
    """Return a topology as the text of a file, with every node; without its load."""
    names = machine_names(topology)
    data: dict[str, Any] = {"name": topology.name, "source": topology.source}
    if topology.notes:
        data["notes"] = list(topology.notes)
    if topology.dra:
        data["dra"] = True
    data["machines"] = {
        names[machine]: machine_data(machine, names[machine])
        for machine in topology.machines
    }
    data["nodes"] = [_node_data(n, names[n.machine]) for n in topology.nodes]
    if topology.switches:
        data["switches"] = [_switch_data(switch) for switch in topology.switches]
    if topology.nvswitches:
        data["nvswitches"] = dict(topology.nvswitches)
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=88)


class _Dumper(yaml.CSafeDumper):
    """YAML without anchors: what is the same twice is written twice."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _node_data(node: NodeSpec, machine: str) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": node.name,
        "machine": machine,
        "places": {level.value: name for level, name in node.places},
        "uplinks": list(node.uplinks),
        "power_feeds": list(node.power_feeds),
        "labels": dict(node.labels),
        "annotations": dict(node.annotations),
        "taints": [
            {"key": key, "value": value, "effect": effect}
            for key, value, effect in node.taints
        ],
        "capacity": dict(node.capacity),
        "allocatable": dict(node.allocatable),
        "gpu_uuids": list(node.gpu_uuids),
    }
    data = {key: value for key, value in data.items() if value not in ([], {})}
    data["nvlink_domain"] = node.nvlink_domain
    if node.power_needed != 1:
        data["power_needed"] = node.power_needed
    return data


def _switch_data(switch: Switch) -> dict[str, Any]:
    data: dict[str, Any] = {"name": switch.name, "level": switch.level.value}
    if switch.uplinks:
        data["uplinks"] = dict(switch.uplinks)
    if switch.rail is not None:
        data["rail"] = switch.rail
    return data
