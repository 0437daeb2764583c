"""How a topology becomes Node objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.topology.model import NodeSpec


def node_manifest(node: NodeSpec, labels: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the Node object of a simulated machine.

    Args:
        node: The machine.
        labels: More labels, such as the one by which KWOK takes care of the node.

    """
    amounts = {
        "cpu": str(node.cpus),
        "memory": f"{node.memory_gib}Gi",
        "pods": str(node.pods),
        "ephemeral-storage": "1Ti",
    }
    if node.gpus:
        amounts[node.gpu_resource] = str(node.gpus)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": {**dict(node.labels), **labels},
            "annotations": {
                # Asked by metrics-server; KWOK serves every node on one port.
                "metrics.k8s.io/resource-metrics-path": (
                    f"/metrics/nodes/{node.name}/metrics/resource"
                ),
            },
        },
        "status": {"allocatable": amounts, "capacity": amounts},
    }
