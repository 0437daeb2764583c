"""What the recorder holds: changes at a steady rate; no cluster is needed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import HarnessError
from pytest_knav.history.recorder import Recorder
from pytest_knav.history.resources import Resource
from pytest_knav.history.transport import HttpTransport
from pytest_knav.selfbench import feed
from pytest_knav.selfbench.cases import FAST
from pytest_knav.selfbench.course import Course, Step


if TYPE_CHECKING:
    from pytest_knav.history import History
    from pytest_knav.selfbench.course import Kit

EVENTS_PER_S: Final = 2_000
SECONDS: Final = 10.0
_TURNS: Final = int(EVENTS_PER_S * SECONDS) // feed.TURN_EVENTS
EVENTS: Final = _TURNS * feed.TURN_EVENTS
_TIMEOUT_S: Final = 6 * SECONDS
_RESOURCES: Final = (
    Resource("Pod", feed.PODS_PATH),
    Resource("Lease", feed.LEASES_PATH),
    Resource("Event", feed.EVENTS_PATH),
)


def course(kit: Kit) -> Course:
    """Return the course of the recorder alone."""
    stream = Stream(kit.folder)
    step = Step(case="stream", objects=EVENTS, prepare=stream.prepare, act=stream.act)
    return Course(side=FAST, workdir=kit.folder, steps=(step,), close=stream.close)


class Stream:
    """
    Everything that a server says in ten seconds, recorded to disk.

    Args:
        folder: Where the history goes, in a directory of its own.
        turns: How often the server says what it says.
        seconds: How long that takes it.

    """

    def __init__(
        self, folder: Path, *, turns: int = _TURNS, seconds: float = SECONDS
    ) -> None:
        self._folder = folder
        self._turns = turns
        self._seconds = seconds
        self._server: subprocess.Popen[str] | None = None
        self._url = ""

    def prepare(self) -> None:
        """
        Start the server.

        Raises:
            HarnessError: It does not start.

        """
        self.close()
        self._server = subprocess.Popen(
            [
                *(sys.executable, "-m", feed.__name__),
                *(str(self._turns), str(self._seconds)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        port = self._server.stdout.readline().strip() if self._server.stdout else ""
        if not port:
            raise HarnessError("the server of the stream did not start")
        self._url = f"http://127.0.0.1:{port}"

    def act(self) -> None:
        """
        Record; return when everything that was said is recorded.

        Raises:
            HarnessError: Something is missing.

        """
        directory = Path(tempfile.mkdtemp(prefix="stream-", dir=self._folder))
        said = self._turns * feed.TURN_EVENTS
        with Recorder(
            HttpTransport(self._url), _RESOURCES, directory=directory, heartbeat=False
        ) as recorder:

            def whole(history: History) -> bool:
                return sum(history.count(r.kind) for r in _RESOURCES) >= said

            if not recorder.wait(whole, _TIMEOUT_S):
                found = sum(recorder.history.count(r.kind) for r in _RESOURCES)
                raise HarnessError(f"{found} of {said} events are recorded")
            if recorder.history.gaps():
                raise HarnessError("the stream was broken")

    def close(self) -> None:
        """End the server."""
        server, self._server = self._server, None
        if server is not None:
            server.kill()
            server.wait()
            if server.stdout is not None:
                server.stdout.close()
