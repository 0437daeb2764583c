"""The history of one cluster: every recorded change, in the order of revisions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from threading import RLock
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput, HarnessError, Inconclusive
from pytest_knav.history.diagnostics import events_about
from pytest_knav.history.merge import merge_apply
from pytest_knav.history.record import ADDED, DELETED, FAULT, GAP, MODIFIED, WATCH
from pytest_knav.history.store import read_history
from pytest_knav.history.version import Gap, Version, follow, materialise, rebased


if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.record import Record

MAX_RECORDS: Final = 500_000
_NEVER_FOLDED: Final = frozenset({FAULT, GAP, WATCH})


class History:
    """
    Every recorded change, sorted by revision across kinds; safe to use from any thread.

    A span is always ``(since, until]``: changes *after* `since`, as in a Kubernetes
    watch. Entries of our own stand at the newest revision known when they were
    written, so those at `since` itself belong to the span as well.

    It holds at most `max_records`. Then the oldest eighth is folded into the states it
    led to: the present is not affected, but questions about revisions before
    `truncated_before` raise `Inconclusive`.
    """

    def __init__(self, *, max_records: int = MAX_RECORDS) -> None:
        if max_records < 8:
            raise BadInput(f"max_records={max_records!r}: give at least 8")
        self.lock = RLock()
        self.cut = ""
        """Why the stored history ends early; empty when it is whole."""
        self._max_records = max_records
        self._fold_above = max_records
        self._records: list[Record] = []
        self._chains: dict[str, list[Record]] = {}
        self._live: dict[str, dict[str, JsonObject]] = {}
        self._uids: dict[tuple[str, str, str], str] = {}
        self._known_since: dict[str, int] = {}
        self._newest = 0
        self._truncated_before = 0

    @classmethod
    def load(cls, directory: Path, *, max_records: int = MAX_RECORDS) -> History:
        """Return a stored history; `cut` says whether its end is missing."""
        history = cls(max_records=max_records)
        stored = read_history(directory)
        for record in stored:
            history.add(record)
        history.cut = stored.truncated
        return history

    def add(self, record: Record, after: JsonObject | None = None) -> None:
        """
        Insert a record where its revision belongs.

        Changes of one object must come in the order in which they happened; those of
        different objects may come in any order. `after` is the object that the record
        led to, where the caller has it already.
        """
        with self.lock:
            self._insert(record)
            self.advance(record.revision)
            if record.own:
                self._note_watch(record)
            else:
                self._apply(record, after)
            if len(self._records) > self._fold_above:
                self._fold()

    def successor(self) -> History:
        """
        Return an empty history that goes on from the newest revision of this one.

        It shares this one's lock, so that who fills both needs no other.
        """
        with self.lock:
            later = History(max_records=self._max_records)
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
        with self.lock:
            found = self._span(since_revision, until)
        return [r for r in found if kind is None or r.kind == kind]

    def latest(self, kind: str) -> dict[str, JsonObject]:
        """Return the objects of a kind that live now, by uid."""
        with self.lock:
            return dict(self._live.get(kind, {}))

    def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """Return the live object of that name, or None."""
        with self.lock:
            uid = self._uids.get((kind, namespace, name))
            return None if uid is None else self._live[kind].get(uid)

    def revision_of(self, uid: str) -> int:
        """Return the revision of an object's last record, DELETED included; else 0."""
        with self.lock:
            chain = self._chains.get(uid)
            return chain[-1].revision if chain else 0

    def state_at(self, revision: int, kind: str) -> dict[str, JsonObject]:
        """
        Return the objects of a kind that lived just after a revision, by uid.

        Raises:
            Inconclusive: The kind was not recorded then, or that part is folded away.

        """
        with self.lock:
            self._require(revision)
            since = self._known_since.get(kind)
            if since is None and kind not in self._live:
                raise Inconclusive(
                    f"{kind} is not in this history; recorded are: "
                    f"{', '.join(sorted(self._known_since)) or 'none'}"
                )
            if since is not None and revision < since:
                raise Inconclusive(
                    f"the state of {kind} at revision {revision} is not known: "
                    f"it is recorded since revision {since}"
                )
            chains = [(u, c) for u, c in self._chains.items() if c[0].kind == kind]
            states = ((uid, materialise(chain, revision)) for uid, chain in chains)
            return {uid: state for uid, state in states if state is not None}

    def versions(self, uid: str) -> list[Version]:
        """Return every recorded state of one object, oldest first."""
        with self.lock:
            chain = list(self._chains.get(uid, ()))
        versions: list[Version] = []
        state: JsonObject | None = None
        for record in chain:
            state = follow(state, record)
            versions.append(Version.of(record, state))
        return versions

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
            found = self._span(since_revision, until)
            if kinds is not None:
                found = [record for record in found if record.kind in kinds]
            uids = {record.uid for record in found if not record.own}
            state = {u: materialise(self._chains[u], since_revision) for u in uids}
        return _replayed(found, state)

    def events_about(self, *names: str, limit: int = 10) -> list[JsonObject]:
        """Return the newest live Events about objects of these names, oldest first."""
        return events_about(self.latest("Event").values(), names, limit)

    def _insert(self, record: Record) -> None:
        if not self._records or self._records[-1].revision <= record.revision:
            self._records.append(record)
        else:
            at = bisect_right(self._records, record.revision, key=_revision)
            self._records.insert(at, record)

    def _apply(self, record: Record, after: JsonObject | None) -> None:
        live = self._live.setdefault(record.kind, {})
        if record.verb == MODIFIED and after is None:
            if record.uid not in live:
                raise HarnessError(f"a change of an object never seen: {record}")
            after = merge_apply(live[record.uid], record.patch or {})
        elif record.verb == ADDED and after is None:
            after = record.data or {}
        self._chains.setdefault(record.uid, []).append(record)
        key = (record.kind, record.namespace, record.name)
        if record.verb == DELETED:
            live.pop(record.uid, None)
            if self._uids.get(key) == record.uid:
                del self._uids[key]
        elif after is not None:
            live[record.uid] = after
            self._uids[key] = record.uid

    def _note_watch(self, record: Record) -> None:
        if record.kind == WATCH and record.verb == "BEGIN":
            self._known_since.setdefault(record.name, record.revision)

    def _span(self, since: int | None, until: int | None) -> list[Record]:
        if since is not None:
            self._require(since)
        low = bisect_left(self._records, since or 0, key=_revision)
        high = len(self._records)
        if until is not None:
            high = bisect_right(self._records, until, key=_revision)
        # Folded states stand at or before the boundary, where they are no changes.
        begin = self._truncated_before if since is None else since
        return [r for r in self._records[low:high] if r.own or r.revision > begin]

    def _require(self, revision: int) -> None:
        if revision < self._truncated_before:
            raise Inconclusive(
                f"revision {revision} is no longer in this history: it begins at "
                f"{self._truncated_before} (max_records={self._max_records})"
            )

    def _fold(self) -> None:
        boundary = self._records[self._max_records // 8].revision
        end = bisect_right(self._records, boundary, key=_revision)
        self._truncated_before = boundary
        # A fault may be in force still, and a gap is never forgotten; both are few.
        base = [r for r in self._records[:end] if r.kind in _NEVER_FOLDED]
        for uid in {r.uid for r in self._records[:end] if not r.own}:
            rest, folded = rebased(self._chains[uid], boundary)
            self._chains[uid] = rest
            if folded is not None:
                base.append(folded)
            if not rest:
                del self._chains[uid]
        base.sort(key=_revision)
        self._records[:end] = base
        # More live objects than records allowed must not mean a fold with every add.
        self._fold_above = max(self._max_records, 2 * len(base))


def _replayed(
    records: list[Record], state: dict[str, JsonObject | None]
) -> Iterator[tuple[Record, JsonObject | None]]:
    for record in records:
        if record.own:
            yield record, None
            continue
        state[record.uid] = follow(state[record.uid], record)
        yield record, state[record.uid]


def _revision(record: Record) -> int:
    return record.revision
