"""
Filling a broken watch from what etcd still has.

An apiserver that was killed comes back with an empty watch cache and answers 410 to a
watch that wants to resume. etcd, however, keeps every revision until it is compacted,
five minutes by default. So what was in between can still be listed, with
``resourceVersionMatch=Exact``. Which object changed at which revision, etcd's own watch
says. Without etcd's address every revision is looked at, as long as they are few.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_knav.history.connection import ApiError
from pytest_knav.history.listing import Listing, list_all
from pytest_knav.history.revisions import Unfillable


if TYPE_CHECKING:
    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.resources import Resource
    from pytest_knav.history.revisions import Revisions
    from pytest_knav.history.transport import Transport

FILL_TIMEOUT_S: Final = 10.0
CHANGES_MAX: Final = 1_000
STATES_MAX: Final = 64
OBJECTS_MAX: Final = 60_000


@dataclass(frozen=True, slots=True)
class Found:
    """One object as a revision left it; `raw` is None if that was its end."""

    revision: int
    namespace: str
    name: str
    raw: JsonObject | None


@dataclass(frozen=True, slots=True)
class Filling:
    """Everything that happened in a span, oldest first: objects, or whole states."""

    steps: list[Found | Listing]
    evidence: str


def fill(
    transport: Transport,
    resource: Resource,
    *,
    since: int,
    now: Listing,
    revisions: Revisions | None,
) -> Filling:
    """
    Return everything that happened to a resource in ``(since, now.revision]``.

    Raises:
        Unfillable: Not everything can be had.
        ConnectionLost: The apiserver is gone again.

    """
    if now.revision == since:
        return Filling([], "no revision passed")
    deadline = time.monotonic() + FILL_TIMEOUT_S
    if revisions is not None and resource.etcd_prefix:
        changed = revisions.changed(since, now.revision)
        return _one_by_one(transport, resource, changed, deadline)
    return _state_by_state(transport, resource, since, now, deadline)


def _one_by_one(
    transport: Transport,
    resource: Resource,
    changed: list[tuple[str, int]],
    deadline: float,
) -> Filling:
    """Ask for each object that etcd says was changed, at the revision of its change."""
    prefix = resource.etcd_prefix
    wanted = [(key[len(prefix) :], at) for key, at in changed if key.startswith(prefix)]
    if len(wanted) > CHANGES_MAX:
        raise Unfillable(f"{len(wanted)} changes to look at, more than {CHANGES_MAX}")
    found: list[Found | Listing] = []
    for rest, revision in wanted:
        namespace, _, name = rest.rpartition("/")
        one = resource.one(namespace, name)
        objects = _at(transport, one, revision, deadline)
        named = (raw for raw in objects if raw["metadata"]["name"] == name)
        found.append(Found(revision, namespace, name, next(named, None)))
    return Filling(found, f"etcd's watch: {len(wanted)} changes")


def _state_by_state(
    transport: Transport, resource: Resource, since: int, now: Listing, deadline: float
) -> Filling:
    """Ask for the whole list at every revision."""
    count = now.revision - since
    if count > STATES_MAX or count * len(now.objects) > OBJECTS_MAX:
        raise Unfillable(f"{count} lists of {len(now.objects)} objects to look at")
    states: list[Found | Listing] = [
        Listing(revision, _at(transport, resource, revision, deadline))
        for revision in range(since + 1, now.revision + 1)
    ]
    return Filling(states, f"a look at each of {count} revisions")


def _at(
    transport: Transport, resource: Resource, revision: int, deadline: float
) -> list[JsonObject]:
    if time.monotonic() > deadline:
        raise Unfillable(f"to look at everything takes longer than {FILL_TIMEOUT_S} s")
    try:
        return list_all(transport, resource, at_revision=revision).objects
    except ApiError as error:
        raise Unfillable(f"revision {revision} cannot be listed: {error}") from error
