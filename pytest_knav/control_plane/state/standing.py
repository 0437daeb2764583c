"""Whether a cluster moves, is held still, or was left in the middle of a restore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from pytest_knav.control_plane import processes
from pytest_knav.control_plane.state.quiet import WORKING
from pytest_knav.control_plane.state.restore import LOCK_FILE, UNFINISHED_FILE


if TYPE_CHECKING:
    from pytest_knav.control_plane.registry import ClusterEntry

Standing: TypeAlias = Literal["moving", "held", "restoring", "half restored"]


def standing(entry: ClusterEntry) -> Standing:
    """
    Return how a cluster stands, without asking its API server.

    Held means just what a restore leaves that starts nothing: neither
    kube-controller-manager nor scheduler runs, and KWOK is stopped by a signal. Where
    one of them alone is missing, a fault did it.
    """
    if _locked(entry.directory / LOCK_FILE):
        return "restoring"
    if (entry.directory / UNFINISHED_FILE).exists():
        return "half restored"
    running = _running(entry.directory)
    kwok = running.get("kwok-controller")
    if kwok is None or running.keys() & set(WORKING):
        return "moving"
    return "held" if processes.is_stopped(kwok) else "moving"


def remedy(entry: ClusterEntry, how: Standing) -> str:
    """Return what makes a cluster usable again that does not move."""
    name = entry.name
    if how == "held":
        return (
            "kube-controller-manager and scheduler are stopped and KWOK is held: "
            f"`knav cluster wake {name}` starts them"
        )
    if how == "restoring":
        return "wait until that is done"
    return (
        f"restore it again with `knav cluster restore {name} --from FILE`, or remove "
        f"it with `knav cluster down {name}`"
    )


def _running(directory: Path) -> dict[str, int]:
    """Return the pids of a cluster's components by the name of their program."""
    pids = processes.of_directory(directory)
    return {Path((processes.command_line(pid) or [""])[0]).name: pid for pid in pids}


def _locked(path: Path) -> bool:
    # Asked of the kernel: taking the lock to try it could get in a restore's way.
    try:
        inode = path.stat().st_ino
    except FileNotFoundError:
        return False
    locks = Path("/proc/locks").read_text().splitlines()
    return any("FLOCK" in line and f":{inode} " in line for line in locks)
