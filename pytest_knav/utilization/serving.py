"""Keeps what KWOK serves at what the profiles say, for as long as they are in use."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import ClusterError
from pytest_knav.utilization import objects


if TYPE_CHECKING:
    from pytest_knav.control_plane.api import Api
    from pytest_knav.utilization.model import LoadBook

# metrics-server looks every ten seconds at most.
_EVERY_S: Final = 1.0
# A restore during a test takes the objects away; then they come again.
_ANYWAY_EVERY: Final = 5
# As long as one request is tried again, and some.
_STOP_TIMEOUT_S: Final = 20.0


class Serving:
    """
    Writes loads to the API server, for KWOK to serve; from `begin` to `close`.

    One object holds the loads of all pods, and it is written when a value in it is
    another than before: a cluster of 10,000 pods costs what one of ten does.

    Args:
        api: The API server.
        book: What is written.

    Attributes:
        standing: Objects that are there as long, by path, in the order to make them.
        served_s: The time of the profiles that is served, on the monotonic clock.
        trouble: Why the last write failed; empty if it did not.

    """

    def __init__(self, api: Api, book: LoadBook) -> None:
        self._api = api
        self._book = book
        self.standing = {objects.METRIC_PATH: objects.metric()}
        self._writing = threading.Lock()
        self._written: dict[str, Any] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.served_s = time.monotonic()
        self.trouble = ""

    def begin(self) -> None:
        """
        Serve from now on; harmless when repeated.

        Raises:
            ClusterError: The API server does not take it.

        """
        if self._thread is not None:
            return
        self.write(anyway=True)
        self._stop.clear()
        self._thread = threading.Thread(
            target=self._run, name="knav-utilization", daemon=True
        )
        self._thread.start()

    def write(self, *, anyway: bool = False) -> None:
        """
        Serve what the profiles say now.

        Args:
            anyway: Whether to write although nothing is different.

        Raises:
            ClusterError: The API server does not take it.

        """
        with self._writing:
            now_s = time.monotonic()
            usage = objects.usage(self._book, now_s)
            if anyway:
                for path, body in self.standing.items():
                    self._api.apply(path, body)
            if anyway or usage != self._written:
                self._api.apply(objects.USAGE_PATH, usage)
                self._written = usage
            self.served_s = now_s

    def close(self) -> None:
        """Stop, and take the objects back; harmless when repeated."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stop.set()
        thread.join(_STOP_TIMEOUT_S)
        for path in (objects.USAGE_PATH, *reversed(self.standing)):
            self._api.delete(path)

    def _run(self) -> None:
        turn = 0
        while not self._stop.wait(_EVERY_S):
            turn += 1
            try:
                self.write(anyway=turn % _ANYWAY_EVERY == 0)
            except ClusterError as error:
                # A test may have killed the API server: the next turn tries again.
                self.trouble = str(error)
            else:
                self.trouble = ""
