"""Progress on a terminal and in a log."""

from __future__ import annotations

import io

import pytest

from pytest_knav.control_plane.assets import Silent, Step, StreamProgress
from pytest_knav.control_plane.assets.progress import duration


STEP = Step(
    name="etcd", version="3.6.12", doing="building", index=2, total=5, expected_s=230
)


class Clock:
    """A clock that goes on when told."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_log_has_a_line_at_the_start_one_a_minute_and_one_at_the_end() -> None:
    """A CI log stays short however often the progress ticks."""
    stream, clock = io.StringIO(), Clock()
    progress = StreamProgress(stream, live=False, clock=clock)

    progress.begin(STEP)
    for second in range(1, 101):
        clock.now = float(second)
        progress.tick()
    progress.end("built")

    assert stream.getvalue().splitlines() == [
        "[2/5] etcd 3.6.12: building, usually 3 min 50 s",
        "[2/5] etcd 3.6.12: building, 1 min so far, usually 3 min 50 s",
        "[2/5] etcd 3.6.12: built in 1 min 40 s",
    ]


def test_a_terminal_shows_one_line_that_is_redrawn() -> None:
    """Until a step ends its line is drawn in place, with bytes when known."""
    stream, clock = io.StringIO(), Clock()
    progress = StreamProgress(stream, live=True, clock=clock)

    progress.begin(STEP)
    clock.now = 3.0
    progress.tick(5 * 1024**2, 24 * 1024**2)

    assert "\n" not in stream.getvalue()
    assert stream.getvalue().endswith(
        "\r[2/5] etcd 3.6.12: building, 5 of 24 MiB, 3 s so far, "
        "usually 3 min 50 s\x1b[K"
    )


def test_a_note_does_not_end_up_behind_a_live_line() -> None:
    """A note clears the live line first and has a line of its own."""
    stream = io.StringIO()
    progress = StreamProgress(stream, live=True, clock=Clock())

    progress.begin(STEP)
    progress.note("waiting")

    assert stream.getvalue().endswith("\r\x1b[Kwaiting\n")


def test_ci_gets_lines_even_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """CI in the environment means a log, whatever the stream says."""
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setenv("CI", "true")

    StreamProgress(stream).begin(STEP)

    assert stream.getvalue().endswith("\n")


def test_silence_is_a_progress_too(capsys: pytest.CaptureFixture[str]) -> None:
    """The silent one says nothing."""
    progress = Silent()

    progress.begin(STEP)
    progress.tick(1, 2)
    progress.note("waiting")
    progress.end("built")

    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min"), (230, "3 min 50 s")]
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    """Seconds below a minute, then minutes and seconds."""
    assert duration(seconds) == text
