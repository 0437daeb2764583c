"""How far the bench is: one line redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from pytest_knav.control_plane.assets.progress import (
    REDRAW_S,
    REMIND_S,
    duration,
    redraws,
)


if TYPE_CHECKING:
    from collections.abc import Callable

_WIDTH: Final = 24


class Progress(Protocol):
    """What is told while the bench runs; every call returns at once."""

    def begin(self, title: str, index: int, count: int) -> None:
        """Say that a step begins, and which of how many it is."""

    def tick(self, done: int, total: int) -> None:
        """Say how far the step is."""

    def end(self, text: str) -> None:
        """Say how the step ended."""


class Bar:
    """
    A progress on a text stream.

    On a terminal the bar stands below the lines of the steps that are done. Elsewhere,
    and when the environment says ``CI``, each step has one line at its end, and one a
    minute while it lasts.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        live: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._live = redraws(stream) if live is None else live
        self._clock = clock
        self._title = ""
        self._index = self._count = 0
        self._began = self._spoken = 0.0

    def begin(self, title: str, index: int, count: int) -> None:
        """Draw the bar of a step that begins."""
        self._title, self._index, self._count = title, index, count
        self._began = self._spoken = self._clock()
        if self._live:
            self._draw("")

    def tick(self, done: int, total: int) -> None:
        """Redraw the bar, or remind once a minute."""
        now = self._clock()
        if now - self._spoken < (REDRAW_S if self._live else REMIND_S):
            return
        self._spoken = now
        so_far = f"{done} of {total} there, {duration(now - self._began)}"
        if self._live:
            self._draw(f", {so_far}")
        else:
            self._write(f"[{self._index}/{self._count}] {self._title}: {so_far}\n")

    def end(self, text: str) -> None:
        """Write the line of a step that ended."""
        clear = "\r\x1b[K" if self._live else ""
        line = f"[{self._index}/{self._count}] {self._title}: {text}"
        self._write(f"{clear}{line}\n")

    def _draw(self, rest: str) -> None:
        # The step that is under way is not done.
        full = _WIDTH * (self._index - 1) // max(self._count, 1)
        bar = "#" * full + "." * (_WIDTH - full)
        text = f"[{bar}] {self._index}/{self._count} {self._title}{rest}"
        self._write(f"\r{text}\x1b[K")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
