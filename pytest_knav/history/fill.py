"""
Filling a broken watch from what etcd still has.

An apiserver that was killed comes back with an empty watch cache and answers 410 to a
watch that wants to resume. etcd, however, keeps every revision until it is compacted,
five minutes by default. So what was in between can still be listed, with
``resourceVersionMatch=Exact``. Which object changed at which revision, etcd's own watch
says. Without etcd's address every revision is looked at, as long as they are few.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol

from pytest_knav.errors import HarnessError
from pytest_knav.history.connection import ApiError, ConnectionLost
from pytest_knav.history.listing import Listing, list_all


if TYPE_CHECKING:
    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.resources import Resource
    from pytest_knav.history.transport import HttpTransport, Transport

FILL_TIMEOUT_S: Final = 10.0
CHANGES_MAX: Final = 1_000
STATES_MAX: Final = 64
OBJECTS_MAX: Final = 60_000
EVENTS_MAX: Final = 50_000
_EVERY_KEY: Final = base64.b64encode(b"\0").decode()


class Unfillable(HarnessError):
    """The changes in between cannot all be known; the message says why."""


class Revisions(Protocol):
    """Says which revisions changed what."""

    def changed(self, since: int, until: int) -> list[tuple[str, int]]:
        """Return every key changed in ``(since, until]`` and when, in order."""


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


class EtcdRevisions:
    """Asks etcd itself, through the JSON gateway on its client port."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport

    def changed(self, since: int, until: int) -> list[tuple[str, int]]:
        """
        Return every key changed in ``(since, until]`` with its revision, in order.

        All keys are watched, not some: every revision changes some key, so an event at
        `until` or later proves that nothing before it is still to come.

        Raises:
            Unfillable: They are compacted, or too many, or etcd does not answer.

        """
        if until <= since:
            return []
        request = {
            "create_request": {
                "key": _EVERY_KEY,
                "range_end": _EVERY_KEY,
                "start_revision": str(since + 1),
            }
        }
        found: list[tuple[str, int]] = []
        try:
            with self._transport.stream("/v3/watch", body=request) as answers:
                for line in chain.from_iterable(answers):
                    result = json.loads(line)["result"]
                    if result.get("canceled"):
                        raise Unfillable(f"etcd refused: {line!r:.300}")
                    found += [_key_and_revision(e) for e in result.get("events", ())]
                    if found and found[-1][1] >= until:
                        return [change for change in found if change[1] <= until]
                    if len(found) > EVENTS_MAX:
                        raise Unfillable(f"more than {EVENTS_MAX} changes in etcd")
        except (ApiError, ConnectionLost, ValueError, KeyError) as error:
            raise Unfillable(f"etcd could not be asked: {error!r}") from error
        raise Unfillable("etcd ended its answer early")


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


def _key_and_revision(event: JsonObject) -> tuple[str, int]:
    kv = event["kv"]
    return base64.b64decode(kv["key"]).decode(errors="replace"), int(kv["mod_revision"])
