"""Changes of who leads, among replicas of a component that elect a leader."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane.changes.base import Change, known
from pytest_knav.control_plane.changes.objects import ObjectRef
from pytest_knav.control_plane.changes.process import Process
from pytest_knav.control_plane.processes import ProcessIdentity


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History

# Who holds a lease that was taken away: a replica that leads and does nothing.
OTHER: Final = "pytest-knav-other-replica"


def lease_of(component: str) -> ObjectRef:
    """Return the lease for which the replicas of a component compete."""
    return ObjectRef(kind="Lease", name=component, namespace="kube-system")


def now_text() -> str:
    """Return the time as leases have it (metav1.MicroTime)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTaken(Change):
    """
    Another replica is the leader: the component loses its lease, and exits.

    Attributes:
        component: Its full name.
        pid: Of the process that leads before.

    """

    op: ClassVar[str] = "lease-taken"

    component: str
    pid: int

    @property
    def lane(self) -> str:
        """Return the component."""
        return self.component

    def describe(self) -> str:
        """Return who should lead, and what becomes of who did."""
        return f"{OTHER} leads in place of {self.component}, which has exited"

    def apply(self, plane: ControlPlane) -> int | None:
        """Write the other holder; what is written between read and write is lost."""
        spec = {
            "holderIdentity": OTHER,
            "acquireTime": now_text(),
            "renewTime": now_text(),
        }
        made = plane.api.patch(lease_of(self.component).path, {"spec": spec})
        return int(made["metadata"]["resourceVersion"])

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return the freeing of the lease, and before it is taken, the start."""
        start = Process(component=self.component, verb="kill", signal=self.signal)
        freed = LeaseFreed(component=self.component, signal=self.signal)
        # What is last is taken back first.
        return [*start.inverse(plane), freed]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the other leads and the process that did has exited."""
        del history
        if holder(plane, self.component) != OTHER:
            return False
        identity = ProcessIdentity.of(self.pid)
        return identity is None or plane.component(self.component).pid != self.pid

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the component leads again."""
        del history
        component = plane.component(self.component)
        leads = holder(plane, self.component) not in {"", OTHER}
        return leads and component.running and component.healthy()


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseFreed(Change):
    """The other replica gives its lease back; harmless where it has none."""

    op: ClassVar[str] = "lease-freed"

    component: str

    @property
    def lane(self) -> str:
        """Return the component."""
        return self.component

    def describe(self) -> str:
        """Return whose lease it is."""
        return f"the lease of {self.component} is free"

    def apply(self, plane: ControlPlane) -> int | None:
        """Free it as a leader does that ends (client-go, leaderelection.release)."""
        if holder(plane, self.component) != OTHER:
            return None
        spec: dict[str, Any] = {
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "renewTime": now_text(),
        }
        made = plane.api.patch(lease_of(self.component).path, {"spec": spec})
        return int(made["metadata"]["resourceVersion"])

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return nothing: who leads then has been elected."""
        del plane
        return []

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the other holds it no more."""
        del history
        return holder(plane, self.component) != OTHER

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return True: a lease is free until the next election."""
        del plane, history
        return True


def holder(plane: ControlPlane, component: str) -> str:
    """Return who leads; empty when nobody does."""
    found = plane.api.get_or_none(lease_of(component).path) or {}
    return str(found.get("spec", {}).get("holderIdentity") or "")


def renew(plane: ControlPlane, component: str) -> None:
    """Renew the other's lease, as long as the other has it."""
    if holder(plane, component) == OTHER:
        plane.api.patch(lease_of(component).path, {"spec": {"renewTime": now_text()}})
