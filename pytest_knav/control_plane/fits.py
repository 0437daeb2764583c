"""Whether a cluster could ever run a workload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.errors import BadInput
from pytest_knav.topology.manifests import amount_of, gpu_amounts, whole
from pytest_knav.workloads import Gang, Manifest


if TYPE_CHECKING:
    from pytest_knav.topology import NodeSpec, Topology
    from pytest_knav.workloads import Workload


def check_fits(workload: Workload, topology: Topology) -> None:
    """
    Return when an empty cluster has the GPUs that a workload asks for.

    Raises:
        BadInput: It has not; with what is asked for and what there is.

    """
    if isinstance(workload, Manifest):
        return
    kind = type(workload).__name__
    if not workload.gpus_per_pod:
        return
    amounts = [gpus_of(node, topology) for node in topology.nodes]
    largest, total = max(amounts, default=0), sum(amounts)
    if not largest and topology.gpus:
        raise BadInput(
            f"{kind} {workload.name!r} gpus_per_pod={workload.gpus_per_pod}: "
            f"no node of {topology.name} has any {topology.gpu_resource}; they have "
            f"{', '.join(_instead(topology))}: ask for those with a Manifest"
        )
    if workload.gpus_per_pod > largest:
        raise BadInput(
            f"{kind} {workload.name!r} gpus_per_pod={workload.gpus_per_pod}: "
            f"the largest node of {topology.name} has {largest} GPUs"
        )
    wanted = workload.gpus_per_pod * workload.expected_pods
    if isinstance(workload, Gang) and wanted > total:
        raise BadInput(
            f"{kind} {workload.name!r} needs {wanted} GPUs at once "
            f"({workload.expected_pods} pods of {workload.gpus_per_pod}): "
            f"the cluster has {total} ({len(topology.nodes)} nodes of "
            f"{topology.name})"
        )


def gpus_of(node: NodeSpec, topology: Topology) -> int:
    """Return how many GPUs pods can have of a node, by `gpus_per_pod`."""
    resource = topology.gpu_resource
    if topology.dra:
        return whole(gpu_amounts(node).get(resource, ""))
    return amount_of(node, resource)


def _instead(topology: Topology) -> list[str]:
    """Return the extended resources that GPUs are, where they are no whole GPUs."""
    found = {name: None for node in topology.nodes for name in gpu_amounts(node)}
    found.pop(topology.gpu_resource, None)
    return list(found) or ["none that pods can have"]
