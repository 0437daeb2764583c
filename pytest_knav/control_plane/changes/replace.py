"""Objects whose fields cannot be changed: taken away and made anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_knav.control_plane.api import ApiRefusedError
from pytest_knav.control_plane.changes.base import Change, known
from pytest_knav.control_plane.changes.objects import SERVERS_OWN, Delete, OfObject
from pytest_knav.control_plane.changes.ways import holds
from pytest_knav.errors import ClusterError


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History

# Somebody else makes and deletes the same object.
_TRIES_MAX = 5


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Replace(OfObject):
    """
    An object is another one of the same name; where there was none, it is made.

    Attributes:
        body: The new one.

    """

    op: ClassVar[str] = "replace"

    body: Mapping[str, Any]

    def describe(self) -> str:
        """Return the object and what it becomes."""
        rest = {k: v for k, v in self.body.items() if k not in _NAMED}
        return f"{self.ref} {json.dumps(rest)}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make it; nothing is written when it is so already."""
        for _ in range(_TRIES_MAX):
            found = plane.api.get_or_none(self.ref.path)
            if found is not None:
                if holds(found, self.body):
                    return None
                plane.api.delete(self.ref.path)
            try:
                made = plane.api.create(self.ref.collection, self.body)
            except ApiRefusedError as error:
                if error.status != 409:
                    raise
                continue
            return int(made["metadata"]["resourceVersion"])
        raise ClusterError(f"{self.ref} is made again by others, faster than deleted")

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return the object that is there now, or the end of the one to come."""
        found = plane.api.get_or_none(self.ref.path)
        if found is None:
            return [Delete(ref=self.ref, signal=self.signal)]
        metadata = {
            key: value
            for key, value in found["metadata"].items()
            if key not in {*SERVERS_OWN, "managedFields"}
        }
        body = {**found, "metadata": metadata}
        return [Replace(ref=self.ref, body=body, signal=self.signal)]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the object is the new one."""
        found = self.ref.now(plane, history)
        return found is not None and holds(found, self.body)

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the object is another one, or not there."""
        return not self.seen(plane, history)


_NAMED = frozenset({"apiVersion", "kind", "metadata"})
