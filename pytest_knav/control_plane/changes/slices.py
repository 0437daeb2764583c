"""Changes of the device slices of nodes, as a DRA driver makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_knav.control_plane.api import ApiRefusedError
from pytest_knav.control_plane.changes.base import Change, Lasting, known
from pytest_knav.control_plane.changes.objects import OfObject, fresh, node


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw(OfObject):
    """
    A ResourceSlice goes with the node that owns it.

    Attributes:
        node: The node.

    """

    op: ClassVar[str] = "withdraw"

    node: str

    @property
    def lane(self) -> str:
        """Return the node: its slice comes back after it."""
        return str(node(self.node))

    def describe(self) -> str:
        """Return the slice."""
        return f"{self.ref} is gone"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make it."""
        plane.api.delete(self.ref.path)
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return that the node's driver offers the devices again."""
        found = plane.api.get_or_none(self.ref.path)
        if found is None:
            return []
        return [
            Advertise(
                ref=self.ref, node=self.node, body=fresh(found), signal=self.signal
            )
        ]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it is gone."""
        return self.ref.now(plane, history) is None

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether there is one again that belongs to the node that is there."""
        found, owner = self.ref.now(plane, history), node(self.node)
        machine = owner.now(plane, history)
        if found is None or machine is None:
            return False
        return bool(found["metadata"]["ownerReferences"] == _owned(found, machine))


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Advertise(OfObject, Lasting):
    """A node's driver makes a ResourceSlice that belongs to the node that is there."""

    op: ClassVar[str] = "advertise"

    node: str
    body: Mapping[str, Any]

    @property
    def lane(self) -> str:
        """Return the node."""
        return str(node(self.node))

    def describe(self) -> str:
        """Return the slice."""
        return f"{self.ref} belongs to {self.node}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make it; one of the node that was there before is made anew."""
        machine = plane.api.get_or_none(node(self.node).path)
        if machine is None:
            return None
        owners = _owned(self.body, machine)
        found = plane.api.get_or_none(self.ref.path)
        if found is not None:
            if found["metadata"].get("ownerReferences") == owners:
                return None
            # The garbage collector is about to do the same.
            plane.api.delete(self.ref.path)
        metadata = {**self.body["metadata"], "ownerReferences": owners}
        try:
            made = plane.api.create(
                self.ref.collection, {**self.body, "metadata": metadata}
            )
        except ApiRefusedError as error:
            if error.status == 409:
                return None
            raise
        return int(made["metadata"]["resourceVersion"])

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it is there."""
        return self.ref.now(plane, history) is not None


def _owned(
    found: Mapping[str, Any], machine: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the owners of a slice, with the uid of the node that is there."""
    uid = machine["metadata"]["uid"]
    return [
        {**owner, "uid": uid} if owner["kind"] == "Node" else dict(owner)
        for owner in found["metadata"].get("ownerReferences", ())
    ]
