"""The dialects that there are, and how users name their own."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.dialects.dialect import Dialect
from pytest_knav.topology.dialects.vendors import (
    amd_labels,
    clique,
    gfd_labels,
    machine_labels,
)
from pytest_knav.topology.model import LEVELS, RACK_LABEL, ZONE_LABEL, Level


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.topology.model import NodeSpec

_TOPOGRAPH: Final = "network.topology.nvidia.com"


def _gce_host(node: NodeSpec) -> Mapping[str, str]:
    return {"cloud.google.com/gce-topology-host": node.name}


_ALL: Final = (
    Dialect(
        name="kubernetes",
        title="Kubernetes' own labels, and a rack in the same style",
        source="Kubernetes, Well-Known Labels, Annotations and Taints. The rack is not "
        "among them; KEP-5732 uses such a key in its examples",
        levels=(
            (Level.REGION, "topology.kubernetes.io/region"),
            (Level.ZONE, ZONE_LABEL),
            (Level.RACK, RACK_LABEL),
        ),
        about=machine_labels,
        default=True,
    ),
    Dialect(
        name="gpu-feature-discovery",
        title="NVIDIA GPU feature discovery (GPU operator), MIG strategy mixed",
        source="NVIDIA/k8s-device-plugin 2026-08, tests/expected-output*.txt and "
        "internal/lm (imex.go for the clique)",
        levels=((Level.NVLINK, "nvidia.com/gpu.clique"),),
        about=gfd_labels,
        value=clique,
        default=True,
    ),
    Dialect(
        name="amd-node-labeller",
        title="AMD's node labeller (AMD GPU operator)",
        source="ROCm/k8s-device-plugin, cmd/k8s-node-labeller/main.go",
        about=amd_labels,
        default=True,
    ),
    Dialect(
        name="topograph",
        title="NVIDIA Topograph 0.3 to 0.5; read by KAI, NVSentinel and Kueue",
        source="NVIDIA/topograph v0.4.0, docs/reference/node-labels.md",
        levels=(
            (Level.NVLINK, f"{_TOPOGRAPH}/accelerator"),
            (Level.LEAF, f"{_TOPOGRAPH}/leaf"),
            (Level.SPINE, f"{_TOPOGRAPH}/spine"),
            (Level.CORE, f"{_TOPOGRAPH}/core"),
        ),
        default=True,
    ),
    Dialect(
        name="topograph-1.0",
        title="Topograph from 1.0 on; tier 0 is the nearest",
        source="NVIDIA/topograph v1.0.0, pkg/topology/topology.go",
        levels=(
            (Level.NVLINK, "accelerator.topograph.run/domain"),
            (Level.LEAF, "fabric.topograph.run/tier-0"),
            (Level.SPINE, "fabric.topograph.run/tier-1"),
            (Level.CORE, "fabric.topograph.run/tier-2"),
        ),
    ),
    Dialect(
        name="topograph-0.1",
        title="NVIDIA Topograph 0.1",
        source="NVIDIA/topograph v0.1.0, docs",
        levels=(
            (Level.NVLINK, f"{_TOPOGRAPH}/accelerator"),
            (Level.LEAF, f"{_TOPOGRAPH}/block"),
            (Level.SPINE, f"{_TOPOGRAPH}/spine"),
            (Level.CORE, f"{_TOPOGRAPH}/datacenter"),
        ),
    ),
    Dialect(
        name="kueue",
        title="Kueue's and KAI's documented example of topology levels",
        source="kueue.sigs.k8s.io, Topology Aware Scheduling; KAI-Scheduler, "
        "docs/topology/README.md",
        levels=(
            (Level.LEAF, "cloud.provider.com/topology-block"),
            (Level.RACK, "cloud.provider.com/topology-rack"),
        ),
        whole=True,
    ),
    Dialect(
        name="gke",
        title="Google Kubernetes Engine",
        source="cloud.google.com, GKE, Schedule workloads with Topology Aware "
        "Scheduling",
        levels=(
            (Level.LEAF, "cloud.google.com/gce-topology-block"),
            (Level.RACK, "cloud.google.com/gce-topology-subblock"),
        ),
        about=_gce_host,
        whole=True,
    ),
    Dialect(
        name="eks",
        title="Amazon EKS; layer 3 is the nearest",
        source="docs.aws.amazon.com, EKS, Place distributed AI/ML workloads with "
        "network topology labels",
        levels=(
            (Level.SPINE, "topology.k8s.aws/network-node-layer-1"),
            (Level.LEAF, "topology.k8s.aws/network-node-layer-2"),
            (Level.RACK, "topology.k8s.aws/network-node-layer-3"),
        ),
        whole=True,
    ),
)
DIALECTS: Final[Mapping[str, Dialect]] = {dialect.name: dialect for dialect in _ALL}


def dialect_named(name: str) -> Dialect:
    """
    Return a dialect by name.

    Raises:
        BadInput: There is none of that name.

    """
    found = DIALECTS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, DIALECTS, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise BadInput(
            f"dialect {name!r} is unknown{meant}: use {', '.join(DIALECTS)}, or a "
            "mapping of levels to label keys"
        )
    return found


def levels_dialect(keys: Mapping[str, str], *, name: str = "levels") -> Dialect:
    """
    Return a dialect of the user's own.

    Args:
        keys: The label key of each level, such as
            `{"leaf": "example.com/block", "rack": "example.com/rack"}`.
        name: What messages call it.

    Raises:
        BadInput: There is no such level, or a key is given twice.

    """
    levels = []
    for level, key in keys.items():
        if level not in LEVELS:
            raise BadInput(
                f"dialect {name}: there is no level {level!r}: use {', '.join(LEVELS)}"
            )
        levels.append((Level(level), key))
    twice = [key for _, key in levels if list(keys.values()).count(key) > 1]
    if twice:
        raise BadInput(f"dialect {name}: the label {twice[0]} stands for two levels")
    return Dialect(
        name=name,
        title="the user's own label keys",
        source="the user",
        levels=tuple(levels),
        whole=True,
    )
