"""What a terminal shows while a test waits."""

from __future__ import annotations

import io
import threading
from contextlib import nullcontext

from _pytest._io import TerminalWriter

from pytest_knav.reports import progress
from pytest_knav.reports.progress import Waiting


def waiting() -> tuple[Waiting, io.StringIO]:
    """Return what tells of waiting, and what it writes to."""
    file = io.StringIO()
    writer = TerminalWriter(file)
    writer.fullwidth = 60
    return Waiting(writer, nullcontext), file


class TestText:
    """What is said."""

    def test_the_innermost_step_with_its_seconds(self) -> None:
        """After it has lasted for two."""
        told, _ = waiting()
        told._open = [("outer", 0.0), ("wait for Gang llama running", 10.0)]

        assert told.text(11.9) == ""
        assert told.text(22.0) == " wait for Gang llama running 12s"

    def test_it_never_wraps(self) -> None:
        """A terminal that wraps could not go back to where pytest was."""
        told, _ = waiting()
        told._open = [("x" * 200, 0.0)]
        told._writer.write("tests/test_a.py ..")

        text = told.text(100.0)

        assert text.endswith("… 100s")
        assert len(text) + told._writer.width_of_current_line < 60


def test_what_is_written_is_taken_back() -> None:
    """The line is as pytest left it, also where the step raised."""
    told, file = waiting()
    seen = threading.Event()
    told.text = lambda _now: seen.set() or " waiting 3s"  # type: ignore[method-assign,func-returns-value]

    with told.step("wait"):
        assert seen.wait(30)

    assert "waiting 3s" in file.getvalue()
    assert file.getvalue().startswith(progress._KEEP)
    assert file.getvalue().endswith(progress._BACK)


def test_what_is_over_at_once_says_nothing() -> None:
    """A quick test writes nothing, nested or not."""
    told, file = waiting()

    with told.step("outer"), told.step("inner"):
        pass

    assert file.getvalue() == ""
    assert told._open == []
