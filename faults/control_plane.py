"""Faults of the control plane's own processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.control_plane.changes import Process
from pytest_knav.control_plane.components import component_name
from pytest_knav.faults.base import Fault, FaultCard


if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.control_plane.changes.process import Verb
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind

# Without these two nothing reaches the recorder either.
_BLINDING: Final = frozenset({"etcd", "kube-apiserver"})
# An API server that starts again waits for etcd and fills its caches first.
_HEALTHY_AGAIN_S: Final = 90.0


@dataclass(frozen=True, slots=True)
class _OfComponent(Fault):
    """What faults of components share."""

    kind: ClassVar[Kind] = "component"

    def resolve(self, world: World, choose: random.Random) -> tuple[str, ...]:
        """Return the full names of the components."""
        named = Fault.resolve(self, world, choose)
        return tuple(sorted({component_name(name) for name in named}))

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: work that runs goes on."""
        del world, targets
        return frozenset()

    def blinds(self, targets: Sequence[str]) -> bool:
        """Return whether the recorder depends on one of them."""
        return not _BLINDING.isdisjoint(targets)

    def timeouts_s(self, world: World) -> Mapping[str, float]:
        """Return those of every fault, and the time a component needs to start."""
        return {**Fault.timeouts_s(self, world), "cleared": _HEALTHY_AGAIN_S}


def _each(targets: Sequence[str], verb: Verb) -> list[Change]:
    return [Process(component=name, verb=verb, signal="process") for name in targets]


@dataclass(frozen=True, slots=True)
class ComponentKill(_OfComponent):
    """
    Components of the control plane die at once and stay dead.

    Changes: the process gets SIGKILL; nobody starts it again until the fault is
    cleared. What it held in memory is lost: queues, caches, back-off times, nominated
    nodes. Its open watches break.

    Args:
        target: `scheduler`, `kcm`, `apiserver`, `etcd` or `kwok`, or several.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="process",
        signals=("process",),
        stands_for="a panic, an out-of-memory kill, a lost control-plane machine",
        source="Kubernetes, static pods of the control plane; kube-scheduler restart",
        certifies="that work waits, is not lost, and goes on when the component does",
        does_not_certify="failover to a second replica: there is one of each",
        undone="the component is started again and says that it is healthy",
    )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the kills."""
        del world
        return _each(targets, "kill")


@dataclass(frozen=True, slots=True)
class ComponentPause(_OfComponent):
    """
    Components of the control plane hang: their connections stay open, nothing answers.

    Changes: the process gets SIGSTOP. What it has in memory stays, and grows old: a
    scheduler that goes on binds by what it saw before.

    Args:
        target: `scheduler`, `kcm`, `apiserver`, `etcd` or `kwok`, or several.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="process",
        signals=("process",),
        stands_for="a long garbage collection, a stalled disk, a starved machine",
        source="Jepsen, nemesis `pause` (SIGSTOP); TigerBeetle, Vortex",
        certifies="that a component with old knowledge does no harm when it goes on",
        does_not_certify="what a watchdog does; loss of memory (see ComponentKill)",
        undone="the component goes on (SIGCONT) and says that it is healthy",
    )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the pauses."""
        del world
        return _each(targets, "pause")
