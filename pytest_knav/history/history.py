"""The history of one cluster: every recorded change, in the order of revisions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from threading import RLock
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput, Inconclusive
from pytest_knav.history.chain import follow
from pytest_knav.history.diagnostics import events_about
from pytest_knav.history.objects import Objects
from pytest_knav.history.record import (
    COLLECTIVE,
    FAULT,
    GAP,
    OWN_PREFIX,
    WATCH,
)
from pytest_knav.history.store import read_history
from pytest_knav.history.version import Gap, Version


if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.record import Content, Record

MAX_RECORDS: Final = 500_000
MAX_BYTES: Final = 512 * 2**20
_NEVER_FOLDED: Final = frozenset({COLLECTIVE, FAULT, GAP, WATCH})


class History:
    """
    Every recorded change, sorted by revision across kinds; safe to use from any thread.

    A span is always ``(since, until]``: changes *after* `since`, as in a Kubernetes
    watch. Entries of our own stand at the newest revision known when they were
    written, so those at `since` itself belong to the span as well.

    It holds at most `max_records` and about `max_bytes` of them. Then the oldest eighth
    is folded into the states it led to: the present is not affected, but questions
    about revisions before `truncated_before` raise `Inconclusive`.
    """

    def __init__(
        self, *, max_records: int = MAX_RECORDS, max_bytes: int = MAX_BYTES
    ) -> None:
        if max_records < 8:
            raise BadInput(f"max_records={max_records!r}: give at least 8")
        if max_bytes < 1:
            raise BadInput(f"max_bytes={max_bytes!r}: give at least 1")
        self.lock = RLock()
        self.cut = ""
        """Why the stored history ends early; empty when it is whole."""
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._fold_above = max_records
        self._fold_above_bytes = max_bytes
        self._bytes = 0
        self._records: list[Record] = []
        # The same, our own alone: they are few and asked for all the time.
        self._own: dict[str, list[Record]] = {}
        self._objects = Objects()
        self._known_since: dict[str, int] = {}
        self._counts: Counter[str] = Counter()
        self._newest = 0
        self._truncated_before = 0

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        max_records: int = MAX_RECORDS,
        max_bytes: int = MAX_BYTES,
    ) -> History:
        """Return a stored history; `cut` says whether its end is missing."""
        history = cls(max_records=max_records, max_bytes=max_bytes)
        stored = read_history(directory)
        for record in stored:
            history.add(record)
        history.cut = stored.truncated
        return history

    def add(self, record: Record, after: Content | None = None) -> None:
        """
        Insert a record where its revision belongs.

        Changes of one object must come in the order in which they happened; those of
        different objects may come in any order. `after` is the object that the record
        led to, where the caller has it already.
        """
        with self.lock:
            self._insert(record)
            self._counts[record.kind] += 1
            self.advance(record.revision)
            if record.own:
                self._bytes += record.size
                self._note_watch(record)
            else:
                self._bytes += self._objects.add(record, after)
            many = len(self._records) > self._fold_above
            if many or self._bytes > self._fold_above_bytes:
                self._fold()

    def successor(self) -> History:
        """
        Return an empty history that goes on from the newest revision of this one.

        It shares this one's lock, so that who fills both needs no other.
        """
        with self.lock:
            later = History(max_records=self._max_records, max_bytes=self._max_bytes)
            later.lock = self.lock
            later.advance(self._newest)
            return later

    def advance(self, revision: int) -> None:
        """Note that the cluster has reached a revision, though nothing was recorded."""
        with self.lock:
            self._newest = max(self._newest, revision)

    @property
    def newest_revision(self) -> int:
        """The newest revision known, whether or not it changed something recorded."""
        return self._newest

    @property
    def truncated_before(self) -> int:
        """Questions about revisions before this one cannot be answered; 0: all can."""
        return self._truncated_before

    @property
    def known_since(self) -> dict[str, int]:
        """For each recorded kind the revision from which on every object is known."""
        with self.lock:
            return dict(self._known_since)

    def records(
        self,
        kind: str | None = None,
        *,
        since_revision: int | None = None,
        until: int | None = None,
    ) -> list[Record]:
        """
        Return the records of a span in order; without `since_revision`, all held.

        Raises:
            Inconclusive: `since_revision` lies before `truncated_before`.

        """
        own = kind is not None and kind.startswith(OWN_PREFIX)
        with self.lock:
            held = self._own.get(kind or "", []) if own else self._records
            found = self._span(since_revision, until, held)
        return [r for r in found if kind is None or r.kind == kind]

    def count(self, kind: str) -> int:
        """Return how many records of a kind there ever were: the same, nothing new."""
        with self.lock:
            return self._counts[kind]

    def latest(self, kind: str) -> dict[str, JsonObject]:
        """Return the objects of a kind that live now, by uid."""
        with self.lock:
            return self._objects.latest(kind)

    def live(self, kind: str) -> list[tuple[Record, Content]]:
        """Return the last record of each live object of a kind, and what it is now."""
        with self.lock:
            return self._objects.live(kind)

    def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """Return the live object of that name, or None."""
        with self.lock:
            return self._objects.get(kind, namespace, name)

    def revision_of(self, uid: str) -> int:
        """Return the revision of an object's last record, DELETED included; else 0."""
        last = self.last_of(uid)
        return 0 if last is None else last.revision

    def last_of(self, uid: str) -> Record | None:
        """Return an object's last record, DELETED included; None if there is none."""
        with self.lock:
            chain = self._objects.chain(uid)
            return None if chain is None else chain.last

    def state_at(self, revision: int, kind: str) -> dict[str, JsonObject]:
        """
        Return the objects of a kind that lived just after a revision, by uid.

        Raises:
            Inconclusive: The kind was not recorded then, or that part is folded away.

        """
        with self.lock:
            self._require(revision)
            since = self._known_since.get(kind)
            if since is None and kind not in self._objects:
                raise Inconclusive(
                    f"{kind} is not in this history; recorded are: "
                    f"{', '.join(sorted(self._known_since)) or 'none'}"
                )
            if since is not None and revision < since:
                raise Inconclusive(
                    f"the state of {kind} at revision {revision} is not known: "
                    f"it is recorded since revision {since}"
                )
            return self._objects.at(kind, revision)

    def versions(self, uid: str) -> list[Version]:
        """Return every recorded state of one object, oldest first."""
        with self.lock:
            chain = self._objects.chain(uid)
            if chain is None:
                return []
            return [
                Version.of(record, state)
                for record, state in zip(chain.records, chain.states(), strict=True)
            ]

    def gaps(
        self, since_revision: int | None = None, *, kinds: Collection[str] | None = None
    ) -> list[Gap]:
        """
        Return the spans in which changes may have been missed, as far as they reach
        beyond `since_revision`; none means that every change is recorded.
        """
        records = self.records(GAP, since_revision=since_revision)
        gaps = [Gap.of(record) for record in records if record.verb == "GAP"]
        since = since_revision or 0
        return [
            gap
            for gap in gaps
            if gap.to_revision > since and (kinds is None or gap.resource in kinds)
        ]

    def monotonic_of(self, revision: int) -> float:
        """
        Return when a revision was first seen, by it or by a later one.

        Raises:
            Inconclusive: Nothing so new is recorded, or that part is folded away.

        """
        with self.lock:
            self._require(revision)
            at = bisect_left(self._records, revision, key=_revision)
            found = self._records[at : at + 1]
        if not found:
            raise Inconclusive(
                f"revision {revision} has not been seen; the newest record is at "
                f"{self._records[-1].revision if self._records else 'none'}"
            )
        return found[0].monotonic

    def replay(
        self,
        since_revision: int,
        kinds: Collection[str] | None = None,
        *,
        until: int | None = None,
    ) -> Iterator[tuple[Record, JsonObject | None]]:
        """
        Yield each record of a span with the object it led to.

        The object is None after DELETED and for our own entries. The span is fixed
        when this is called; what is recorded afterwards is not part of it.
        """
        with self.lock:
            found = self._span(since_revision, until, self._records)
            if kinds is not None:
                found = [record for record in found if record.kind in kinds]
            uids = {record.uid for record in found if not record.own}
            chains = {uid: self._objects.chain(uid) for uid in uids}
            state = {
                uid: None if chain is None else chain.at(since_revision)
                for uid, chain in chains.items()
            }
        return _replayed(found, state)

    def events_about(self, *names: str, limit: int = 10) -> list[JsonObject]:
        """Return the newest live Events about objects of these names, oldest first."""
        return events_about(self.latest("Event").values(), names, limit)

    def _insert(self, record: Record) -> None:
        _insert(self._records, record)
        if record.own:
            _insert(self._own.setdefault(record.kind, []), record)

    def _note_watch(self, record: Record) -> None:
        if record.kind == WATCH and record.verb == "BEGIN":
            self._known_since.setdefault(record.name, record.revision)

    def _span(
        self, since: int | None, until: int | None, held: list[Record]
    ) -> list[Record]:
        if since is not None:
            self._require(since)
        low = bisect_left(held, since or 0, key=_revision)
        high = len(held)
        if until is not None:
            high = bisect_right(held, until, key=_revision)
        # Folded states stand at or before the boundary, where they are no changes.
        begin = self._truncated_before if since is None else since
        return [r for r in held[low:high] if r.revision > begin or r.own]

    def _require(self, revision: int) -> None:
        if revision < self._truncated_before:
            raise Inconclusive(
                f"revision {revision} is no longer in this history: it begins at "
                f"{self._truncated_before} (max_records={self._max_records})"
            )

    def _fold(self) -> None:
        boundary = self._records[len(self._records) // 8].revision
        end = bisect_right(self._records, boundary, key=_revision)
        self._truncated_before = boundary
        # A fault may be in force still, and a gap is never forgotten; both are few.
        base = [r for r in self._records[:end] if r.kind in _NEVER_FOLDED]
        uids = {r.uid for r in self._records[:end] if not r.own}
        base += self._objects.fold(uids, boundary)
        base.sort(key=_revision)
        self._records[:end] = base
        self._own = {}
        for record in self._records:
            if record.own:
                self._own.setdefault(record.kind, []).append(record)
        own = sum(r.size for entries in self._own.values() for r in entries)
        self._bytes = own + self._objects.size()
        # More live objects than allowed must not mean a fold with every add.
        self._fold_above = max(self._max_records, 2 * len(base))
        standing = sum(record.size for record in base)
        self._fold_above_bytes = max(self._max_bytes, 2 * standing)


def _insert(held: list[Record], record: Record) -> None:
    if not held or held[-1].revision <= record.revision:
        held.append(record)
    else:
        held.insert(bisect_right(held, record.revision, key=_revision), record)


def _replayed(
    records: list[Record], state: dict[str, JsonObject | None]
) -> Iterator[tuple[Record, JsonObject | None]]:
    for record in records:
        uid = record.uid
        # An object has a uid; an entry of ours may be called like one.
        if uid not in state or record.own:
            yield record, None
            continue
        after = state[uid] = follow(state[uid], record)
        yield record, after


def _revision(record: Record) -> int:
    return record.revision
