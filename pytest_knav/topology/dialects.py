"""How a topology is written onto nodes: the labels of those who label real ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_knav.topology.model import RACK_LABEL, ZONE_LABEL, Level


if TYPE_CHECKING:
    from pytest_knav.topology.model import NodeSpec, Topology


def labelled(topology: Topology) -> Topology:
    """Return a topology whose nodes carry the labels of its dialects."""
    nodes = tuple(replace(node, labels=_labels(node)) for node in topology.nodes)
    return replace(topology, nodes=nodes)


def _labels(node: NodeSpec) -> tuple[tuple[str, str], ...]:
    machine = node.machine
    labels = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": machine.name,
        **dict(machine.labels),
    }
    gpu = machine.gpu
    if gpu is not None and gpu.vendor == "nvidia":
        labels |= {
            "nvidia.com/gpu.count": str(node.gpus),
            "nvidia.com/gpu.family": gpu.family,
            "nvidia.com/gpu.memory": str(gpu.memory_mib),
            "nvidia.com/gpu.present": "true",
            "nvidia.com/gpu.product": gpu.product,
        }
    keys = {
        Level.REGION: "topology.kubernetes.io/region",
        Level.ZONE: ZONE_LABEL,
        Level.RACK: RACK_LABEL,
    }
    labels |= {keys[at]: name for at, name in node.places if at in keys}
    return tuple(sorted({**labels, **dict(node.labels)}.items()))
