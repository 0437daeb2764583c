"""
Ports of this machine, given out so that parallel creates never collide.

kwokctl's own picker binds, closes and hopes. Here a port is written down in a file of
our state directory before anything uses it, under a lock that all processes share, and
is taken from below the range that the kernel uses for outgoing connections. The design
follows controller-runtime's `addr` manager.
"""

from __future__ import annotations

import fcntl
import random
import socket
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_knav.errors import ClusterError
from pytest_knav.homes import state_home


if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

FIRST_PORT = 15_000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 2_000


def reserve(owner: str, count: int) -> list[int]:
    """
    Reserve ports on loopback until `release` is called for the same owner.

    Raises:
        ClusterError: No free ports are left in the range.

    """
    chosen: list[int] = []
    with _locked():
        last = _last_port()
        # Where to start is no decision of a test, so it needs no seed.
        start = random.randrange(FIRST_PORT, last)  # noqa: S311
        for step in range(min(_TRIES, last - FIRST_PORT)):
            port = FIRST_PORT + (start - FIRST_PORT + step) % (last - FIRST_PORT)
            if not _file(port).exists() and is_free(port):
                _file(port).write_text(owner)
                chosen.append(port)
            if len(chosen) == count:
                return chosen
    release(owner)
    raise ClusterError(
        f"no {count} free ports between {FIRST_PORT} and {last}: "
        "remove old clusters with `knav cluster prune`"
    )


def reserve_exactly(owner: str, port: int) -> None:
    """
    Reserve the one port that a user asked for.

    Raises:
        ClusterError: Something listens on it, or another cluster holds it.

    """
    with _locked():
        holder = _file(port).read_text() if _file(port).exists() else None
        if holder not in {None, owner}:
            raise ClusterError(
                f"port {port} belongs to cluster {holder!r}: "
                "choose another, or `knav cluster down` that one"
            )
        if not is_free(port):
            raise ClusterError(
                f"port {port} is in use on 127.0.0.1 by another program: "
                "choose another, or leave the choice to pytest-knav"
            )
        _file(port).write_text(owner)


def release(owner: str) -> None:
    """Give back every port of an owner; harmless when there is none."""
    for path in _directory().glob("*"):
        if path.is_file() and path.name.isdigit() and _owner_of(path) == owner:
            path.unlink(missing_ok=True)


def release_others(owners: Collection[str]) -> None:
    """Give back every port whose owner is none of these."""
    for path in _directory().glob("*"):
        if path.name.isdigit() and _owner_of(path) not in owners:
            path.unlink(missing_ok=True)


def is_free(port: int) -> bool:
    """Return whether nothing listens on a loopback port now."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _owner_of(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _last_port() -> int:
    if _EPHEMERAL_RANGE.exists():
        first_ephemeral = int(_EPHEMERAL_RANGE.read_text().split()[0])
        if first_ephemeral > FIRST_PORT + 1_000:
            return min(first_ephemeral, 32_000)
    return 32_000


def _directory() -> Path:
    directory = state_home() / "ports"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _file(port: int) -> Path:
    return _directory() / str(port)


@contextmanager
def _locked() -> Iterator[None]:
    with (_directory() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
