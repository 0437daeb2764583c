"""
Which clusters exist on this machine and who owns them, surviving any crash.

A cluster is written down before its first process starts and forgotten after its last
one is gone. A cluster whose owner died without a goodbye is *dead* and may be removed
by anyone; a cluster that the user asked for (`knav cluster up`) has no owner and stays
until the user takes it down.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from pytest_knav.control_plane import ports, processes
from pytest_knav.control_plane.processes import ProcessIdentity
from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.homes import state_home


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_ENTRY = "cluster.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEntry:
    """
    One cluster as the registry knows it; `owner` is None when the user keeps it.

    `spare` is not empty where a run has left it for another one: what may take it.
    """

    name: str
    fingerprint: str
    created: float
    owner: ProcessIdentity | None
    key: str = ""
    description: str = ""
    spare: str = ""

    @property
    def directory(self) -> Path:
        """Return the directory that holds all of the cluster's files."""
        return clusters_home() / self.name

    @property
    def kubeconfig(self) -> Path:
        """Return the path of the cluster's own kubeconfig."""
        return self.directory / "kubeconfig"

    @property
    def dead(self) -> bool:
        """Return whether the owner is gone without having removed the cluster."""
        return self.owner is not None and not self.owner.alive


def clusters_home() -> Path:
    """Return the directory of all clusters, made if need be, for this user alone."""
    directory = state_home() / "clusters"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory


def claim(name: str, *, owned: bool) -> ClusterEntry:
    """
    Write a new cluster down before anything of it exists.

    Args:
        name: Lower-case letters, digits and dashes, at most 40.
        owned: Whether the cluster shall end with this process.

    Raises:
        BadInput: The name cannot be used.
        ClusterError: A cluster of that name exists.

    """
    _check_spelling(name)
    entry = ClusterEntry(
        name=name,
        fingerprint=secrets.token_hex(16),
        created=time.time(),
        owner=ProcessIdentity.mine() if owned else None,
    )
    with _locked():
        _check_new(name)
        entry.directory.mkdir(mode=0o700)
        _write(entry)
    return entry


def check_name(name: str) -> None:
    """
    Return when a name could be claimed now.

    Raises:
        BadInput: It cannot be used.
        ClusterError: A cluster of that name exists.

    """
    _check_spelling(name)
    _check_new(name)


def keep(entry: ClusterEntry) -> ClusterEntry:
    """Let a cluster outlive its owner: from now on only the user ends it."""
    kept = replace(entry, owner=None)
    _write(kept)
    return kept


def leave(entry: ClusterEntry, kind: str) -> ClusterEntry:
    """Let another run of this kind take a cluster over; until then it is kept."""
    left = replace(entry, owner=None, spare=kind)
    _write(left)
    return left


def take(key: str, kind: str) -> tuple[ClusterEntry | None, list[ClusterEntry]]:
    """
    Own the oldest cluster that was left, has this key and is for this kind of run.

    Two processes never get the same one; one that dies owns it until `prune`.

    Returns:
        It, if there is one, and the others that were left.

    """
    with _locked():
        left = [entry for entry in entries() if entry.spare and entry.owner is None]
        for entry in left:
            if (entry.key, entry.spare) == (key, kind):
                mine = replace(entry, owner=ProcessIdentity.mine(), spare="")
                _write(mine)
                return mine, [other for other in left if other is not entry]
    return None, left


def update(entry: ClusterEntry, *, key: str, description: str) -> ClusterEntry:
    """Write down what became known while the cluster was made."""
    changed = replace(entry, key=key, description=description)
    _write(changed)
    return changed


def entries() -> list[ClusterEntry]:
    """Return every cluster of this user on this machine, oldest first."""
    found = [_read(path) for path in clusters_home().glob(f"[!.]*/{_ENTRY}")]
    return sorted(
        (entry for entry in found if entry is not None), key=lambda e: e.created
    )


def find(name: str) -> ClusterEntry:
    """
    Return a cluster by name.

    Raises:
        ClusterError: There is none of that name.

    """
    known = entries()
    for entry in known:
        if entry.name == name:
            return entry
    names = ", ".join(e.name for e in known) or "none"
    raise ClusterError(f"no cluster {name!r} here; there are: {names}")


def dead_clusters() -> list[str]:
    """Return the names of clusters whose owner died without removing them."""
    return [entry.name for entry in entries() if entry.dead]


def prune() -> list[str]:
    """
    Remove the dead clusters and nothing else; return their names.

    What a killed `claim` or `remove` has left half done is finished as well.
    """
    removed = []
    for entry in entries():
        if entry.dead:
            remove(entry)
            removed.append(entry.name)
    _finish_removals()
    return removed


def remove(entry: ClusterEntry) -> None:
    """
    End every process of a cluster and remove its files and ports.

    Harmless when repeated, and when another process does the same at the same time.
    Only processes whose program lies in the cluster's own directory are touched.

    Raises:
        ClusterError: A process did not end.

    """
    _end_processes(entry.directory)
    with _locked():
        try:
            doomed = _doom(entry.directory)
        except FileNotFoundError:
            return
    # Whatever a kwokctl started in between is found by the old path; now that the
    # path is gone, nothing new can start from it.
    _end_processes(entry.directory)
    processes.reap()
    ports.release(entry.name)
    shutil.rmtree(doomed, ignore_errors=True)


def _finish_removals() -> None:
    home = clusters_home()
    with _locked():
        # A claim is made under this lock, so a directory without an entry is what a
        # killed one left, and a port whose owner has no directory belongs to nobody.
        for directory in home.glob("[!.]*"):
            if not (directory / _ENTRY).exists():
                _doom(directory)
        alive = {directory.name for directory in home.glob("[!.]*")}
        doomed = [path for path in home.glob(".*") if path.is_dir()]
        for path in doomed:
            name = path.name[1:].rpartition("-")[0]
            if name not in alive:
                _end_processes(home / name)
        ports.release_others(alive)
    for path in doomed:
        shutil.rmtree(path, ignore_errors=True)


def _doom(directory: Path) -> Path:
    doomed = directory.with_name(f".{directory.name}-{secrets.token_hex(4)}")
    return directory.rename(doomed)


def _check_spelling(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"cluster name {name!r}: use 1 to 40 lower-case letters, digits and dashes"
        )


def _check_new(name: str) -> None:
    if (clusters_home() / name).exists():
        raise ClusterError(
            f"cluster {name!r} exists already: "
            f"`knav cluster down {name}` removes it, `knav cluster list` shows all"
        )


def _end_processes(directory: Path) -> None:
    for pid in processes.of_directory(directory):
        identity = ProcessIdentity.of(pid)
        if identity is not None and not processes.end(identity):
            raise ClusterError(
                f"process {pid} of cluster {directory.name!r} does not end: "
                f"look at it with `ps -fp {pid}`"
            )


def _write(entry: ClusterEntry) -> None:
    path = entry.directory / _ENTRY
    temporary = path.with_suffix(".new")
    with temporary.open("w") as file:
        json.dump(asdict(entry), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(0o600)
    temporary.replace(path)


def _read(path: Path) -> ClusterEntry | None:
    try:
        raw = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    owner = raw.pop("owner")
    return ClusterEntry(**raw, owner=ProcessIdentity(**owner) if owner else None)


@contextmanager
def _locked() -> Iterator[None]:
    with (clusters_home() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
