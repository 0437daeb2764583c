"""The pictures of the documentation, drawn by what draws them for users."""

from __future__ import annotations

from pytest_knav.topology import make_topology
from pytest_knav.topology.picture import (
    NodeHealth,
    NodeStatus,
    Status,
    SwitchHealth,
    svg,
)


NODES = 16


def cluster() -> str:
    """Return a small cluster with a bit of everything that a picture shows."""
    topology = make_topology("dgx-h100", NODES)
    names = [node.name for node in topology.nodes]
    owners = {
        "llama": names[0:8],
        "mixtral": names[9:12],
        "team-a/evaluation": names[13:14],
    }
    return svg(
        topology,
        Status(
            nodes={
                names[2]: NodeStatus(health=NodeHealth.UNKNOWN, broken=True, pods=1),
                names[6]: NodeStatus(broken=True, pods=1),
                names[12]: NodeStatus(cordoned=True),
            },
            allocated={
                f"{name}/gpu-{index}": owner
                for owner, held in owners.items()
                for name in held
                for index in range(8 if owner != "team-a/evaluation" else 5)
            },
            failed=frozenset({f"{names[9]}/gpu-3"}),
            switches={"leaf-000-rail-3": SwitchHealth.DOWN},
            moment="as it was 12.4 s into the test, with three faults in force",
        ),
    )
