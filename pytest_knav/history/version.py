"""What a history answers with: versions of an object, and gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One state of one object; `object` is None once it is deleted."""

    revision: int
    monotonic: float
    wall: float
    verb: str
    object: JsonObject | None

    @classmethod
    def of(cls, record: Record, state: JsonObject | None) -> Version:
        """Return the version that a record made."""
        return cls(
            revision=record.revision,
            monotonic=record.monotonic,
            wall=record.wall,
            verb=record.verb,
            object=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """
    A span ``(from_revision, to_revision]`` in which changes may have been missed.

    The states at both ends are recorded; what happened in between is not. The two times
    are those of the last proof of life before it and of the list that ended it.
    """

    resource: str
    from_revision: int
    to_revision: int
    from_monotonic: float
    to_monotonic: float
    reason: str

    @classmethod
    def of(cls, record: Record) -> Gap:
        """Return the gap that a ``knav/Gap`` record states."""
        data = record.data or {}
        return cls(
            resource=record.name,
            from_revision=int(data["from"]),
            to_revision=int(data["to"]),
            from_monotonic=float(data["from_monotonic"]),
            to_monotonic=record.monotonic,
            reason=str(data["reason"]),
        )
