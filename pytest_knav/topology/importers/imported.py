"""What an import gives: a topology, a load, and what is to be said about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from pytest_knav.topology.model import Level, Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """
    A topology that was read from somewhere else.

    Attributes:
        topology: Its notes say what was assumed.
        levels: Pairs of a level and where its places come from, widest first.
        dropped: What the source says and the topology does not carry, and why.

    """

    topology: Topology
    levels: tuple[tuple[Level, str], ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """Return the report for people."""
        topology = self.topology
        counts = f"{len(topology.nodes)} nodes in {len(topology.racks)} racks"
        lines = [f"{topology.name}: {counts}, {len(topology.switches)} switches"]
        kinds = Counter(node.machine for node in topology.nodes)
        for machine, count in kinds.items():
            gpu = machine.gpu
            has = f"{len(machine.gpus)} {gpu.product}" if gpu else "no GPUs"
            lines.append(
                f"  {count} {machine.name}: {has}, {machine.cpus} cpu, "
                f"{machine.memory_gib} GiB"
            )
        models: Counter[str] = Counter()
        for machine, count in kinds.items():
            if machine.gpu is not None:
                models[machine.gpu.product] += count * len(machine.gpus)
        lines += [f"GPUs: {count} {product}" for product, count in models.items()]
        for level, origin in self.levels:
            places = len(topology.places(level))
            lines.append(f"level {level}: {places} from {origin}")
        lines += [f"assumed: {note}" for note in topology.notes]
        lines += [f"left out: {what}" for what in self.dropped]
        return lines


@dataclass(slots=True)
class LoadOf:
    """
    The load to begin with, and what of the real one it does not carry.

    Attributes:
        objects: As the API server takes them, what others refer to first.
        dropped: How many objects were left out, by the reason.
        notes: What is other than it was.

    """

    objects: list[dict[str, Any]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """Return the report for people."""
        kinds = Counter(one["kind"] for one in self.objects)
        counts = ", ".join(f"{times} {kind}" for kind, times in kinds.items())
        lines = [f"load: {counts or 'nothing'}"]
        lines += [f"load: {note}" for note in self.notes]
        reasons = sorted(self.dropped.items())
        return lines + [f"left out: {times} {why}" for why, times in reasons]
