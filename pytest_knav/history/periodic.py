"""A thread that does one thing again and again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Callable


class Periodic:
    """
    Does something at intervals, from `start` to `stop`.

    Args:
        name: What the thread is called.
        interval_s: How long it waits before each time.
        act: What it does; an exception ends the thread.

    """

    def __init__(self, name: str, interval_s: float, act: Callable[[], None]) -> None:
        self._interval_s = interval_s
        self._act = act
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end after what is under way."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; say whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self._act()
