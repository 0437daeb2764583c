"""Who may use a cluster that stays: one test run or one command at a time."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane import retrying
from pytest_knav.errors import ClusterError


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_knav.control_plane.registry import ClusterEntry

LOCK_FILE: Final = "in-use.lock"
# A process that is killed while it starts another one leaves its open files to that
# one, until the new program has begun.
_PATIENCE_S: Final = 1.0


class Busy(ClusterError):
    """Somebody else uses the cluster right now."""


@contextmanager
def alone(entry: ClusterEntry) -> Iterator[None]:
    """
    Hold a cluster for the time of a block; a process that dies lets go of it.

    Raises:
        Busy: Another process holds it.

    """
    message = (
        f"cluster {entry.name!r} is in use by another test run, xdist worker or knav "
        "command"
    )
    with held(entry.directory / LOCK_FILE, message):
        yield


@contextmanager
def held(path: Path, message: str) -> Iterator[None]:
    """
    Hold a lock file for the time of a block; raises `Busy` with a message if taken.

    A process that dies lets go of it, if not at once.
    """
    with path.open("w") as lock:

        def mine() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not retrying.until(mine, timeout_s=_PATIENCE_S):
            raise Busy(message)
        yield
