"""What a controller sees of its cluster: nodes, and the pods that say something."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.exclusion.api import NODES, PODS, Follower


if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from pytest_knav.exclusion.api import AnyCluster

    Take = Callable[[str, str, Any], None]

#: What events of pods that may restart are filed under.
ALIVE: Final = f"{PODS}?alive"
# Two watches, so that the server sends a fraction of all changes: pods that have ended,
# and of the others those whose containers are restarted in place.
_ENDED: Final = "status.phase!=Pending,status.phase!=Running,status.phase!=Unknown"
_RESTARTING: Final = (
    "status.phase!=Succeeded,status.phase!=Failed,spec.restartPolicy!=Never"
)
_EVENTS_MAX: Final = 20_000
_LOOK_S: Final = 0.2


class Following:
    """
    The watches of one controller.

    Args:
        api: The cluster.
        selector: Labels of the nodes that are followed; empty for all.
        take: Told of every event: which list, what happened, the object or objects.

    """

    def __init__(self, api: AnyCluster, selector: str, take: Take) -> None:
        self._events: queue.Queue[tuple[str, str, Any]] = queue.Queue(_EVENTS_MAX)
        self._take = take
        params = {"labelSelector": selector} if selector else {}
        events = self._events
        self._nodes = Follower(api, NODES, events, **params)
        self._ended = Follower(api, PODS, events, fieldSelector=_ENDED)
        self._alive = Follower(api, PODS, events, ALIVE, fieldSelector=_RESTARTING)

    def start(self, stop: threading.Event) -> None:
        """Begin; what nodes remember comes before the pods that they remember."""
        self._nodes.start()
        while not stop.is_set() and not self._take_one(_LOOK_S):
            continue
        self._ended.start()
        self._alive.start()

    def drain(self, for_s: float, stop: threading.Event) -> None:
        """Take what comes in a span of time, or until told to stop."""
        until_s = time.monotonic() + for_s
        while not stop.is_set() and (left_s := until_s - time.monotonic()) > 0:
            self._take_one(min(left_s, _LOOK_S))

    def stop(self) -> None:
        """End; the threads end with their watches."""
        for follower in (self._nodes, self._ended, self._alive):
            follower.stop()

    def _take_one(self, timeout_s: float) -> bool:
        """Return whether there was an event."""
        try:
            self._take(*self._events.get(timeout=timeout_s))
        except queue.Empty:
            return False
        return True
