"""What etcd says of its revisions, through the JSON gateway on its client port."""

from __future__ import annotations

import base64
import json
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol

from pytest_knav.errors import HarnessError
from pytest_knav.history.connection import ApiError, ConnectionLost


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.transport import HttpTransport

EVENTS_MAX: Final = 50_000
# Up to so many revisions, every change costs less than the questions that spare them.
SPAN_MAX: Final = 1_000
_EVERY_KEY: Final = base64.b64encode(b"\0").decode()
# Outside of what the API server keeps; there only for a moment.
_MARK: Final = base64.b64encode(b"/pytest-knav/mark").decode()


class Unfillable(HarnessError):
    """The changes in between cannot all be known; the message says why."""


class Revisions(Protocol):
    """Says which revisions changed what."""

    def changed(self, since: int, until: int) -> list[tuple[str, int]]:
        """Return every key changed in ``(since, until]`` and when, in order."""

    def last(self, prefixes: Sequence[str], since: int, until: int) -> dict[str, int]:
        """Return when something below each prefix last changed, up to a revision."""


class EtcdRevisions:
    """Asks one etcd."""

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
        return self._events(since, until) if since < until else []

    def last(self, prefixes: Sequence[str], since: int, until: int) -> dict[str, int]:
        """
        Return when something below each prefix last changed, up to a revision.

        Where nothing has changed after `since` that is zero or any earlier revision.

        Raises:
            Unfillable: As for `changed`.

        """
        if until - since <= SPAN_MAX:
            return _newest(prefixes, self.changed(since, until))
        try:
            self._mark()
        except ApiError:
            # Out of space: etcd refuses every write.
            return _newest(prefixes, self.changed(since, until))
        except ConnectionLost as error:
            raise Unfillable(f"etcd could not be asked: {error!r}") from error
        # What was put last is still there, or was deleted later.
        ends = _newest(prefixes, self._events(since, until, deletes_only=True))
        puts = self._newest_puts(prefixes, until)
        return {prefix: max(ends[prefix], puts[prefix]) for prefix in prefixes}

    def _mark(self) -> None:
        """Put and delete a key of our own: whoever sees its end has seen all before."""
        self._transport.create("/v3/kv/put", {"key": _MARK, "value": _MARK})
        self._transport.create("/v3/kv/deleterange", {"key": _MARK})

    def _events(
        self, since: int, until: int, *, deletes_only: bool = False
    ) -> list[tuple[str, int]]:
        """Return what was changed; there must be such a change at `until` or later."""
        wanted = {
            "key": _EVERY_KEY,
            "range_end": _EVERY_KEY,
            "start_revision": str(since + 1),
            "filters": ["NOPUT"] if deletes_only else [],
        }
        found: list[tuple[str, int]] = []
        try:
            with self._transport.stream(
                "/v3/watch", body={"create_request": wanted}
            ) as answers:
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

    def _newest_puts(self, prefixes: Sequence[str], until: int) -> dict[str, int]:
        ranges = [{"request_range": _newest_of(prefix, until)} for prefix in prefixes]
        try:
            answer = self._transport.create("/v3/kv/txn", {"success": ranges})
            found = [
                one["response_range"].get("kvs", ()) for one in answer["responses"]
            ]
        except (ApiError, ConnectionLost, KeyError) as error:
            raise Unfillable(f"etcd could not be asked: {error!r}") from error
        return {
            prefix: max((int(kv["mod_revision"]) for kv in kvs), default=0)
            for prefix, kvs in zip(prefixes, found, strict=True)
        }


def _newest(
    prefixes: Sequence[str], changes: Sequence[tuple[str, int]]
) -> dict[str, int]:
    return {
        prefix: max((at for key, at in changes if key.startswith(prefix)), default=0)
        for prefix in prefixes
    }


def _newest_of(prefix: str, revision: int) -> JsonObject:
    """Return the question for the key below a prefix that was put last."""
    start = prefix.encode()
    end = start[:-1] + bytes([start[-1] + 1])
    return {
        "key": base64.b64encode(start).decode(),
        "range_end": base64.b64encode(end).decode(),
        "revision": str(revision),
        "sort_target": "MOD",
        "sort_order": "DESCEND",
        "limit": "1",
        "keys_only": True,
    }


def _key_and_revision(event: JsonObject) -> tuple[str, int]:
    kv = event["kv"]
    return base64.b64decode(kv["key"]).decode(errors="replace"), int(kv["mod_revision"])
