"""Components and services that die, hang, restart, or die again and again."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.control_plane.changes import Process
from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.faults.base import Fault, FaultCard


if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence
    from threading import Event

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.control_plane.changes.process import Verb
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind

# Without these two nothing reaches the recorder either.
_BLINDING: Final = frozenset({"etcd", "kube-apiserver"})
# An API server that starts again waits for etcd and fills its caches first.
_HEALTHY_AGAIN_S: Final = 90.0
# How often to look whether a component is up again.
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class OfComponent(Fault):
    """What faults of components share."""

    kind: ClassVar[Kind] = "component"

    def resolve(self, world: World, choose: random.Random) -> tuple[str, ...]:
        """Return the full names of the components and services."""
        named = Fault.resolve(self, world, choose)
        return tuple(sorted({world.plane.component(name).name for name in named}))

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


def _each(world: World, targets: Sequence[str], verb: Verb) -> list[Change]:
    return [
        Process(
            component=name,
            verb=verb,
            pid=world.plane.component(name).pid or 0,
            signal="process",
        )
        for name in targets
    ]


@dataclass(frozen=True, slots=True)
class ComponentKill(OfComponent):
    """
    Components of the control plane die at once and stay dead.

    Changes: the process gets SIGKILL; nobody starts it again until the fault is
    cleared. What it held in memory is lost: queues, caches, back-off times, nominated
    nodes. Its open watches break.

    Args:
        target: `scheduler`, `kcm`, `apiserver`, `etcd` or `kwok`, a service beside them
            (`metrics-server`, `prometheus`, a process of a system under test), or
            several.

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
        return _each(world, targets, "kill")


@dataclass(frozen=True, slots=True)
class ComponentPause(OfComponent):
    """
    Components of the control plane hang: their connections stay open, nothing answers.

    Changes: the process gets SIGSTOP. What it has in memory stays, and grows old: a
    scheduler that goes on binds by what it saw before.

    Args:
        target: `scheduler`, `kcm`, `apiserver`, `etcd` or `kwok`, a service beside them
            (`metrics-server`, `prometheus`, a process of a system under test), or
            several.

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
        return _each(world, targets, "pause")


@dataclass(frozen=True, slots=True)
class ComponentRestart(OfComponent):
    """
    Components of the control plane are ended and started again at once.

    Changes: the process gets SIGTERM, has a second to end, and is started again with
    the same arguments. What it held in memory is lost, its watches break. When the
    fault is injected it is healthy again; the fault has nothing more to clear. etcd and
    the API server do not end by themselves while clients watch, and are killed then.

    Args:
        target: As of `ComponentKill`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="process",
        signals=("process",),
        stands_for="a rolling upgrade, a changed manifest, a failed liveness probe",
        source="Kubernetes, kubeadm upgrade; kubelet, static pods",
        certifies="that work goes on and nothing is lost over an orderly restart",
        does_not_certify="a crash in the middle of a write (see ComponentKill)",
        lasts="as long as the start takes",
        undone="it is running again already; one that does not is started",
    )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the restarts."""
        return _each(world, targets, "restart")

    def blinds(self, targets: Sequence[str]) -> bool:
        """Return False: when it is seen, all runs again."""
        del targets
        return False


@dataclass(frozen=True, slots=True)
class CrashLoop(OfComponent):
    """
    Components of the control plane die, are started again, and die again.

    Changes: the process gets SIGKILL, and again whenever it has been healthy for a
    while. Who looks after the cluster starts it as a kubelet would: at once, then
    after 10 s, 20 s, 40 s … So of a loop without end, a minute has four starts. In a
    cluster that nobody looks after (`--knav-kubeconfig`) the first death is the last.

    Args:
        target: `scheduler`, `kcm`, `apiserver`, `etcd` or `kwok`, the name of a process
            of the system under test, or several.
        times: How often each dies; None: as long as the fault lasts.
        after: For how long each is healthy before it dies again.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="process",
        signals=("process",),
        stands_for="a panic on one object, a bad upgrade, too small a memory limit",
        source="Kubernetes, pkg/kubelet/kubelet.go (CrashLoopBackOff, 10 s to 5 min)",
        certifies="that work advances in the short times in which the component lives",
        does_not_certify="a component that dies of the work itself",
        lasts="until it is cleared, or the number of deaths is reached",
        undone="the component is started at once, whatever its back-off",
    )

    times: int | None = None
    after: Duration = "1s"

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        seconds(self.after, name="after")
        count = self.times
        if count is None:
            return
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise BadInput(f"CrashLoop(times={count!r}): give a whole number from 1")

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the first deaths."""
        fitting = [component.name for component in world.plane.looked_after]
        services = sorted(set(targets) - set(fitting))
        if services:
            raise BadInput(
                f"{self.name}: {services[0]} is a service, which nobody starts again "
                f"when it dies: use one of {', '.join(fitting)}"
            )
        return _each(world, targets, "crash")

    def act(
        self,
        world: World,
        targets: Sequence[str],
        choose: random.Random,
        stop: Event,
    ) -> None:
        """Let each die again when it has been healthy for long enough."""
        del choose
        after_s = seconds(self.after, name="after")
        died = dict.fromkeys(targets, 1)
        well_since_s: dict[str, float] = {}
        while not stop.wait(_LOOK_S):
            now_s = time.monotonic()
            left = [n for n in targets if self.times is None or died[n] < self.times]
            if not left:
                return
            for name in left:
                component = world.plane.component(name)
                if not (component.running and component.healthy()):
                    well_since_s.pop(name, None)
                elif now_s - well_since_s.setdefault(name, now_s) >= after_s:
                    del well_since_s[name]
                    died[name] += 1
                    # It may have died by itself since it was asked.
                    with suppress(ClusterError):
                        component.crash()
