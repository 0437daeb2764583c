"""Disk space: asked for before the work, explained when it runs out in the middle."""

from __future__ import annotations

import errno
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import AssetError


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


GIB: Final = 1024**3
BUILD_BYTES: Final = 4 * GIB
DOWNLOAD_BYTES: Final = GIB // 2

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def free_bytes(path: Path) -> int:
    """Return the space that is free where a path is, or would be."""
    return shutil.disk_usage(_existing(path)).free


def require(paths: Iterable[Path], needed: int, *, purpose: str) -> None:
    """Raise `AssetError` unless every path's file system has the space."""
    for path in paths:
        if free_bytes(path) < needed:
            raise too_full(path, needed, purpose=purpose)


def too_full(path: Path, needed: int, *, purpose: str) -> AssetError:
    """Return the error that says where there is too little space, and how much."""
    return AssetError(
        f"too little disk space for {purpose}: {path} has "
        f"{free_bytes(path) / GIB:.1f} GiB free and about {needed / GIB:.1f} GiB are "
        "needed. Free some, or put the caches on a larger disk with XDG_CACHE_HOME "
        "(and GOCACHE, GOMODCACHE and TMPDIR for a build)"
    )


def is_full(error: OSError) -> bool:
    """Tell whether an error means that a disk or a quota is full."""
    return error.errno in _FULL


@contextmanager
def explained(path: Path, needed: int, *, purpose: str) -> Iterator[None]:
    """Turn a disk that fills up in the middle into the same error as before it."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise too_full(path, needed, purpose=purpose) from error


def _existing(path: Path) -> Path:
    return next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
