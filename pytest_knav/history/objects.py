"""The recorded objects of all kinds: what each is, was, and in which records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.errors import HarnessError
from pytest_knav.history.chain import Chain
from pytest_knav.history.record import DELETED, MODIFIED


if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.record import Content, Record


class Objects:
    """Every object of a history by kind and uid; the history locks."""

    def __init__(self) -> None:
        self._chains: dict[str, dict[str, Chain]] = {}
        self._kinds: dict[str, str] = {}
        self._uids: dict[tuple[str, str, str], str] = {}
        # Live objects as they were last asked for, and those that changed since.
        self._live: dict[str, dict[str, JsonObject]] = {}
        self._changed: dict[str, dict[str, Chain]] = {}

    def __contains__(self, kind: str) -> bool:
        return kind in self._chains

    def add(self, record: Record, after: Content | None) -> int:
        """
        Take a change and what it led to, if known; return the bytes it takes.

        Raises:
            HarnessError: It is a change of an object never seen.

        """
        kind, uid = record.kind, record.uid
        chains = self._chains.setdefault(kind, {})
        chain = chains.get(uid)
        if record.verb == MODIFIED and (chain is None or not chain.alive):
            raise HarnessError(f"a change of an object never seen: {record}")
        if chain is None:
            chain = chains[uid] = Chain()
            self._kinds[uid] = kind
        size = chain.append(record, after)
        changed = self._changed.setdefault(kind, {})
        key = (kind, record.namespace, record.name)
        if record.verb == DELETED:
            changed.pop(uid, None)
            self._live.get(kind, {}).pop(uid, None)
            if self._uids.get(key) == uid:
                del self._uids[key]
        else:
            changed[uid] = chain
            self._uids[key] = uid
        return size

    def latest(self, kind: str) -> dict[str, JsonObject]:
        """Return the live objects of a kind by uid; only what changed is decoded."""
        live = self._live.setdefault(kind, {})
        changed = self._changed.get(kind, {})
        for uid, chain in changed.items():
            state = chain.present()
            if state is not None:
                live[uid] = state
        changed.clear()
        return dict(live)

    def live(self, kind: str) -> list[tuple[Record, Content]]:
        """Return the last record of each live object of a kind, and what it is now."""
        chains = self._chains.get(kind, {}).values()
        found = ((chain.last, chain.content()) for chain in chains if chain.alive)
        return [(last, state) for last, state in found if state is not None]

    def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """Return the live object of that name, or None."""
        uid = self._uids.get((kind, namespace, name))
        return None if uid is None else self._chains[kind][uid].present()

    def chain(self, uid: str) -> Chain | None:
        """Return everything about one object, or None."""
        kind = self._kinds.get(uid)
        return None if kind is None else self._chains[kind].get(uid)

    def at(self, kind: str, revision: int) -> dict[str, JsonObject]:
        """Return the objects of a kind that lived just after a revision, by uid."""
        chains = self._chains.get(kind, {}).items()
        states = ((uid, chain.at(revision)) for uid, chain in chains)
        return {uid: state for uid, state in states if state is not None}

    def fold(self, uids: Iterable[str], boundary: int) -> list[Record]:
        """Fold what some objects were up to a revision; return the records of that."""
        base: list[Record] = []
        for uid in uids:
            kind = self._kinds[uid]
            chain = self._chains[kind][uid]
            folded = chain.folded(boundary)
            if folded is not None:
                base.append(folded)
            if not chain.records:
                del self._chains[kind][uid], self._kinds[uid]
        return base

    def size(self) -> int:
        """Return about how many bytes all of it takes."""
        return sum(
            chain.size()
            for chains in self._chains.values()
            for chain in chains.values()
        )
