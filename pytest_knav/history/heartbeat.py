"""How far the recorder is behind the cluster, measured on a Lease of its own."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pytest_knav.history.connection import ApiError, ConnectionLost
from pytest_knav.history.periodic import Periodic
from pytest_knav.history.resources import Resource


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav.history.merge import JsonObject
    from pytest_knav.history.transport import Transport
    from pytest_knav.history.watcher import Batch

INTERVAL_S: Final = 1.0
NAMESPACE: Final = "kube-system"
NAME: Final = "knav-recorder"
SAMPLES_MAX: Final = 7_200
_LEASES: Final = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
# Its own resource, so that the leader leases in the same namespace are not followed.
RESOURCE: Final = Resource(
    "Lease",
    _LEASES,
    field_selector=f"metadata.name={NAME}",
)


class Lag:
    """
    Measures how late the recorder learns of changes; pure, and safe from any thread.

    Two measures, of which the larger counts. A heartbeat is late by the time between
    the moment before its write and the moment its watch shows it. Any other change is
    late by at least the time since a heartbeat of a newer revision was acknowledged,
    so a single slow watcher is found out although the heartbeat's own is fast.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unseen: dict[int, float] = {}
        self._acknowledged: deque[tuple[int, float]] = deque(maxlen=SAMPLES_MAX)
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES_MAX)
        self._early: dict[int, float] = {}
        self._newest_seen = 0

    def wrote(self, revision: int, *, before: float, after: float) -> float | None:
        """Note a write; return its lag if the watch was faster than the answer."""
        with self._lock:
            self._acknowledged.append((revision, after))
            seen_at = self._early.pop(revision, None)
            self._early.clear()
            if seen_at is not None:
                return self._sample(seen_at, seen_at - before)
            if revision > self._newest_seen:
                self._unseen[revision] = before
                while len(self._unseen) > SAMPLES_MAX:
                    del self._unseen[next(iter(self._unseen))]
            return None

    def saw(self, revision: int, now: float) -> float | None:
        """Note that the watch shows a heartbeat; return its lag if that is known."""
        with self._lock:
            self._newest_seen = max(self._newest_seen, revision)
            # A relist shows only the newest of several: the older ones are as late.
            written = [self._unseen.pop(r) for r in list(self._unseen) if r <= revision]
            if not written:
                self._early = {revision: now}
                return None
            return self._sample(now, now - min(written))

    def changed(self, revision: int, now: float) -> float | None:
        """Note a change of anything else; return its lag if it is known to be late."""
        with self._lock:
            if not self._acknowledged or self._acknowledged[-1][0] < revision:
                return None
            at = bisect_left(self._acknowledged, revision, key=lambda a: a[0])
            return self._sample(now, now - self._acknowledged[at][1])

    def maximum(self, since: float, now: float) -> float:
        """Return the largest lag seen since a moment, pending heartbeats included."""
        with self._lock:
            seen = [lag for at, lag in self._samples if at >= since]
            pending = [now - before for before in self._unseen.values()]
            return max(seen + pending, default=0.0)

    def latest(self, now: float) -> float:
        """Return the lag of the newest sample, or of a heartbeat not yet seen."""
        with self._lock:
            seen = [self._samples[-1][1]] if self._samples else []
            pending = [now - before for before in self._unseen.values()]
            return max(seen + pending, default=0.0)

    @property
    def newest_seen(self) -> int:
        """The newest revision at which a heartbeat was seen."""
        return self._newest_seen

    def _sample(self, at: float, lag: float) -> float:
        lag = max(lag, 0.0)
        self._samples.append((at, lag))
        return lag


class Heartbeat(Periodic):
    """
    Renews the Lease each second from `start` to `stop`, whatever the apiserver does.

    `report` is called with every lag that was measured.
    """

    def __init__(self, transport: Transport, report: Callable[[float], None]) -> None:
        self.lag = Lag()
        self.problem = ""
        self._transport = transport
        self._report = report
        super().__init__("knav-heartbeat", INTERVAL_S, self._renew)

    def beat(self) -> int:
        """
        Write the Lease now and return the revision of the write.

        Raises:
            ApiError: The apiserver refused.
            ConnectionLost: The apiserver did not answer.

        """
        before = time.monotonic()
        written = self._write(_lease())
        revision = int(written["metadata"]["resourceVersion"])
        lag = self.lag.wrote(revision, before=before, after=time.monotonic())
        if lag is not None:
            self._report(lag)
        return revision

    def saw(self, batch: Batch) -> None:
        """Take what the watch of the Lease shows."""
        if not batch.live:
            return
        for change in batch.changes:
            lag = self.lag.saw(change.record.revision, change.record.monotonic)
            if lag is not None:
                self._report(lag)

    def _write(self, body: JsonObject) -> JsonObject:
        path = f"{_LEASES}/{NAME}"
        try:
            return self._transport.patch(path, body)
        except ApiError as error:
            if error.status != 404:
                raise
        try:
            return self._transport.create(_LEASES, body)
        except ApiError as error:
            # The thread and a `catch_up` may both find the Lease missing.
            if error.status != 409:
                raise
        return self._transport.patch(path, body)

    def _renew(self) -> None:
        try:
            self.beat()
            self.problem = ""
        except (ApiError, ConnectionLost) as error:
            # Nobody can write while the apiserver is away, so nothing is missed.
            self.problem = str(error)


def _lease() -> JsonObject:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "holderIdentity": NAME,
            "leaseDurationSeconds": 10,
            "renewTime": now,
        },
    }
