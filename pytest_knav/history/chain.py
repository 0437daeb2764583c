"""The records of one object, and the states that they led to."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from pytest_knav.history.merge import merge_apply
from pytest_knav.history.packed import pack, unpack
from pytest_knav.history.record import ADDED, DELETED, Record


if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.record import Content

# A state is never more than so many patches away from one that is kept whole: a lease
# is renewed thousands of times.
CHECKPOINT_EVERY: Final = 16


class Chain:
    """
    The records of one object, oldest first.

    The present state and every sixteenth are kept whole, as JSON; what lies between is
    worked out when it is asked for. Not safe from several threads: the history locks.
    """

    __slots__ = ("_asked", "_checkpoints", "_now", "records")

    def __init__(self) -> None:
        self.records: list[Record] = []
        # States by the number of the record that led to them, in that order.
        self._checkpoints: list[tuple[int, bytes]] = []
        # The newest state, if whoever recorded it had it.
        self._now: Content | None = None
        # The state that was last asked for as the present one, and its number.
        self._asked: tuple[int, JsonObject] | None = None

    @property
    def last(self) -> Record:
        """Return the newest record."""
        return self.records[-1]

    @property
    def alive(self) -> bool:
        """Whether the object is not deleted."""
        return bool(self.records) and self.last.verb != DELETED

    def append(self, record: Record, after: Content | None) -> int:
        """
        Add a record and the state it led to, if known; return the bytes it takes.

        They are counted as if nothing were shared.
        """
        self.records.append(record)
        self._now = after
        size = record.size
        if isinstance(after, bytes) and record.verb != DELETED and self._is_far():
            self._checkpoints.append((len(self.records) - 1, after))
            size += len(after)
        return size

    def present(self) -> JsonObject | None:
        """Return the newest state; None once the object is deleted."""
        if not self.alive:
            self._asked = None
            return None
        newest = len(self.records) - 1
        state: JsonObject | None
        if self._asked is None or self._asked[0] + CHECKPOINT_EVERY < newest:
            now = self._now
            if now is None:
                state = self.state(newest)
            else:
                state = unpack(now) if isinstance(now, bytes) else now
        else:
            # What did not change is shared with what was asked for before.
            number, state = self._asked
            for record in self.records[number + 1 :]:
                state = follow(state, record)
        if state is not None:
            self._asked = newest, state
        return state

    def content(self) -> Content | None:
        """Return the newest state as it is at hand; None once it is deleted."""
        if self._now is not None and self.alive:
            return self._now
        return self.present()

    def at(self, revision: int) -> JsonObject | None:
        """Return the state that the object had just after a revision."""
        number = bisect_right(self.records, revision, key=_revision) - 1
        return None if number < 0 else self.state(number)

    def state(self, number: int) -> JsonObject | None:
        """Return the state that a record of this number led to."""
        begin = bisect_right(self._checkpoints, number, key=_number) - 1
        state: JsonObject | None = None
        first = 0
        if begin >= 0:
            known, content = self._checkpoints[begin]
            state, first = unpack(content), known + 1
        for index in range(first, number + 1):
            state = follow(state, self.records[index])
            self._keep(index, state)
        return state

    def states(self) -> Iterator[JsonObject | None]:
        """Yield the state that each record led to, oldest first."""
        state: JsonObject | None = None
        for record in list(self.records):
            state = follow(state, record)
            yield state

    def folded(self, boundary: int) -> Record | None:
        """
        Fold the records up to a revision into one, and return that.

        It is None where the object did not live at the boundary.
        """
        end = bisect_right(self.records, boundary, key=_revision)
        state = self.at(boundary)
        rest = self.records[end:]
        moved = end
        record = None
        if state is not None:
            last = self.records[end - 1]
            record = Record(
                revision=last.revision,
                monotonic=last.monotonic,
                wall=last.wall,
                verb=ADDED,
                kind=last.kind,
                namespace=last.namespace,
                name=last.name,
                uid=last.uid,
                data=pack(state),
            )
            rest.insert(0, record)
            moved = end - 1
        self.records = rest
        self._asked = None
        self._checkpoints = [
            (number - moved, content)
            for number, content in self._checkpoints
            if number > moved
        ]
        return record

    def size(self) -> int:
        """Return about how many bytes the records and kept states take."""
        kept = sum(len(content) for _, content in self._checkpoints)
        return kept + sum(record.size for record in self.records)

    def _is_far(self) -> bool:
        """Return whether the newest record is far from a state that is whole."""
        last = self._checkpoints[-1][0] if self._checkpoints else 0
        return len(self.records) - 1 - last >= CHECKPOINT_EVERY

    def _keep(self, number: int, state: JsonObject | None) -> None:
        """Keep a state that was worked out, if none near it is kept."""
        last = self._checkpoints[-1][0] if self._checkpoints else 0
        if state is not None and number - last >= CHECKPOINT_EVERY:
            self._checkpoints.append((number, pack(state)))


def follow(state: JsonObject | None, record: Record) -> JsonObject | None:
    """Return the object after a record, given the object before it."""
    if record.verb == DELETED:
        return None
    if record.verb == ADDED:
        return record.data or {}
    return merge_apply(state or {}, record.patch or {})


def _revision(record: Record) -> int:
    return record.revision


def _number(checkpoint: tuple[int, bytes]) -> int:
    return checkpoint[0]
