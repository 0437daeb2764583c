"""A run that is stopped in the middle of a fault leaves nothing, sooner or later."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.control_plane import registry, retrying


if TYPE_CHECKING:
    from collections.abc import Callable

SUITE = """
import os
import threading
from pathlib import Path

import pytest
from pytest_knav.faults import NodeCrash

pytestmark = pytest.mark.knav(nodes=2)


def test_long(cluster, chaos):
    with chaos.inject(NodeCrash("dgx-h100-0001")):
        Path("injected").write_text(str(os.getpid()))
        threading.Event().wait(120)
"""
# For those who are killed at once: what is left is the same, fault or no fault.
IDLE = """
import os
import threading
from pathlib import Path

import pytest


@pytest.mark.knav(nodes=2)
def test_long(cluster):
    Path("injected").write_text(str(os.getpid()))
    threading.Event().wait(120)
"""
SHORT = """
import pytest

@pytest.mark.knav(nodes=1)
def test_short(cluster): pass
"""
QUICK_S = 15.0


def await_gone(project: Any) -> None:
    """Return once no process and no cluster is left."""
    assert retrying.until(
        lambda: not project.left() and not project.processes(), timeout_s=QUICK_S
    ), (project.left(), project.processes())


class TestInterrupt:
    """Ctrl-C, and a polite request to end."""

    @pytest.mark.parametrize(
        ("number", "workers"),
        [(signal.SIGINT, ()), (signal.SIGTERM, ()), (signal.SIGINT, ("-n1",))],
        ids=["ctrl-c", "terminated", "ctrl-c with a worker"],
    )
    def test_leaves_nothing(
        self,
        project: Callable[..., Any],
        number: signal.Signals,
        workers: tuple[str, ...],
    ) -> None:
        """It ends soon, as interrupted, and the cluster is gone."""
        made = project(test_long=SUITE)
        process = made.start(*workers)
        made.await_file("injected")
        began = time.monotonic()

        os.killpg(process.pid, number)

        output, _ = process.communicate(timeout=60)
        assert time.monotonic() - began < QUICK_S
        assert process.returncode == pytest.ExitCode.INTERRUPTED, output
        assert "KeyboardInterrupt" in output
        await_gone(made)

    def test_controller_is_terminated(self, project: Callable[..., Any]) -> None:
        """Workers whose controller is gone clean up by themselves."""
        made = project(test_long=SUITE)
        process = made.start("-n1")
        made.await_file("injected")

        process.send_signal(signal.SIGTERM)

        process.communicate(timeout=60)
        await_gone(made)


class TestKill:
    """What cannot be caught is cleaned up by whoever comes next."""

    def test_next_session_removes_the_dead(
        self, project: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The killed run's cluster goes, and one that the user keeps stays."""
        made = project(test_long=IDLE, test_short=SHORT)
        monkeypatch.setenv("XDG_STATE_HOME", str(made.path / "state"))
        kept = registry.claim("kept", owned=False)
        process = made.start("test_long.py")
        made.await_file("injected")
        process.kill()
        process.communicate()
        (dead,) = set(made.left()) - {kept.name}
        assert made.processes()

        code, output = made.run("test_short.py")

        assert code == 0, output
        assert dead not in made.left()
        assert made.left() == [kept.name]
        assert made.processes() == []
        registry.remove(kept)

    def test_controller_removes_what_a_dead_worker_left(
        self, project: Callable[..., Any]
    ) -> None:
        """The run goes on, and at its end the dead worker's cluster is gone."""
        made = project(test_long=IDLE)
        process = made.start("-n1", "--alluredir=results")
        worker = int(made.await_file("injected"))

        os.kill(worker, signal.SIGKILL)

        output, _ = process.communicate(timeout=60)
        assert process.returncode == pytest.ExitCode.TESTS_FAILED, output
        assert made.left() == []
        assert made.processes() == []
        assert made.results()["test_long"]["status"] == "broken"
