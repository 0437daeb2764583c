"""Events that a component of the cluster would write."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from pytest_knav.control_plane.changes.base import Lasting, known
from pytest_knav.control_plane.changes.objects import ObjectRef, OfObject


if TYPE_CHECKING:
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Report(OfObject, Lasting):
    """
    An Event about an object, as a component of the cluster would write it.

    Events are a log: what was written stays, until the API server's time for it ends.

    Attributes:
        ref: What it is about.
        uid: Which object of that name.
        component: Who says so: `kubelet`, `node-problem-detector` …
        reason: As that component names it.
        warning: Whether its type is Warning, else Normal.

    """

    op: ClassVar[str] = "report"

    uid: str
    component: str
    reason: str
    message: str
    warning: bool = True

    def describe(self) -> str:
        """Return what it says."""
        return f"Event {self.reason} of {self.component} about {self.ref}"

    @property
    def _event(self) -> ObjectRef:
        # A component's recorder names events by object and time (client-go,
        # tools/record/event.go); this name is the same in a replay.
        digest = hashlib.sha256(f"{self.uid}{self.reason}{self.message}".encode())
        return ObjectRef(
            kind="Event",
            name=f"{self.ref.name}.{digest.hexdigest()[:16]}",
            namespace=self.ref.namespace or "default",
        )

    def apply(self, plane: ControlPlane) -> int | None:
        """Write it; one that is there already is counted once more."""
        event = self._event
        found = plane.api.get_or_none(event.path)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if found is not None:
            body = {"count": int(found.get("count", 1)) + 1, "lastTimestamp": now}
            plane.api.patch_or_none(event.path, body)
            return None
        about = {"kind": self.ref.kind, "name": self.ref.name, "uid": self.uid}
        if self.ref.namespace:
            about["namespace"] = self.ref.namespace
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": event.name, "namespace": event.namespace},
            "involvedObject": about,
            "reason": self.reason,
            "message": self.message,
            "type": "Warning" if self.warning else "Normal",
            "source": {"component": self.component, "host": self.ref.name},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        plane.api.create(event.collection, body)
        return None

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it was written."""
        return self._event.now(plane, history) is not None
