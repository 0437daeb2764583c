"""The recorder of one cluster: all watchers, one history, one file."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Final, Self, TypeVar

from pytest_knav.errors import BadInput, HarnessError, Inconclusive
from pytest_knav.history.catch_up import CatchUp
from pytest_knav.history.connection import ApiError, ConnectionLost
from pytest_knav.history.heartbeat import RESOURCE as HEARTBEAT_RESOURCE
from pytest_knav.history.heartbeat import Heartbeat
from pytest_knav.history.history import History
from pytest_knav.history.idle import IdleWatchers
from pytest_knav.history.record import HEARTBEAT, OWN_PREFIX
from pytest_knav.history.resources import DEFAULT_RESOURCES
from pytest_knav.history.revisions import EtcdRevisions
from pytest_knav.history.sight import Change, Moment, own_record, standing
from pytest_knav.history.store import HistoryWriter
from pytest_knav.history.transport import HttpTransport
from pytest_knav.history.watcher import Watcher


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path
    from types import TracebackType

    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.periodic import Periodic
    from pytest_knav.history.record import Record
    from pytest_knav.history.resources import Resource
    from pytest_knav.history.transport import Transport
    from pytest_knav.history.watcher import Batch

ETCD_TIMEOUT_S: Final = 5.0
LAG_WORTH_A_RECORD_S: Final = 0.5
# A predicate is evaluated at most this often, however fast the records come, and for
# at most a quarter of the time: it holds the lock that recording needs.
COALESCE_S: Final = 0.02
_PREDICATE_SHARE: Final = 3.0
_RETRY_S: Final = 0.1
_STOP_TIMEOUT_S: Final = 5.0

T = TypeVar("T")


class Recorder:
    """
    Records every change of some resources of one cluster from `start` to `stop`.

    It owns the transports it is given and closes them when it stops.

    Args:
        transport: The way to the apiserver.
        resources: What is followed.
        directory: Where the history is stored; None keeps it in memory alone.
        heartbeat: Whether a Lease is renewed each second to measure the lag.
        etcd: The URL of etcd's client port, if there is one. With it, a watch that
            the apiserver cannot resume is filled, and `catch_up` is a proof. Without
            it, few watches can be filled, and `catch_up` may overlook what came and
            went.
        fsync: Whether each flush waits for the disk.

    """

    def __init__(  # noqa: PLR0913 - all but one have a default
        self,
        transport: Transport,
        resources: Sequence[Resource] = DEFAULT_RESOURCES,
        *,
        directory: Path | None = None,
        heartbeat: bool = True,
        etcd: str = "",
        fsync: bool = False,
    ) -> None:
        self.history = History()
        self._news = threading.Condition(self.history.lock)
        self._transport = transport
        self._etcd = _etcd_transport(etcd) if etcd else None
        self._directory = directory
        self._fsync = fsync
        self._writer: HistoryWriter | None = None
        self._stopping = threading.Event()
        self._revisions = EtcdRevisions(self._etcd) if self._etcd else None
        self._watchers = [
            Watcher(resource, transport, self._record_batch, revisions=self._revisions)
            for resource in resources
        ]
        self._on_request: list[Watcher] = []
        self._idle: IdleWatchers | None = None
        if self._revisions is not None:
            self._idle = IdleWatchers(
                self._revisions,
                lambda: self._watchers,
                lambda: self.history.newest_revision,
            )
        self._lag_noted_at = -math.inf
        self._heartbeat: Heartbeat | None = None
        self._pulse: Watcher | None = None
        if heartbeat:
            self._heartbeat = Heartbeat(transport, self._report_lag)
            self._pulse = Watcher(
                HEARTBEAT_RESOURCE,
                transport,
                self._pulse_batch,
                revisions=self._revisions,
            )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, timeout_s: float = 30.0) -> None:
        """
        Begin to record; return once every resource has been listed.

        Raises:
            HarnessError: One could not be listed in time; nothing is left running.

        """
        deadline = time.monotonic() + timeout_s
        self._writer = self._open_writer(self._directory)
        try:
            for watcher in self._all_watchers():
                watcher.start()
            self._await_lists(deadline)
            if self._heartbeat is not None:
                self._heartbeat.start()
            if self._idle is not None:
                self._idle.start()
        except BaseException:
            self._end_threads()
            raise

    def begin(self, directory: Path | None) -> int:
        """
        Begin a new history, here and on disk, with the objects that are known now.

        Nothing is listed again, so this costs little where a new recorder would read
        the whole cluster. What came before stays in the history of before, faults in
        force included. Call `catch_up` first: what a watcher has not seen yet is not
        known to the new history either.

        Args:
            directory: Where the new history is stored; None keeps it in memory alone.

        Returns:
            The revision that it begins after.

        Raises:
            HarnessError: The disk refused the old history or the new one, or nothing
                is being recorded.

        """
        if self._stopping.is_set() or not all(w.ready.is_set() for w in self._watchers):
            raise HarnessError("a recorder that is not recording cannot begin anew")
        self.rest()
        writer = self._open_writer(directory)
        try:
            with self._news:
                return self._begin(writer)
        except BaseException:
            if writer is not None and self._writer is not writer:
                writer.close()
            raise

    def follow(self, resource: Resource, timeout_s: float = 30.0) -> None:
        """
        Record one more resource until `rest`, `begin` or `stop`; return once listed.

        Raises:
            HarnessError: It could not be listed in time; it is not followed then.

        """
        if self.follows(resource.kind):
            return
        watcher = Watcher(
            resource, self._transport, self._record_batch, revisions=self._revisions
        )
        watcher.start()
        try:
            _await_list(watcher, time.monotonic() + timeout_s)
        except BaseException:
            watcher.stop()
            watcher.join(_STOP_TIMEOUT_S)
            raise
        # A new list, because other threads may be walking through the old one.
        self._watchers = [*self._watchers, watcher]
        self._on_request.append(watcher)

    def follows(self, kind: str) -> bool:
        """Return whether a kind is being recorded."""
        return any(watcher.resource.kind == kind for watcher in self._watchers)

    def rest(self) -> None:
        """
        Finish the stored history and go on in memory alone, as it was at the start.

        What is followed on request ends: what it is about may go with a reset.

        Raises:
            HarnessError: The stored history is not whole.

        """
        requested, self._on_request = self._on_request, []
        self._watchers = [w for w in self._watchers if w not in requested]
        for watcher in requested:
            watcher.stop()
            watcher.join(_STOP_TIMEOUT_S)
        with self._news:
            writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def stop(self) -> None:
        """
        End every thread and finish the stored history; stopping twice is harmless.

        Raises:
            HarnessError: A thread did not end, or the stored history is not whole.

        """
        left = self._end_threads()
        if self._writer is not None:
            self._writer.close()
        if left:
            raise HarnessError(f"threads of the recorder did not end: {left}")

    def check(self) -> None:
        """
        Say whether everything is still being recorded.

        Raises:
            HarnessError: A watcher has given up, or the disk refuses the history.

        """
        for watcher in self._all_watchers():
            watcher.check()
        if self._writer is not None:
            self._writer.check()

    def note(
        self,
        kind: str,
        verb: str,
        name: str,
        data: JsonObject | None = None,
    ) -> Record:
        """Record an entry of our own at the newest revision known, and return it."""
        if not kind.startswith(OWN_PREFIX):
            raise BadInput(f"kind={kind!r}: our own entries begin with {OWN_PREFIX!r}")
        with self._news:
            revision = self.history.newest_revision
            record = own_record(kind, name, verb, revision, data)
            self._keep(Change(record))
            self._news.notify_all()
        return record

    def wait(
        self,
        predicate: Callable[[History], T | None],
        timeout_s: float,
        *,
        poll_s: float | None = None,
    ) -> T | None:
        """
        Return what the predicate returns once that is neither None nor False.

        It is evaluated under the history's lock: at once, after new records, every
        `poll_s` if given, and a last time at the deadline; after that None is returned.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            self.check()
            with self._news:
                asked = time.monotonic()
                left_s = deadline - asked
                found = predicate(self.history)
                if found is not None and found is not False:
                    return found
                rest_s = _PREDICATE_SHARE * (time.monotonic() - asked)
                if left_s <= 0:
                    return None
                self._news.wait(left_s if poll_s is None else min(left_s, poll_s))
            pause_s = min(max(COALESCE_S, rest_s), max(left_s, 0.0))
            if self._stopping.wait(pause_s):
                raise HarnessError("the recorder was stopped while it was waited for")

    def catch_up(
        self, timeout_s: float = 10.0, *, kinds: Collection[str] | None = None
    ) -> int:
        """
        Return once everything that the apiserver shows now is recorded.

        The revision returned is the one up to which that holds.

        Raises:
            Inconclusive: It is not recorded in time; the message says what is missing.
            HarnessError: As `check`.

        """
        deadline = time.monotonic() + timeout_s
        watchers = [
            watcher
            for watcher in self._watchers
            if watcher.served and (kinds is None or watcher.resource.kind in kinds)
        ]
        proof = CatchUp(self, self._transport, self._revisions, deadline)
        revision = proof.of(watchers)
        if self._heartbeat is not None:
            self._await_pulse(self._heartbeat, deadline)
        return revision

    @property
    def lag_s(self) -> float:
        """How late the newest change was learned of."""
        if self._heartbeat is None:
            return 0.0
        return self._heartbeat.lag.latest(time.monotonic())

    def max_lag_s(self, since_monotonic: float = 0.0) -> float:
        """
        Return the largest lag since a moment on the monotonic clock.

        Raises:
            Inconclusive: There is no heartbeat, so nothing was measured.

        """
        if self._heartbeat is None:
            raise Inconclusive("the recorder has no heartbeat, so its lag is not known")
        return self._heartbeat.lag.maximum(since_monotonic, time.monotonic())

    def _open_writer(self, directory: Path | None) -> HistoryWriter | None:
        if directory is None:
            return None
        return HistoryWriter(directory, fsync=self._fsync)

    def _begin(self, writer: HistoryWriter | None) -> int:
        later = self.history.successor()
        revision = later.newest_revision
        changes = self._known_again(revision)
        for change in changes:
            later.add(change.record, change.after)
        if writer is not None:
            writer.extend(change.record for change in changes)
        self.history, self._writer = later, writer
        self._news.notify_all()
        return revision

    def _known_again(self, revision: int) -> list[Change]:
        """Return what a new history begins with, in order."""
        now = Moment.now()
        seen: list[Change] = []
        begun: list[Change] = []
        for watcher in self._watchers:
            live = self.history.live(watcher.resource.kind)
            seen += [standing(last, content, now) for last, content in live]
            begun.append(watcher.begun(revision, len(live)))
        return sorted(seen, key=lambda change: change.record.revision) + begun

    def _all_watchers(self) -> list[Watcher]:
        return [*self._watchers, *([self._pulse] if self._pulse else [])]

    def _await_lists(self, deadline: float) -> None:
        for watcher in self._all_watchers():
            _await_list(watcher, deadline)

    def _end_threads(self) -> list[str]:
        self._stopping.set()
        others = (self._heartbeat, self._idle)
        threads: list[Watcher | Periodic] = [
            *self._all_watchers(),
            *(thread for thread in others if thread is not None),
        ]
        for thread in threads:
            thread.stop()
        self._transport.close()
        if self._etcd is not None:
            self._etcd.close()
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        return [
            repr(thread)
            for thread in threads
            if not thread.join(max(0.0, deadline - time.monotonic()))
        ]

    def _record_batch(self, batch: Batch) -> None:
        with self._news:
            for change in batch.changes:
                self._keep(change)
            self.history.advance(batch.revision)
            self._news.notify_all()
        if self._heartbeat is not None and batch.live and batch.changes:
            record = batch.changes[0].record
            lag = self._heartbeat.lag.changed(record.revision, record.monotonic)
            if lag is not None:
                self._report_lag(lag)

    def _pulse_batch(self, batch: Batch) -> None:
        if self._heartbeat is None:
            return
        self._heartbeat.saw(batch)
        with self._news:
            self.history.advance(batch.revision)
            self._news.notify_all()

    def _keep(self, change: Change) -> None:
        self.history.add(change.record, change.after)
        if self._writer is not None:
            self._writer.append(change.record)

    def _report_lag(self, lag_s: float) -> None:
        # The changes of a busy second are all late: one entry tells of them.
        now = time.monotonic()
        if lag_s > LAG_WORTH_A_RECORD_S and now - self._lag_noted_at >= 1.0:
            self._lag_noted_at = now
            self.note(HEARTBEAT, "SAMPLE", "lag", {"lag_s": round(lag_s, 3)})

    def _await_pulse(self, heartbeat: Heartbeat, deadline: float) -> None:
        """Measure the lag once more, now."""
        try:
            revision = heartbeat.beat()
        except (ApiError, ConnectionLost) as error:
            raise Inconclusive(f"the heartbeat cannot be written: {error}") from error
        left_s = deadline - time.monotonic()
        if not self.wait(lambda _: heartbeat.lag.newest_seen >= revision, left_s):
            raise Inconclusive(
                f"the heartbeat written at revision {revision} has not come back"
            )


def _await_list(watcher: Watcher, deadline: float) -> None:
    while not watcher.ready.wait(_RETRY_S):
        watcher.check()
        if time.monotonic() > deadline:
            raise HarnessError(
                f"{watcher.resource.path} could not be listed in time: "
                f"{watcher.problem or 'no answer'}"
            )


def _etcd_transport(url: str) -> HttpTransport:
    return HttpTransport(
        url,
        request_timeout_s=ETCD_TIMEOUT_S,
        stream_timeout_s=ETCD_TIMEOUT_S,
        pace_s=0.0,
    )
