"""
CPU seconds and peak memory of every component, from /proc, while something happens.

The pids are those in kwokctl's pid files, the same for both sides. A process that ends
within a step loses what it used after the last look: at most a twentieth of a second.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pytest_knav.control_plane import processes


if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE_S: Final = 0.05
# This process: recorder, loader, and the measuring itself.
OURSELVES: Final = "knav"
# The command line tool, as far as a step runs it.
TOOL: Final = "kwokctl"
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """What components used."""

    cpu_s: dict[str, float]
    peak_mib: dict[str, float]


class _Seen(NamedTuple):
    """What /proc says of a process; `started` tells it from a later one of its pid."""

    started: int
    cpu_s: float
    peak_mib: float


@dataclass(slots=True)
class _Book:
    """What was seen of each process since a step began."""

    before: dict[tuple[str, int, int], float] = field(default_factory=dict)
    last: dict[tuple[str, int, int], float] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)


class Meter:
    """
    Measures the components of one control plane.

    Args:
        workdir: kwokctl's directory of the cluster; it need not be there yet.

    """

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir
        self._known: set[tuple[str, int, int]] = set()

    @contextmanager
    def measure(self, *, tool: bool = False) -> Iterator[Usage]:
        """
        Measure what is used within the block; the answer is filled in at its end.

        Args:
            tool: Whether the children of this process that end within the block are
                kwokctl. Components that a reset starts are children too.

        """
        usage = Usage({}, {})
        book = _Book()
        self._begin(book)
        own, children = time.process_time(), _children_s()
        ended = threading.Event()
        sampler = threading.Thread(
            target=self._sample_until, args=(book, ended), name="knav-meter"
        )
        sampler.start()
        try:
            yield usage
        finally:
            ended.set()
            sampler.join()
            self._sample(book)
            _fill(usage, book)
            if tool:
                usage.cpu_s[TOOL] = _children_s() - children
            usage.cpu_s[OURSELVES] = time.process_time() - own
            mine = read_process(os.getpid())
            usage.peak_mib[OURSELVES] = mine.peak_mib if mine else 0.0

    def _begin(self, book: _Book) -> None:
        for _, pid in self._pids():
            _forget_peak(pid)
        _forget_peak(os.getpid())
        self._sample(book)
        book.before.update(book.last)

    def _sample_until(self, book: _Book, ended: threading.Event) -> None:
        while not ended.wait(SAMPLE_S):
            self._sample(book)

    def _sample(self, book: _Book) -> None:
        for component, pid in self._pids():
            seen = read_process(pid)
            if seen is None or not self._ours(component, pid, seen.started):
                continue
            book.last[component, pid, seen.started] = seen.cpu_s
            book.peak[component] = max(book.peak.get(component, 0.0), seen.peak_mib)

    def _pids(self) -> Iterator[tuple[str, int]]:
        for path in (self._workdir / "pids").glob("*.pid"):
            # It may vanish or be half written while a component is started again.
            with suppress(OSError, ValueError):
                yield path.stem, int(path.read_text())

    def _ours(self, component: str, pid: int, started: int) -> bool:
        """Return whether a process is the component, and not a later one of its pid."""
        key = (component, pid, started)
        if key not in self._known:
            program = (processes.command_line(pid) or [""])[0]
            if not program.startswith(f"{self._workdir}{os.sep}"):
                return False
            self._known.add(key)
        return True


def read_process(pid: int) -> _Seen | None:
    """Return what /proc says of a process, or None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    # The name in parentheses may hold anything; field numbers are those of proc(5).
    fields = stat.rpartition(")")[2].split()
    ticks = sum(map(int, fields[11:15]))
    peak_kib = status.partition("VmHWM:")[2].split(maxsplit=1)[:1]
    return _Seen(
        started=int(fields[19]),
        cpu_s=ticks / _TICKS_PER_S,
        peak_mib=int(peak_kib[0]) / 1024 if peak_kib else 0.0,
    )


def _forget_peak(pid: int) -> None:
    """Set the largest resident size to the present one (proc(5), clear_refs)."""
    # Where the kernel has no such file, a peak is that since the process began.
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _fill(usage: Usage, book: _Book) -> None:
    for key, cpu_s in sorted(book.last.items()):
        component = key[0]
        spent = cpu_s - book.before.get(key, 0.0)
        usage.cpu_s[component] = usage.cpu_s.get(component, 0.0) + spent
    usage.peak_mib.update(sorted(book.peak.items()))
