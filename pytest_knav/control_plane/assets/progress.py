"""Progress that a person can follow, and that stays quiet in the log of a CI run."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO


if TYPE_CHECKING:
    from collections.abc import Callable


REDRAW_S = 0.2
REMIND_S = 60.0
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One asset being got: which of how many, what is done, how long it takes."""

    name: str
    version: str
    doing: str
    index: int
    total: int
    expected_s: float


class Progress(Protocol):
    """What is told while assets are got; every call returns at once."""

    def begin(self, step: Step) -> None:
        """Say that a step begins."""

    def tick(self, done: int = 0, total: int = 0) -> None:
        """Say that the step goes on; with bytes when they are known."""

    def note(self, text: str) -> None:
        """Say one thing worth a line."""

    def end(self, text: str) -> None:
        """Say how the step ended."""


class Silent:
    """A progress that says nothing."""

    def begin(self, step: Step) -> None:
        """Say nothing."""

    def tick(self, done: int = 0, total: int = 0) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def end(self, text: str) -> None:
        """Say nothing."""


def redraws(stream: TextIO) -> bool:
    """Return whether a line on a stream may be drawn again in place."""
    return stream.isatty() and not os.environ.get("CI")


class StreamProgress:
    """
    A progress on a text stream.

    On a terminal one line is redrawn in place. Elsewhere, and when the environment
    says ``CI``, each step has a line at its start and one at its end, and one a minute
    between.
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
        self._step: Step | None = None
        self._started = self._spoken = 0.0
        self._drawn = False

    def begin(self, step: Step) -> None:
        """Say which binary it is, what is done, and how long that usually takes."""
        self._step = step
        self._started = self._spoken = self._clock()
        if self._live:
            self._draw(step, 0, 0)
        else:
            usual = f"usually {duration(step.expected_s)}"
            self._line(f"{_title(step)}: {step.doing}, {usual}")

    def tick(self, done: int = 0, total: int = 0) -> None:
        """Redraw the line, or remind once a minute."""
        step, now = self._step, self._clock()
        if step is None or now - self._spoken < (REDRAW_S if self._live else REMIND_S):
            return
        self._spoken = now
        if self._live:
            self._draw(step, done, total)
        else:
            self._line(f"{_title(step)}: {step.doing}, {self._so_far(done, total)}")

    def note(self, text: str) -> None:
        """Write a line of its own."""
        self._line(text)

    def end(self, text: str) -> None:
        """Say how the step ended and how long it took."""
        if self._step is not None:
            took = duration(self._clock() - self._started)
            self._line(f"{_title(self._step)}: {text} in {took}")
        self._step = None

    def _so_far(self, done: int, total: int) -> str:
        parts = [f"{duration(self._clock() - self._started)} so far"]
        if self._step is not None:
            parts.append(f"usually {duration(self._step.expected_s)}")
        if done:
            of = f" of {total / _MIB:.0f}" if total else ""
            parts.insert(0, f"{done / _MIB:.0f}{of} MiB")
        return ", ".join(parts)

    def _draw(self, step: Step, done: int, total: int) -> None:
        text = f"{_title(step)}: {step.doing}, {self._so_far(done, total)}"
        # Back to the first column, the text, and the rest of the old line erased.
        self._write(f"\r{text}\x1b[K")
        self._drawn = True

    def _line(self, text: str) -> None:
        clear = "\r\x1b[K" if self._drawn else ""
        self._drawn = False
        self._write(f"{clear}{text}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def duration(seconds: float) -> str:
    """Return a duration as a person says it: ``8 s``, ``3 min 50 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def _title(step: Step) -> str:
    return f"[{step.index}/{step.total}] {step.name} {step.version}"
