"""
The proof that the recorder has seen what the apiserver shows now.

With etcd at hand it is complete: etcd says at which revision each resource last
changed, and a watch delivers in order, so a watcher that is at that revision has missed
nothing. Without etcd the newest state of every object is compared with a consistent
list. That cannot see an object that was made and deleted after the last change that was
delivered.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from pytest_knav.errors import Inconclusive
from pytest_knav.history.connection import ApiError, ConnectionLost
from pytest_knav.history.listing import list_all, revision_of, uid_of
from pytest_knav.history.revisions import Unfillable
from pytest_knav.history.transport import METADATA_ONLY


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_knav.history.history import History
    from pytest_knav.history.resources import Resource
    from pytest_knav.history.revisions import Revisions
    from pytest_knav.history.transport import Transport
    from pytest_knav.history.watcher import Watcher

_SHOWN_MAX: Final = 10
_RETRY_S: Final = 0.1
_ANSWER_S_MIN: Final = 0.05


@dataclass(frozen=True, slots=True)
class Expectation:
    """Revisions and names that a consistent read showed, for one resource."""

    resource: Resource
    revision: int
    objects: dict[str, tuple[int, str]]

    @classmethod
    def read(
        cls, transport: Transport, resource: Resource, timeout_s: float
    ) -> Expectation:
        """Ask the apiserver; raises `ApiError` or `ConnectionLost`."""
        listing = list_all(
            transport, resource, accept=METADATA_ONLY, timeout_s=timeout_s
        )
        objects = {
            uid_of(raw): (revision_of(raw), raw["metadata"]["name"])
            for raw in listing.objects
        }
        return cls(resource, listing.revision, objects)

    def missing(self, history: History) -> list[str]:
        """
        Return what the history has not recorded yet; empty means it has caught up.

        Every listed object must have been recorded at its revision or later, and every
        object recorded as live must be listed, unless it came after the list.
        """
        kind = self.resource.kind
        behind = [
            f"{kind} {name} at {revision} (recorded: {history.revision_of(uid)})"
            for uid, (revision, name) in self.objects.items()
            if history.revision_of(uid) < revision
        ]
        ghosts = [
            f"the end of {kind} {live['metadata']['name']}"
            for uid, live in history.latest(kind).items()
            if uid not in self.objects and history.revision_of(uid) <= self.revision
        ]
        return behind + ghosts


class Recording(Protocol):
    """What is needed of the recorder."""

    history: History

    def wait(
        self,
        predicate: Callable[[History], bool | None],
        timeout_s: float,
        *,
        poll_s: float | None = None,
    ) -> bool | None:
        """Return what the predicate returns once that is true, or None in the end."""


class CatchUp:
    """One attempt, with one deadline, to prove that some watchers are up to date."""

    def __init__(
        self,
        recorder: Recording,
        transport: Transport,
        revisions: Revisions | None,
        deadline: float,
    ) -> None:
        self._wait = recorder.wait
        self._history = recorder.history
        self._transport = transport
        self._revisions = revisions
        self._deadline = deadline

    def of(self, watchers: Sequence[Watcher]) -> int:
        """
        Return the revision up to which all of them have recorded everything.

        Raises:
            Inconclusive: That cannot be shown in time.

        """
        if not watchers:
            return self._history.newest_revision
        known = self._history.newest_revision
        revision = self._current(watchers[0].resource)
        if revision < known:
            raise Inconclusive(
                f"the apiserver is at revision {revision}, but {known} was recorded: "
                "etcd was replaced"
            )
        needed = self._needed(watchers, revision)
        for watcher in watchers:
            if watcher.resource.kind in needed:
                self._reach(watcher, needed[watcher.resource.kind])
                watcher.advance(revision)
            else:
                self._compare(watcher)
        return revision

    def _current(self, resource: Resource) -> int:
        while True:
            left_s = max(self._deadline - time.monotonic(), _ANSWER_S_MIN)
            try:
                answer = self._transport.get(
                    resource.path, {"limit": "1"}, timeout_s=left_s
                )
            except (ApiError, ConnectionLost) as error:
                if time.monotonic() + _RETRY_S > self._deadline:
                    raise Inconclusive(
                        "the recorder cannot prove that it has caught up: "
                        f"the apiserver does not answer ({error})"
                    ) from error
            else:
                return revision_of(answer)
            self._wait(lambda _: None, _RETRY_S)

    def _needed(self, watchers: Sequence[Watcher], revision: int) -> dict[str, int]:
        """Return the revision that each watcher must reach, where etcd can tell."""
        known = [watcher for watcher in watchers if watcher.resource.etcd_prefix]
        if self._revisions is None or not known:
            return {}
        followed = [watcher.resource for watcher in known]
        since = min(watcher.revision for watcher in known)
        try:
            last = self._revisions.last(
                [resource.etcd_prefix for resource in followed], since, revision
            )
        except Unfillable:
            return {}
        return {resource.kind: last[resource.etcd_prefix] for resource in followed}

    def _reach(self, watcher: Watcher, revision: int) -> None:
        left_s = self._deadline - time.monotonic()
        if not self._wait(lambda _: watcher.revision >= revision, left_s):
            raise Inconclusive(
                f"the recorder has seen {watcher.resource.kind} up to revision "
                f"{watcher.revision}, but etcd has a change at {revision}"
                f"{_problem(watcher)}"
            )

    def _compare(self, watcher: Watcher) -> None:
        left_s = max(self._deadline - time.monotonic(), _ANSWER_S_MIN)
        try:
            expected = Expectation.read(self._transport, watcher.resource, left_s)
        except (ApiError, ConnectionLost) as error:
            raise Inconclusive(
                f"the recorder cannot prove that it has caught up: {error}"
            ) from error

        def caught_up(history: History) -> bool:
            return watcher.settled() and not expected.missing(history)

        left_s = self._deadline - time.monotonic()
        if not self._wait(caught_up, left_s, poll_s=_RETRY_S):
            missing = expected.missing(self._history) or ["a watch that is connected"]
            raise Inconclusive(
                f"the recorder has not caught up with revision {expected.revision}: "
                f"{len(missing)} missing, such as {'; '.join(missing[:_SHOWN_MAX])}"
                f"{_problem(watcher)}"
            )


def _problem(watcher: Watcher) -> str:
    return "" if watcher.settled() else f" (last problem: {watcher.problem})"
