"""Whether a cluster could ever run a workload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.errors import BadInput
from pytest_knav.workloads import Gang, Manifest


if TYPE_CHECKING:
    from pytest_knav.topology import Topology
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
    largest, total = topology.gpus_per_node, topology.gpus
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
