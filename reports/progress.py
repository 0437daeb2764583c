"""What a test waits for, and for how long: on a terminal, while it waits."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest
    from _pytest._io import TerminalWriter

    Steps = Callable[[str], AbstractContextManager[object]]

# What is over sooner needs no words.
_QUIET_S: Final = 2.0
_EACH_S: Final = 0.5
# Where the text begins is where pytest goes on: kept, gone back to, cleared behind.
_KEEP, _BACK = "\x1b7", "\x1b8\x1b[K"
_LEAST_WIDTH: Final = 20


def shown_on(config: pytest.Config, steps: Steps) -> Steps:
    """Return steps that say on the terminal what they wait for, if there is one."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    writer: TerminalWriter | None = getattr(reporter, "_tw", None)
    isatty = getattr(reporter, "isatty", False)
    live = writer is not None and isatty and not hasattr(config, "workerinput")
    # With -s a test's own output comes in between.
    if writer is None or not live or config.getoption("capture", "fd") == "no":
        return steps
    return Waiting(writer, steps).step


class Waiting:
    """
    Writes the innermost step and its seconds behind what pytest has written.

    Args:
        writer: The terminal.
        steps: What is done besides.

    """

    def __init__(self, writer: TerminalWriter, steps: Steps) -> None:
        self._writer = writer
        self._steps = steps
        self._open: list[tuple[str, float]] = []
        self._written = False

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Do a step, and say what it waits for while it lasts."""
        first = not self._open
        self._open.append((title, time.monotonic()))
        over = threading.Event()
        teller = threading.Thread(target=self._tell, args=(over,), daemon=True)
        if first:
            teller.start()
        try:
            with self._steps(title):
                yield
        finally:
            self._open.pop()
            if first:
                over.set()
                teller.join()

    def text(self, now_s: float) -> str:
        """Return what is said at a moment; nothing of what has only just begun."""
        if not self._open or now_s - self._open[-1][1] < _QUIET_S:
            return ""
        title, since_s = self._open[-1]
        took = f" {now_s - since_s:.0f}s"
        width = self._writer.fullwidth - self._writer.width_of_current_line - 2
        if width < _LEAST_WIDTH:
            return ""
        room = width - len(took)
        short = title if len(title) <= room else f"{title[: room - 1]}…"
        return f" {short}{took}"

    def _tell(self, over: threading.Event) -> None:
        while not over.wait(_EACH_S):
            self._show(self.text(time.monotonic()))
        if self._written:
            self._put(_BACK)
            self._written = False

    def _show(self, text: str) -> None:
        if not text and not self._written:
            return
        self._put(f"{_BACK if self._written else _KEEP}{text}")
        self._written = bool(self._written or text)

    def _put(self, text: str) -> None:
        # Past the writer's own count of columns: for pytest nothing was written.
        file = self._writer._file  # noqa: SLF001 - it offers no other way
        file.write(text)
        file.flush()
