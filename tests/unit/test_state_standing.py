"""How a cluster stands: told from its processes and files alone."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_knav.control_plane import processes, registry, retrying
from pytest_knav.control_plane.state.restore import LOCK_FILE, UNFINISHED_FILE
from pytest_knav.control_plane.state.standing import remedy, standing


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> registry.ClusterEntry:
    """Return a cluster without processes."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return registry.claim("c", owned=False)


@pytest.fixture
def start(
    entry: registry.ClusterEntry,
) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Return a function that starts something under the name of a component."""
    running = []

    def one(name: str) -> subprocess.Popen[bytes]:
        program = entry.directory / name
        program.symlink_to(os.path.realpath(sys.executable))
        running.append(
            subprocess.Popen(
                [program, "-c", "input()"],
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        )
        pid = running[-1].pid
        assert retrying.until(
            lambda: pid in processes.of_directory(entry.directory), timeout_s=10
        )
        return running[-1]

    yield one
    for process in running:
        process.kill()
        process.communicate()


def hold(process: subprocess.Popen[bytes]) -> None:
    """Stop a process by a signal and wait until it is."""
    process.send_signal(signal.SIGSTOP)
    assert retrying.until(lambda: processes.is_stopped(process.pid), timeout_s=10)


def test_held_is_just_what_a_restore_leaves(
    entry: registry.ClusterEntry, start: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    """KWOK stopped and nothing else that moves; one of them alone is a fault."""
    kwok = start("kwok-controller")
    moving = standing(entry)
    hold(kwok)
    held = standing(entry)
    start("kube-scheduler")
    fault = standing(entry)

    assert (moving, held, fault) == ("moving", "held", "moving")
    assert remedy(entry, "held").endswith("`knav cluster wake c` starts them")


def test_a_restore_under_way_is_not_a_killed_one(entry: registry.ClusterEntry) -> None:
    """The lock of the process that restores tells them apart."""
    (entry.directory / UNFINISHED_FILE).touch()
    with (entry.directory / LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        under_way = standing(entry)
    killed = standing(entry)

    assert (under_way, killed) == ("restoring", "half restored")
    assert "`knav cluster restore c --from FILE`" in remedy(entry, "half restored")
