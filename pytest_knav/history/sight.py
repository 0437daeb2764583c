"""What a watcher knows of its resource, and what it learns from the apiserver."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from pytest_knav.history.fill import Found
from pytest_knav.history.listing import revision_of, uid_of
from pytest_knav.history.merge import merge_apply, merge_diff, normalise
from pytest_knav.history.record import ADDED, DELETED, MODIFIED, Record


if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_knav.history.listing import Listing
    from pytest_knav.history.merge import JsonObject


class Change(NamedTuple):
    """A record and the object it led to."""

    record: Record
    after: JsonObject | None = None


class Sight:
    """The objects of one kind as last seen; turns what is seen next into changes."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._known: dict[str, JsonObject] = {}

    def follow(self, step: Found | Listing) -> list[Change]:
        """Return what a step of a filling says that is new."""
        if not isinstance(step, Found):
            return self.difference(step)
        if step.raw is not None:
            return self.changes(step.raw)
        ended = [uid for uid, known in self._known.items() if _is(known, step)]
        return [
            Change(self._record(DELETED, self._known.pop(uid), step.revision))
            for uid in ended
        ]

    def difference(self, listing: Listing) -> list[Change]:
        """Return what leads from the known objects to the listed ones."""
        changes: list[Change] = []
        for raw in sorted(listing.objects, key=revision_of):
            changes += self.changes(raw)
        vanished = self._known.keys() - {uid_of(raw) for raw in listing.objects}
        for uid in sorted(vanished):
            last = self._known.pop(uid)
            changes.append(Change(self._record(DELETED, last, listing.revision)))
        return changes

    def changes(
        self, raw: JsonObject, *, deleted: bool = False, nulls: bool = True
    ) -> list[Change]:
        """
        Return what an object, as the apiserver sent it, says that is new.

        Args:
            raw: The object.
            deleted: Whether this is its end.
            nulls: Whether it may hold members that are null.

        """
        new = normalise(raw, nulls=nulls)
        uid, revision = uid_of(new), revision_of(new)
        old = self._known.get(uid)
        if deleted:
            self._known.pop(uid, None)
            return [] if old is None else [Change(self._record(DELETED, old, revision))]
        if old is None:
            self._known[uid] = new
            return [Change(self._record(ADDED, new, revision, data=new), new)]
        patch = merge_diff(old, new)
        if not patch:
            return []
        after = merge_apply(old, patch)
        self._known[uid] = after
        return [Change(self._record(MODIFIED, after, revision, patch=patch), after)]

    def again(self, live: Iterable[JsonObject]) -> list[Change]:
        """Return objects as if each were seen for the first time, oldest first."""
        return [
            Change(self._record(ADDED, known, revision_of(known), data=known), known)
            for known in sorted(live, key=revision_of)
        ]

    def _record(
        self, verb: str, about: JsonObject, revision: int, **content: JsonObject
    ) -> Record:
        metadata = about["metadata"]
        return Record(
            revision=revision,
            monotonic=time.monotonic(),
            wall=time.time(),
            verb=verb,
            kind=self._kind,
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            uid=metadata["uid"],
            data=content.get("data"),
            patch=content.get("patch"),
        )


def _is(known: JsonObject, step: Found) -> bool:
    metadata = known["metadata"]
    # A list of one namespace leaves that namespace unsaid.
    namespaces = {"", metadata.get("namespace", "")}
    return metadata["name"] == step.name and step.namespace in namespaces


def own_record(
    kind: str, name: str, verb: str, revision: int, data: JsonObject | None
) -> Record:
    """Return an entry of our own, made now."""
    return Record(
        revision=revision,
        monotonic=time.monotonic(),
        wall=time.time(),
        verb=verb,
        kind=kind,
        namespace="",
        name=name,
        uid="",
        data=data,
    )
