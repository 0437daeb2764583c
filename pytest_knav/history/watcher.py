"""One thread that follows one resource: list, watch, resume, and fill what broke."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import HarnessError
from pytest_knav.history.connection import ApiError, ConnectionLost
from pytest_knav.history.fill import fill
from pytest_knav.history.listing import list_all, revision_of
from pytest_knav.history.packed import Said
from pytest_knav.history.record import DELETED, GAP, WATCH
from pytest_knav.history.revisions import Unfillable
from pytest_knav.history.sight import Change, Moment, Sight, own_record


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav.history.listing import Listing
    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.resources import Resource
    from pytest_knav.history.revisions import Revisions
    from pytest_knav.history.transport import Stream, Transport

SERVER_TIMEOUT_S: Final = 300
# A killed apiserver is back in under two seconds: an attempt is cheap, a late one not.
PAUSE_S_MAX: Final = 0.25
SETTLE_S: Final = 0.25
_PAUSE_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Batch:
    """
    What a watcher learned at once.

    `revision` is how far it has followed its resource. `live` says that the changes
    were followed as they happened, so that their delay means something.
    """

    resource: Resource
    revision: int
    changes: list[Change]
    live: bool


class Watcher:
    """
    Follows one resource from `start` to `stop` and hands every change to `sink`.

    A broken watch is resumed where it ended, which loses nothing. Where the apiserver
    refuses (410 Gone), the states in between are filled from etcd and a ``knav/Gap``
    record FILLED says so; where that fails as well, the record is a GAP.
    """

    def __init__(
        self,
        resource: Resource,
        transport: Transport,
        sink: Callable[[Batch], None],
        *,
        revisions: Revisions | None = None,
    ) -> None:
        self.resource = resource
        self.ready = threading.Event()
        self.served = True
        self.problem = ""
        self.fatal: HarnessError | None = None
        self._transport = transport
        self._sink = sink
        self._revisions = revisions
        self._sight = Sight(resource.kind)
        self._revision = 0
        self._revision_lock = threading.Lock()
        self._connected_at = math.inf
        self._seen_at = 0.0
        self._progress = 0
        self._gone = ""
        self._stopping = threading.Event()
        self._stream_lock = threading.Lock()
        self._stream: Stream | None = None
        self._thread = threading.Thread(
            target=self._run, name=f"knav-watch-{resource.kind}", daemon=True
        )

    def start(self) -> None:
        """Begin to follow; `ready` is set once the first list is recorded."""
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end now."""
        self._stopping.set()
        with self._stream_lock:
            if self._stream is not None:
                self._stream.close()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; say whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def revision(self) -> int:
        """Everything up to here is recorded, or a gap says that it is not."""
        return self._revision

    def advance(self, revision: int) -> None:
        """Take from elsewhere that nothing more is to come up to a revision."""
        with self._revision_lock:
            self._revision = max(self._revision, revision)

    def settled(self) -> bool:
        """Say whether it is connected and the apiserver has not refused to resume."""
        # A refusal is the first line, sent at once; nothing says that there is none.
        return time.monotonic() - self._connected_at > SETTLE_S

    def check(self) -> None:
        """
        Say whether it still follows its resource, or tries to.

        Raises:
            HarnessError: It has given up.

        """
        if self.fatal is not None:
            raise self.fatal
        ended = self._thread.ident is not None and not self._thread.is_alive()
        if ended and self.served and not self._stopping.is_set():
            raise HarnessError(
                f"the watcher of {self.resource.kind} died; "
                "its traceback is in the warnings of the run"
            )

    def begun(self, revision: int, objects: int) -> Change:
        """Return the entry that says from which revision on all objects are known."""
        payload: JsonObject = {"path": self.resource.path, "served": False}
        verb = "NOTE"
        if self.served:
            payload = {"path": self.resource.path, "objects": objects}
            verb = "BEGIN"
        return Change(own_record(WATCH, self.resource.kind, verb, revision, payload))

    def _run(self) -> None:
        failures = 0
        while self.served and not self._stopping.wait(_pause_s(failures)):
            before = self._progress
            try:
                self._step()
                self.problem = ""
            except (ApiError, ConnectionLost) as error:
                self.problem = str(error)
                if isinstance(error, ApiError) and error.status == 410:
                    self._gone = str(error)
            except HarnessError as error:
                self.fatal = error
                return
            failures = 0 if self._progress > before else failures + 1

    def _step(self) -> None:
        if not self.ready.is_set():
            self._begin()
        elif self._gone:
            self._relist(self._gone)
            self._gone = ""
        else:
            self._follow()
            return
        self._progress += 1

    def _begin(self) -> None:
        try:
            listing = list_all(self._transport, self.resource)
        except ApiError as error:
            if error.status != 404:
                raise
            self._not_served()
            return
        changes = self._sight.difference(listing)
        changes.append(self.begun(listing.revision, len(changes)))
        self._hand_over(listing.revision, changes, live=False)
        self.ready.set()

    def _not_served(self) -> None:
        if not self.resource.optional:
            raise HarnessError(
                f"the apiserver does not serve {self.resource.path} "
                f"({self.resource.kind}), so it cannot be recorded"
            )
        self.served = False
        self._hand_over(self._revision, [self.begun(self._revision, 0)], live=False)
        self.ready.set()

    def _follow(self) -> None:
        params = {
            **self.resource.selection,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(self._revision),
            "timeoutSeconds": str(SERVER_TIMEOUT_S),
        }
        stream = self._transport.stream(self.resource.path, params)
        with self._stream_lock:
            self._stream = stream
            if self._stopping.is_set():
                return
        try:
            with stream as lines:
                self._connected_at = time.monotonic()
                for batch in lines:
                    self._take(batch)
                    self._connected_at = -math.inf
        finally:
            self._connected_at = math.inf

    def _take(self, lines: list[bytes]) -> None:
        """Hand over what some events say, up to one that is an error."""
        now = Moment.now()
        changes: list[Change] = []
        revision = 0
        try:
            for line in lines:
                revision = self._read(line, now, changes)
        finally:
            if revision:
                self._hand_over(revision, changes, live=True)
                self._progress += 1

    def _read(self, line: bytes, now: Moment, changes: list[Change]) -> int:
        """Add what an event says that is new; return the revision it leads to."""
        try:
            said = Said.read(line)
            if said.verb == "ERROR":
                raise _error(said.decoded())
            if said.verb == "BOOKMARK":
                return revision_of(said.decoded())
            seen = said.packed()
        except (ValueError, KeyError, TypeError) as error:
            raise ConnectionLost(f"unreadable line {line!r:.200}") from error
        changes += self._sight.seen(seen, now, deleted=said.verb == DELETED)
        return seen.revision

    def _list_again(self, since: int) -> Listing:
        now = list_all(self._transport, self.resource)
        if now.revision < since:
            raise HarnessError(
                f"the cluster went back from revision {since} to {now.revision}: "
                "etcd was replaced, so this history cannot go on"
            )
        return now

    def _relist(self, reason: str) -> None:
        since, since_at = self._revision, self._seen_at
        now = self._list_again(since)
        payload: dict[str, Any] = {
            "from": since,
            "to": now.revision,
            "from_monotonic": since_at,
            "reason": reason,
        }
        changes: list[Change] = []
        try:
            filling = fill(
                self._transport,
                self.resource,
                since=since,
                now=now,
                revisions=self._revisions,
            )
        except Unfillable as error:
            verb = "GAP"
            payload["reason"] = f"{reason}; {error}"
        else:
            verb = "FILLED"
            payload["evidence"] = filling.evidence
            for step in filling.steps:
                changes += self._sight.follow(step)
        unexplained = self._sight.difference(now)
        if verb == "FILLED" and unexplained:
            verb = "GAP"
            payload["reason"] = f"{reason}; the list differs from what was filled"
        changes += unexplained
        payload["changes"] = len(changes)
        changes.append(
            Change(own_record(GAP, self.resource.kind, verb, now.revision, payload))
        )
        self._hand_over(now.revision, changes, live=True)

    def _hand_over(self, revision: int, changes: list[Change], *, live: bool) -> None:
        self._sink(Batch(self.resource, revision, changes, live))
        self.advance(revision)
        self._seen_at = time.monotonic()


def _error(status: JsonObject) -> ApiError:
    return ApiError(
        int(status.get("code", 500)),
        str(status.get("reason", "")),
        str(status.get("message", "")),
    )


def _pause_s(failures: int) -> float:
    if failures < 2:
        # The first attempt after a break follows at once: a watch may just have ended.
        return 0.0
    return min(PAUSE_S_MAX, _PAUSE_S * 2.0 ** min(failures - 2, 10))
