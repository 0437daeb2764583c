"""
Filling a broken watch from what etcd still has.

An apiserver that was killed comes back with an empty watch cache and answers 410 to a
watch that wants to resume. etcd, however, keeps every revision until it is compacted,
five minutes by default. So the states in between can still be listed, one by one, with
``resourceVersionMatch=Exact``. Which revisions are worth a list, etcd's own watch says.
Without etcd's address every revision is looked at, as long as they are few.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from pytest_knav.errors import HarnessError
from pytest_knav.history.connection import ApiError, ConnectionLost
from pytest_knav.history.listing import Listing, list_all


if TYPE_CHECKING:
    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.resources import Resource
    from pytest_knav.history.transport import HttpTransport, Transport

FILL_TIMEOUT_S: Final = 10.0
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
class Filling:
    """Every state in a span, oldest first, with the revision that began it."""

    states: list[Listing]
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
            with self._transport.stream("/v3/watch", body=request) as lines:
                for line in lines:
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
    Return every state of a resource in ``(since, now.revision]``.

    Raises:
        Unfillable: Not every state can be had.
        ConnectionLost: The apiserver is gone again.

    """
    if now.revision == since:
        return Filling([], "no revision passed")
    deadline = time.monotonic() + FILL_TIMEOUT_S
    if revisions is not None and resource.etcd_prefix:
        changed = revisions.changed(since, now.revision)
        prefix = resource.etcd_prefix
        wanted = sorted({r for key, r in changed if key.startswith(prefix)})
        source = "etcd's watch"
    else:
        wanted = list(range(since + 1, min(now.revision, since + STATES_MAX + 1) + 1))
        source = "a look at every revision"
    _check_size(wanted, now)
    states: list[Listing] = []
    # The last change led to the state that was listed: no need to ask again.
    for revision in wanted[:-1]:
        if time.monotonic() > deadline:
            raise Unfillable(
                f"{len(wanted)} states take longer than {FILL_TIMEOUT_S} s"
            )
        try:
            objects = list_all(transport, resource, at_revision=revision).objects
        except ApiError as error:
            raise Unfillable(
                f"revision {revision} cannot be listed: {error}"
            ) from error
        states.append(Listing(revision, objects))
    if wanted:
        states.append(Listing(wanted[-1], now.objects))
    return Filling(states, f"{source}: {len(wanted)} states")


def _check_size(wanted: list[int], now: Listing) -> None:
    if len(wanted) > STATES_MAX:
        raise Unfillable(f"more than {STATES_MAX} revisions to look at")
    if len(wanted) * len(now.objects) > OBJECTS_MAX:
        raise Unfillable(
            f"{len(wanted)} lists of {len(now.objects)} objects to look at"
        )


def _key_and_revision(event: JsonObject) -> tuple[str, int]:
    kv = event["kv"]
    return base64.b64decode(kv["key"]).decode(errors="replace"), int(kv["mod_revision"])
