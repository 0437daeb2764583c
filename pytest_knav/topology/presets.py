"""
Topologies by name, for any number of nodes.

Figures of `dgx-h100`: NVIDIA DGX SuperPOD reference architecture for DGX H100 (four
systems in a rack, 32 systems in a scalable unit) and the DGX H100/H200 user guide
(8 GPUs with 80 GB, two Xeon 8480C with 56 cores each, 2 TiB of memory). The labels are
those that NVIDIA GPU feature discovery sets.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_knav.errors import BadInput
from pytest_knav.topology.model import RACK_LABEL, ZONE_LABEL, NodeSpec, Topology


MAX_NODES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Preset:
    source: str
    default_nodes: int
    nodes_per_rack: int
    nodes_per_zone: int
    gpus: int
    gpu_resource: str
    cpus: int
    memory_gib: int
    pods: int
    labels: tuple[tuple[str, str], ...]


PRESETS: dict[str, _Preset] = {
    "dgx-h100": _Preset(
        source="NVIDIA DGX SuperPOD reference architecture, DGX H100",
        default_nodes=32,
        nodes_per_rack=4,
        nodes_per_zone=1024,
        gpus=8,
        gpu_resource="nvidia.com/gpu",
        # 224 hardware threads: Kubernetes counts those.
        cpus=224,
        memory_gib=2048,
        pods=110,
        labels=(
            ("kubernetes.io/arch", "amd64"),
            ("kubernetes.io/os", "linux"),
            ("node.kubernetes.io/instance-type", "dgx-h100"),
            ("nvidia.com/gpu.count", "8"),
            ("nvidia.com/gpu.family", "hopper"),
            ("nvidia.com/gpu.memory", "81559"),
            ("nvidia.com/gpu.present", "true"),
            ("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3"),
        ),
    ),
}
DEFAULT_PRESET = "dgx-h100"


def make_topology(name: str, nodes: int | None = None) -> Topology:
    """
    Return a preset at a size.

    Args:
        name: The preset.
        nodes: How many nodes, from 1 to 20,000; by default the preset's own number.

    Raises:
        BadInput: There is no such preset, or the number is out of range.

    """
    preset = PRESETS.get(name)
    if preset is None:
        raise BadInput(
            f"topology {name!r} is unknown: use one of {', '.join(sorted(PRESETS))}"
        )
    count = preset.default_nodes if nodes is None else nodes
    if isinstance(count, bool) or not isinstance(count, int):
        raise BadInput(f"nodes={count!r} is not a whole number")
    if not 1 <= count <= MAX_NODES:
        raise BadInput(f"nodes={count!r} is out of range: use 1 to {MAX_NODES}")
    return Topology(
        name=name,
        source=preset.source,
        nodes=tuple(_node(name, preset, i) for i in range(count)),
    )


def _node(name: str, preset: _Preset, number: int) -> NodeSpec:
    rack = f"rack-{number // preset.nodes_per_rack:03d}"
    zone = f"zone-{number // preset.nodes_per_zone}"
    node = f"{name}-{number:04d}"
    labels = (
        *preset.labels,
        ("kubernetes.io/hostname", node),
        (RACK_LABEL, rack),
        ("topology.kubernetes.io/region", "region-0"),
        (ZONE_LABEL, zone),
    )
    return NodeSpec(
        name=node,
        rack=rack,
        gpus=preset.gpus,
        gpu_resource=preset.gpu_resource,
        cpus=preset.cpus,
        memory_gib=preset.memory_gib,
        pods=preset.pods,
        labels=tuple(sorted(labels)),
    )
