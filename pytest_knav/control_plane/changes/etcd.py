"""Changes of the store itself: out of space, compacted, slow."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.control_plane.api import ApiRefusedError
from pytest_knav.control_plane.changes.base import Change, known
from pytest_knav.control_plane.changes.process import Process
from pytest_knav.control_plane.state.etcd import Etcd


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History

ETCD: Final = "etcd"
APISERVER: Final = "kube-apiserver"
# A GET of one object without resourceVersion is a read of etcd by its quorum.
_READ: Final = "/api/v1/namespaces/kube-system"
_READS_MAX: Final = 200


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class NoSpace(Change):
    """etcd's alarm NOSPACE, armed or disarmed: while it is there no key is written."""

    op: ClassVar[str] = "nospace"

    armed: bool

    @property
    def lane(self) -> str:
        """Return the store."""
        return ETCD

    def describe(self) -> str:
        """Return what etcd should do with a write."""
        return "etcd refuses writes: database space exceeded" * self.armed

    def apply(self, plane: ControlPlane) -> int | None:
        """Arm it; or defragment and disarm it, as etcd's operations guide has it."""
        with closing(Etcd(plane.etcd_url)) as etcd:
            if self.armed:
                etcd.arm_no_space()
            else:
                etcd.defragment()
                etcd.disarm()
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return its disarming."""
        del plane
        return [NoSpace(armed=not self.armed, signal=self.signal)]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether etcd refuses a write for want of space, or takes it again."""
        del history
        with closing(Etcd(plane.etcd_url)) as etcd:
            return etcd.out_of_space() == self.armed

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it is the other way round."""
        return not self.seen(plane, history)


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class CacheExpired(Change):
    """
    The API server begins afresh on a store that has forgotten all that was before.

    Attributes:
        revision: What was before it is compacted away.

    """

    op: ClassVar[str] = "cache-expired"

    revision: int

    @property
    def lane(self) -> str:
        """Return the API server."""
        return APISERVER

    def describe(self) -> str:
        """Return what the API server should say."""
        return f"the API server answers 410 Gone before revision {self.revision}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Compact while the API server is down, so that it cannot know better."""
        server = plane.component(APISERVER)
        server.kill()
        with closing(Etcd(plane.etcd_url)) as etcd:
            etcd.compact(self.revision)
        server.restart()
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return the API server's start; what was compacted does not come back."""
        one = Process(component=APISERVER, verb="kill", signal=self.signal)
        return one.inverse(plane)

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether a list of before is refused."""
        del history
        exact = {
            "resourceVersion": str(self.revision - 1),
            "resourceVersionMatch": "Exact",
            "limit": "1",
        }
        try:
            plane.api.get("/api/v1/namespaces", **exact)
        except ApiRefusedError as error:
            return error.status == 410
        return False

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the API server is healthy: the old revisions stay gone."""
        del history
        return plane.component(APISERVER).healthy()


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Stalls(Change):
    """
    etcd is held again and again, by a thread that the fault has; this is its way back.

    Attributes:
        stall_s: How long each time.
        share: Of the time.

    """

    op: ClassVar[str] = "stalls"

    stall_s: float
    share: float

    @property
    def lane(self) -> str:
        """Return the store."""
        return ETCD

    def describe(self) -> str:
        """Return what the API server's reads should take."""
        return f"reads of the API server take up to {self.stall_s:g}s longer"

    def apply(self, plane: ControlPlane) -> int | None:
        """Do nothing: the thread begins when all changes are made."""
        del plane
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return etcd's running on."""
        one = Process(component=ETCD, verb="stall", signal=self.signal)
        return one.inverse(plane)

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether one of many reads took at least half a stall."""
        del history
        return any(read_s(plane) >= self.stall_s / 2 for _ in range(_READS_MAX))

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether etcd runs and is healthy."""
        del history
        component = plane.component(ETCD)
        return component.running and component.healthy()


def read_s(plane: ControlPlane) -> float:
    """Return how long the API server takes now for a read that etcd must answer."""
    began_s = time.monotonic()
    plane.api.get(_READ)
    return time.monotonic() - began_s
