"""
Directories that one process alone sees, at paths that it has hard-coded.

A user namespace and a mount namespace of its own (unshare(1)); in it an overlay over
the deepest directory that there is, so that the host sees nothing of it, and a bind
mount over the path. Overlays within user namespaces need Linux 5.11.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import ClusterError


if TYPE_CHECKING:
    from collections.abc import Mapping

UNSHARE: Final = ("unshare", "--user", "--map-root-user", "--mount")
_TIMEOUT_S: Final = 10.0


def script(mounts: Mapping[str, str], home: Path) -> str:
    """
    Return the shell commands that mount directories, to be run in `UNSHARE`.

    Args:
        mounts: The directory that is seen, by the path at which it is.
        home: Where overlays keep what is written to them.

    """
    commands = []
    for number, (path, source) in enumerate(sorted(mounts.items())):
        below = _deepest(Path(path))
        upper, work = home / f"{number}-upper", home / f"{number}-work"
        # An absolute path within the upper layer, where only its end is missing.
        missing = upper / Path(path).relative_to(below)
        quoted = {
            name: shlex.quote(str(value))
            for name, value in (
                ("below", below), ("upper", upper), ("work", work),
                ("missing", missing), ("path", path), ("source", source),
            )
        }  # fmt: skip
        commands.append(
            "mkdir -p {missing} {work} {source} && mount -t overlay overlay -o "
            "lowerdir={below},upperdir={upper},workdir={work} {below} && "
            "mount --bind {source} {path}".format(**quoted)
        )
    return " && ".join(commands)


def check() -> None:
    """
    Return when this kernel lets a user mount for one process alone.

    Raises:
        ClusterError: It does not, with what it says.

    """
    try:
        done = subprocess.run(
            [*UNSHARE, "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except FileNotFoundError as error:
        raise ClusterError(
            "mounts= needs unshare(1) of util-linux, which is not on PATH"
        ) from error
    if done.returncode:
        raise ClusterError(
            f"mounts= needs user namespaces, and this kernel says: "
            f"{done.stderr.strip()}; allow them, or configure another path"
        )


def _deepest(path: Path) -> Path:
    """Return the deepest directory above a path that is there."""
    for parent in path.parents:
        if parent.is_dir():
            return parent
    return Path("/")
