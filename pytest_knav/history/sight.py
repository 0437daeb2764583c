"""What a watcher knows of its resource, and what it learns from the apiserver."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Self

from pytest_knav.history.fill import Found
from pytest_knav.history.listing import revision_of, uid_of
from pytest_knav.history.packed import Packed, packed_diff
from pytest_knav.history.record import ADDED, DELETED, MODIFIED, Record


if TYPE_CHECKING:
    from pytest_knav.history.listing import Listing
    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.record import Content


class Change(NamedTuple):
    """A record and the object it led to."""

    record: Record
    after: Content | None = None


class Moment(NamedTuple):
    """When something was seen, on the monotonic clock and since the epoch."""

    monotonic: float
    wall: float

    @classmethod
    def now(cls) -> Self:
        """Return this moment."""
        return cls(time.monotonic(), time.time())


class Sight:
    """The objects of one kind as last seen; turns what is seen next into changes."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._known: dict[str, bytes] = {}
        # Which of them has a name: a store that is written to directly can put another
        # one in its place without a word of its end.
        self._uids: dict[tuple[str, str], str] = {}

    def follow(self, step: Found | Listing) -> list[Change]:
        """Return what a step of a filling says that is new."""
        if not isinstance(step, Found):
            return self.difference(step)
        now = Moment.now()
        if step.raw is not None:
            return self.seen(Packed.of(step.raw), now)
        ended = [
            known
            for known in map(Packed.named, self._known.values())
            if _is(known, step)
        ]
        return [self._ended(known, step.revision, now) for known in ended]

    def difference(self, listing: Listing) -> list[Change]:
        """Return what leads from the known objects to the listed ones."""
        now = Moment.now()
        changes: list[Change] = []
        for raw in sorted(listing.objects, key=revision_of):
            changes += self.seen(Packed.of(raw), now)
        vanished = self._known.keys() - {uid_of(raw) for raw in listing.objects}
        for uid in sorted(vanished):
            last = Packed.named(self._known[uid])
            changes.append(self._ended(last, listing.revision, now))
        return changes

    def seen(self, new: Packed, now: Moment, *, deleted: bool = False) -> list[Change]:
        """
        Return what an object says that is new.

        Args:
            new: The object.
            now: When it was seen.
            deleted: Whether this is its end.

        """
        old = self._known.get(new.uid)
        if deleted:
            return [] if old is None else [self._ended(new, new.revision, now)]
        self._known[new.uid] = new.content
        if old is None:
            ended = self._replaced_by(new, now)
            return [*ended, self._change(ADDED, new, now, data=new.content)]
        patch = packed_diff(old, new.content)
        return [] if patch is None else [self._change(MODIFIED, new, now, patch=patch)]

    def _replaced_by(self, new: Packed, now: Moment) -> list[Change]:
        name = (new.namespace, new.name)
        before, self._uids[name] = self._uids.get(name), new.uid
        if before is None or before not in self._known:
            return []
        return [self._ended(Packed.named(self._known[before]), new.revision, now)]

    def _ended(self, last: Packed, revision: int, now: Moment) -> Change:
        del self._known[last.uid]
        name = (last.namespace, last.name)
        if self._uids.get(name) == last.uid:
            del self._uids[name]
        return Change(_record(self._kind, DELETED, last, revision, now))

    def _change(
        self, verb: str, new: Packed, now: Moment, **content: bytes | None
    ) -> Change:
        record = _record(self._kind, verb, new, new.revision, now, **content)
        return Change(record, new.content)


def _record(  # noqa: PLR0913 - what a record is made of
    kind: str,
    verb: str,
    about: Packed,
    revision: int,
    now: Moment,
    *,
    data: bytes | None = None,
    patch: bytes | None = None,
) -> Record:
    return Record(
        revision=revision,
        monotonic=now.monotonic,
        wall=now.wall,
        verb=verb,
        kind=kind,
        namespace=about.namespace,
        name=about.name,
        uid=about.uid,
        data=data,
        patch=patch,
    )


def standing(last: Record, content: Content, now: Moment) -> Change:
    """Return a live object as if it were seen for the first time."""
    record = Record(
        revision=last.revision,
        monotonic=now.monotonic,
        wall=now.wall,
        verb=ADDED,
        kind=last.kind,
        namespace=last.namespace,
        name=last.name,
        uid=last.uid,
        data=content,
    )
    return Change(record, content)


def _is(known: Packed, step: Found) -> bool:
    # A list of one namespace leaves that namespace unsaid.
    return known.name == step.name and step.namespace in {"", known.namespace}


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
