"""What a history answers with: versions of an object, and gaps."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_knav.history.merge import merge_apply
from pytest_knav.history.record import ADDED, DELETED


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


def follow(state: JsonObject | None, record: Record) -> JsonObject | None:
    """Return the object after a record, given the object before it."""
    if record.verb == DELETED:
        return None
    if record.verb == ADDED:
        return record.data or {}
    return merge_apply(state or {}, record.patch or {})


def materialise(chain: list[Record], revision: int) -> JsonObject | None:
    """Return the state that the records of one object led to at a revision."""
    state: JsonObject | None = None
    for record in chain[: bisect_right(chain, revision, key=_revision)]:
        state = follow(state, record)
    return state


def rebased(chain: list[Record], boundary: int) -> tuple[list[Record], Record | None]:
    """
    Fold the records up to a revision into one; return the new chain and that record.

    The record is None where the object did not live at the boundary.
    """
    end = bisect_right(chain, boundary, key=_revision)
    state = materialise(chain, boundary)
    if state is None:
        return chain[end:], None
    folded = replace(chain[end - 1], verb=ADDED, data=state, patch=None)
    return [folded, *chain[end:]], folded


def _revision(record: Record) -> int:
    return record.revision
