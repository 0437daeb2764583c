"""Processes that outlive their parent: who they are, and how to stop just those."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from pytest_knav.control_plane import retrying


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """
    A pid with its start time and boot, so that a reused pid is never taken for it.

    `started` is in clock ticks since boot (field 22 of /proc/PID/stat, proc(5)).
    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """Return the identity of a running process, or None when there is none."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()
        if fields[0] in {"Z", "X"} and not _other_threads(pid):
            return None
        return cls(pid=pid, started=int(fields[19]), boot=_boot_id())

    @classmethod
    def mine(cls) -> ProcessIdentity:
        """Return the identity of this process."""
        identity = cls.of(os.getpid())
        if identity is None:
            message = "a running process has no entry in /proc"
            raise RuntimeError(message)
        return identity

    @property
    def alive(self) -> bool:
        """Return whether this very process still runs."""
        return ProcessIdentity.of(self.pid) == self


def command_line(pid: int) -> list[str]:
    """Return the arguments a process was started with; empty when it is gone."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0") if part]


def is_stopped(pid: int) -> bool:
    """Return whether a process is held by SIGSTOP."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def of_directory(directory: Path) -> list[int]:
    """
    Return the pids of processes whose program lies in a directory.

    A script counts by its own path, which its interpreter is given. A kwokctl that was
    told to use the directory counts too: it may start more of them.
    """
    marker = f"{directory}{os.sep}"
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        program, *arguments = command_line(int(entry.name)) or [""]
        is_kwokctl = Path(program).name == "kwokctl"
        if is_of(program, arguments, marker) or (
            is_kwokctl and any(marker in argument for argument in arguments)
        ):
            found.append(int(entry.name))
    return found


def is_of(program: str, arguments: Sequence[str], marker: str) -> bool:
    """Return whether a program, or the script that it runs, begins with a path."""
    # `#!/usr/bin/env python3 -u` and the like put flags between them.
    script = next((a for a in arguments[:3] if not a.startswith("-")), "")
    in_bin = script.startswith(marker) and f"{os.sep}bin{os.sep}" in script
    return program.startswith(marker) or in_bin


def of_program(program: str) -> list[ProcessIdentity]:
    """Return the processes that were started by the path of a program."""
    pids = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    found = (ProcessIdentity.of(p) for p in pids if program in command_line(p)[:3])
    return [identity for identity in found if identity is not None]


def end(identity: ProcessIdentity, *, grace_s: float = 0.0) -> bool:
    """
    Stop a process: with a chance to finish when `grace_s` is given, else at once.

    Returns whether it is gone. A process held by SIGSTOP is killed like any other.
    """
    if grace_s and send(identity, signal.SIGTERM):
        send(identity, signal.SIGCONT)
        if _wait_gone(identity, grace_s):
            return True
    send(identity, signal.SIGKILL)
    return _wait_gone(identity, 10.0)


_children: dict[int, subprocess.Popen[bytes]] = {}


def spawn(
    arguments: Sequence[str], *, directory: Path, log: Path, env: Mapping[str, str]
) -> ProcessIdentity | None:
    """Start a process in a session of its own; its output is appended to a file."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            list(arguments),
            cwd=directory,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _children[child.pid] = child
    return ProcessIdentity.of(child.pid)


def is_child(pid: int) -> bool:
    """Return whether `spawn` made a process: until it is reaped its pid is its own."""
    return pid in _children


def reap() -> None:
    """Forget the children that have ended by themselves."""
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            del _children[pid]


def let_go(directory: Path) -> None:
    """Let the children of a directory outlive this process without a word."""
    for pid in of_directory(directory):
        child = _children.pop(pid, None)
        if child is not None:
            # Else it warns, when it is collected, of a child that nobody waited for.
            child.returncode = 0


def send(identity: ProcessIdentity, number: signal.Signals) -> bool:
    """Send a signal to this very process; return whether it was there to get it."""
    if not identity.alive:
        return False
    try:
        os.kill(identity.pid, number)
    except ProcessLookupError:
        return False
    return True


def _wait_gone(identity: ProcessIdentity, timeout_s: float) -> bool:
    def gone() -> bool:
        if identity.alive:
            return False
        child = _children.pop(identity.pid, None)
        if child is not None:
            child.wait()
        return True

    return retrying.until(gone, timeout_s=timeout_s, interval_s=0.01)


def _other_threads(pid: int) -> bool:
    """Return whether threads outlive their leader: they still hold its ports."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir()) > 1
    except OSError:
        return False


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
