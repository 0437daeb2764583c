"""
Watchers of what hardly changes, kept near the newest revision.

A watcher learns of a revision with a change of its own resource, and the API server
tells one that has none about once a minute. To prove later that it has missed nothing,
etcd would have to go through every revision since then, and after five minutes they
are compacted. So it is asked now and then, while they are few.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pytest_knav.history.periodic import Periodic
from pytest_knav.history.revisions import Unfillable


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_knav.history.revisions import Revisions
    from pytest_knav.history.watcher import Watcher

INTERVAL_S: Final = 1.0
# With fewer a catch-up is quick.
BEHIND_MAX: Final = 3_000
# Well before etcd is compacted (kube-apiserver --etcd-compaction-interval, 5m).
ASK_S: Final = 60.0


class IdleWatchers(Periodic):
    """
    A thread that brings idle watchers forward where etcd proves that they may be.

    Args:
        revisions: Whom to ask.
        watchers: Returns those that are followed now.
        newest: Returns the newest revision known.

    """

    def __init__(
        self,
        revisions: Revisions,
        watchers: Callable[[], Sequence[Watcher]],
        newest: Callable[[], int],
    ) -> None:
        self._revisions = revisions
        self._watchers = watchers
        self._newest = newest
        self._asked_at = time.monotonic()
        super().__init__("knav-idle-watchers", INTERVAL_S, self.look)

    def look(self) -> None:
        """Bring forward whoever is too far behind, if etcd shows that it may be."""
        newest = self._newest()
        waited_s = time.monotonic() - self._asked_at
        behind_max = BEHIND_MAX if waited_s < ASK_S else 0
        idle = [
            (watcher, watcher.revision)
            for watcher in self._watchers()
            if watcher.resource.etcd_prefix
            and watcher.served
            and watcher.ready.is_set()
            and newest - watcher.revision > behind_max
        ]
        if not idle:
            return
        self._asked_at = time.monotonic()
        prefixes = [watcher.resource.etcd_prefix for watcher, _ in idle]
        try:
            last = self._revisions.last(prefixes, min(at for _, at in idle), newest)
        except Unfillable:
            # Whoever needs the proof asks again, and says what is missing.
            return
        for watcher, at in idle:
            if last[watcher.resource.etcd_prefix] <= at:
                watcher.advance(newest)
