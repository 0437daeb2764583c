"""Single changes of a cluster as data, so that a journal can keep and replay them."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from pytest_knav.control_plane.api import ApiRefusedError
from pytest_knav.errors import HarnessError


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.api import Api

Operation = Literal["merge-patch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    One change of one object.

    Attributes:
        op: `merge-patch`: a JSON merge patch (RFC 7386).
        path: The object's path in the API.
        body: The patch; a null removes a field.

    """

    op: Operation
    path: str
    body: Mapping[str, Any]

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Change:
        """
        Return what `as_data` made.

        Raises:
            HarnessError: The operation is unknown.

        """
        if data.get("op") != "merge-patch":
            raise HarnessError(f"the journal holds an unknown operation: {dict(data)}")
        return cls(op="merge-patch", path=data["path"], body=data["body"])


def apply(api: Api, changes: Sequence[Change]) -> list[int]:
    """Make changes, several at a time; return the revision of each."""
    answers = api.each(
        functools.partial(api.patch, change.path, change.body) for change in changes
    )
    return [int(answer["metadata"]["resourceVersion"]) for answer in answers]


def undo(api: Api, changes: Sequence[Change]) -> None:
    """Take changes back; an object that is gone needs no undoing."""

    def one(change: Change) -> dict[str, Any]:
        try:
            return api.patch(change.path, change.body)
        except ApiRefusedError as error:
            if error.status == 404:
                return {}
            raise

    api.each(functools.partial(one, change) for change in reversed(changes))


def label_node(node: str, key: str, value: str | None) -> Change:
    """Return the change that sets a node's label, or removes it with None."""
    return Change(
        op="merge-patch",
        path=f"/api/v1/nodes/{node}",
        body={"metadata": {"labels": {key: value}}},
    )
