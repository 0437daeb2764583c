"""What a large topology costs: to build, to render, to ask; no cluster is needed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from pytest_knav.topology import make_topology
from pytest_knav.topology.manifests import node_manifest


if TYPE_CHECKING:
    from pytest_knav.topology import Topology

NODES: Final = 10_000
QUESTIONS: Final = 1_000
_PRESET: Final = "dgx-h100"
_SEED: Final = 5


def render() -> None:
    """Build a large topology and the Node object of each node."""
    for node in make_topology(_PRESET, NODES).nodes:
        node_manifest(node, {})


class Questions:
    """Questions for the blast radius of one component each, by a seed."""

    def __init__(self) -> None:
        self._topology: Topology | None = None
        self._names: list[str] = []

    def prepare(self) -> None:
        """Build a topology that nobody has asked yet, and choose the components."""
        topology = make_topology(_PRESET, NODES)
        dice = random.Random(_SEED)  # noqa: S311 - the same questions in each round
        self._names = []
        while len(self._names) < QUESTIONS:
            node = dice.choice(topology.nodes)
            # Every kind as often: what faults are about, not what there is most of.
            self._names += (
                node.name,
                f"{node.name}/gpu-{dice.randrange(node.gpus)}",
                f"{node.name}/nic-{dice.randrange(len(node.machine.nics))}",
                dice.choice(node.power_feeds),
                dice.choice(topology.switches).name,
            )
        self._topology = topology

    def ask(self) -> None:
        """Ask; the first answer pays for the index."""
        if self._topology is not None:
            for name in self._names:
                self._topology.blast_radius(name)
