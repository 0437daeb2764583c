"""
The user's cache of assets: whole binaries or nothing, one getter per asset at a time.

``<cache>/assets/<name>-<version>-linux-<arch>/`` holds the binary and ``asset.json``.
Work happens in ``<cache>/assets/.staging/<slot>.<random>/`` of the same file system and
becomes visible by one rename. What a killed process left there is removed by the next
one that gets the same asset.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import tempfile
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from pytest_knav.control_plane.assets import disk
from pytest_knav.errors import AssetError
from pytest_knav.homes import cache_home


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_knav.control_plane.assets.progress import Progress
    from pytest_knav.control_plane.assets.table import Asset


BUILDER: Final = "builder.json"
_RECORD = "asset.json"
_POLL_S = 0.2
_LOCK_TIMEOUT_S = 2 * 3600.0


def assets_home() -> Path:
    """Return the directory that holds all cached assets."""
    return cache_home() / "assets"


def prepare() -> None:
    """Make the directory, or say why it cannot be written."""
    home = assets_home()
    try:
        for folder in (home / ".locks", home / ".staging"):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        if disk.is_full(error):
            raise disk.too_full(
                home, disk.DOWNLOAD_BYTES, purpose="the cache of assets"
            ) from error
        raise AssetError(
            f"the cache of assets {home} cannot be written ({error}): set "
            "XDG_CACHE_HOME to a directory of yours"
        ) from error


def find(asset: Asset, arch: str) -> Path | None:
    """Return the cached binary, or None unless it is there and whole."""
    binary = assets_home() / asset.slot(arch) / asset.name
    try:
        record = json.loads((binary.parent / _RECORD).read_text())
        whole = binary.stat().st_size == record["bytes"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return binary if whole and os.access(binary, os.X_OK) else None


def origin(asset: Asset, arch: str) -> str:
    """Return in words how a cached asset was got."""
    record = json.loads((assets_home() / asset.slot(arch) / _RECORD).read_text())
    return f"{record['origin']} on {record['when'][:10]}"


@contextmanager
def locked(slot: str, progress: Progress) -> Iterator[Callable[[str], None]]:
    """
    Hold the only right to get one asset, waiting for another process that has it.

    Yields a function that tells waiting processes what is being done. The kernel frees
    the lock when its holder dies, however it dies.
    """
    with (assets_home() / ".locks" / slot).open("a+") as file:
        _acquire(file, slot, progress)

        def say(doing: str) -> None:
            file.seek(0)
            file.truncate()
            file.write(f"{os.getpid()} {doing}")
            file.flush()

        say(f"getting {slot}")
        try:
            yield say
        finally:
            file.truncate(0)


def _acquire(file: IO[str], slot: str, progress: Progress) -> None:
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    told = ""
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file, slot)
            if time.monotonic() > deadline:
                raise AssetError(
                    f"waited two hours for {holder}: see what it does, or end it"
                ) from None
            if holder != told:
                progress.note(f"waiting for {holder}")
                told = holder
            time.sleep(_POLL_S)
        else:
            return


def _holder(file: IO[str], slot: str) -> str:
    file.seek(0)
    pid, _, doing = file.read(200).partition(" ")
    return f"process {pid} that is {doing}" if doing else f"the process getting {slot}"


@contextmanager
def staging(slot: str) -> Iterator[Path]:
    """Give an empty directory beside the cache, gone at the end; needs the lock."""
    sweep(slot)
    stage = Path(tempfile.mkdtemp(prefix=f"{slot}.", dir=assets_home() / ".staging"))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def sweep(slot: str) -> None:
    """Remove what killed processes left of an asset, and end their builds."""
    for stage in (assets_home() / ".staging").glob(f"{slot}.*"):
        with suppress(OSError, ValueError, LookupError, TypeError):
            _end_orphan(json.loads((stage / BUILDER).read_text()))
        shutil.rmtree(stage, ignore_errors=True)


def _end_orphan(builder: dict[str, float]) -> None:
    import psutil  # noqa: PLC0415 - only after a crash

    pid = int(builder["pid"])
    with suppress(psutil.Error):
        # A pid is used again sooner or later; with its start time it is one process.
        if abs(psutil.Process(pid).create_time() - builder["created"]) < 0.01:
            os.killpg(pid, signal.SIGKILL)


def install(
    binary: Path, asset: Asset, arch: str, *, origin: str, seconds: float
) -> Path:
    """Put a finished binary into the cache: whole, at once, and on the disk."""
    slot = asset.slot(arch)
    ready = binary.parent / f"{slot}.ready"
    ready.mkdir()
    placed = binary.rename(ready / asset.name)
    placed.chmod(0o755)
    record = {
        "name": asset.name,
        "version": asset.version,
        "origin": origin,
        "sha256": sha256(placed),
        "bytes": placed.stat().st_size,
        "seconds": round(seconds, 1),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    (ready / _RECORD).write_text(json.dumps(record, indent=2) + "\n")
    for path in (placed, ready / _RECORD, ready):
        sync(path)
    final = assets_home() / slot
    # What is there was not whole, or it would have been used.
    shutil.rmtree(final, ignore_errors=True)
    ready.rename(final)
    sync(final.parent)
    return final / asset.name


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Force a file or a directory out to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
