"""The store that fails: slow, out of space, or without the revisions of before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.control_plane.changes import CacheExpired, NoSpace, Stalls
from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import FaultCard
from pytest_knav.faults.control_plane.components import OfComponent


if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from threading import Event

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Target

_ETCD: Final = "etcd"
_APISERVER: Final = "kube-apiserver"
# The API server gives up on a request after 60 s (--request-timeout), its health check
# of etcd after 2 s (--etcd-healthcheck-timeout): beyond that etcd is not slow but gone.
_STALL_MAX_S: Final = 1.5
_SHARE_MAX: Final = 0.95


@dataclass(frozen=True, slots=True)
class _OfEtcd(OfComponent):
    """What faults of the store share; there is one store, so nobody need name it."""

    target: Target | str | Sequence[str] = _ETCD

    def resolve(self, world: World, choose: random.Random) -> tuple[str, ...]:
        """Return the store."""
        found = OfComponent.resolve(self, world, choose)
        if found != (_ETCD,):
            raise BadInput(f"{self.name}: it is for etcd alone")
        return found


@dataclass(frozen=True, slots=True)
class SlowEtcd(_OfEtcd):
    """
    etcd is slow: it stands still for a moment, goes on, and stands still again.

    Changes: the process is held (SIGSTOP) for `stall` and let go on (SIGCONT), so that
    it is held for `share` of the time. A read or write of the API server takes longer
    by up to a stall. Everything comes later, nodes' leases too.

    Args:
        target: `etcd`.
        stall: How long it stands still each time, at most 1.5 s: beyond that the API
            server's health check calls it dead, which is `ComponentPause("etcd")`.
        share: Of the time, above 0, at most 0.95.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="process",
        signals=("latency",),
        stands_for="a slow or shared disk (fsync), a starved or swapping machine",
        source="etcd, docs op-guide/hardware and tuning; faq `took too long`",
        certifies="that decisions come late rather than wrong, and nothing is lost",
        does_not_certify="elections between members of etcd: there is one",
        undone="etcd goes on (SIGCONT) and says that it is healthy",
    )

    stall: Duration = "200ms"
    share: float = 0.5

    def __post_init__(self) -> None:
        OfComponent.__post_init__(self)
        stall_s = seconds(self.stall, name="stall")
        if not 0 < stall_s <= _STALL_MAX_S:
            raise BadInput(
                f"SlowEtcd(stall={self.stall!r}): give more than 0, at most "
                f"{_STALL_MAX_S:g}s"
            )
        share = self.share
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise BadInput(f"SlowEtcd(share={share!r}): give a number")
        if not 0 < share <= _SHARE_MAX:
            raise BadInput(
                f"SlowEtcd(share={share!r}): give more than 0, at most {_SHARE_MAX}"
            )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the stalls."""
        del world, targets
        stall_s = seconds(self.stall, name="stall")
        return [Stalls(stall_s=stall_s, share=self.share, signal="latency")]

    def act(
        self,
        world: World,
        targets: Sequence[str],
        choose: random.Random,
        stop: Event,
    ) -> None:
        """Hold etcd and let it go on, until it is over."""
        del targets, choose
        etcd = world.plane.component(_ETCD)
        stall_s = seconds(self.stall, name="stall")
        rest_s = stall_s / self.share - stall_s
        try:
            while not stop.is_set():
                etcd.hold()
                stop.wait(stall_s)
                etcd.release()
                stop.wait(rest_s)
        finally:
            etcd.release()

    def blinds(self, targets: Sequence[str]) -> bool:
        """Return False: what is recorded comes late, not never."""
        del targets
        return False


@dataclass(frozen=True, slots=True)
class EtcdOutOfSpace(_OfEtcd):
    """
    etcd is out of space: the cluster can be read, and nothing can be written.

    Changes: etcd's alarm NOSPACE, the one that it raises itself when its quota is used
    up. Every write is refused with `mvcc: database space exceeded`; the API server
    answers 500. Deletions that need no write go through. No node renews its lease, and
    nobody can write that it is Unknown. No heartbeat is written either, so while it
    lasts nothing can be judged.

    Args:
        target: `etcd`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="process",
        signals=("writes",),
        stands_for="a full quota: too many objects or events, no defragmentation",
        source="etcd, docs op-guide/maintenance, space quota",
        certifies="that nothing is lost or done twice over a time without writes",
        does_not_certify="how the space was used up; a disk that is really full",
        undone="etcd is defragmented and the alarm disarmed, as its guide has it",
    )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the alarm."""
        del world, targets
        return [NoSpace(armed=True, signal="writes")]


@dataclass(frozen=True, slots=True)
class WatchCacheExpired(OfComponent):
    """
    Every watch breaks, and whoever wants to resume one is told 410 Gone.

    Changes: the API server is killed, etcd is compacted up to what is recorded, and
    the API server is started again: its watch cache begins there, and etcd knows no
    more than it. Clients must list again, and see only what is there now, not what
    came between. Compaction is not taken back. The recorder fills what came after.

    Args:
        target: `apiserver`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="process",
        signals=("watch",),
        stands_for="a client that was cut off for longer than the cache remembers; "
        "a new API server after a compaction",
        source="Kubernetes, API concepts, `410 Gone`; apiserver, cacher/watch_cache.go",
        certifies="that a component that has to list again overlooks nothing for good",
        does_not_certify="a cache that is behind while its watches stay open",
        lasts="as long as the start takes; what is compacted stays away",
        undone="the API server runs again already; compaction has no undo",
    )

    target: Target | str | Sequence[str] = _APISERVER

    def resolve(self, world: World, choose: random.Random) -> tuple[str, ...]:
        """Return the API server."""
        found = OfComponent.resolve(self, world, choose)
        if found != (_APISERVER,):
            raise BadInput(f"{self.name}: it is for the apiserver alone")
        return found

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the compaction up to what the recorder has."""
        del targets
        return [CacheExpired(revision=world.recorder.catch_up(), signal="watch")]

    def blinds(self, targets: Sequence[str]) -> bool:
        """Return False: when it is seen, all runs again."""
        del targets
        return False
