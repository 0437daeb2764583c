"""
Building from the Go modules pinned in the package.

The module is copied beside the cache and built there with ``-mod=readonly``, so that
``go.sum`` decides what may go in. The user's own Go caches are used.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_knav.control_plane.assets import cache, disk, golang
from pytest_knav.control_plane.assets.table import MODULES
from pytest_knav.errors import AssetError


if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_knav.control_plane.assets.golang import Go
    from pytest_knav.control_plane.assets.progress import Progress
    from pytest_knav.control_plane.assets.table import Asset, Module


_POLL_S = 0.2
_GRACE_S = 5.0
_BUILD_TIMEOUT_S = 2 * 3600.0
_TAIL_LINES = 15
_TAIL_BYTES = 64 * 1024
_OFFLINE = (
    "dial tcp",
    "no such host",
    "connection refused",
    "i/o timeout",
    "proxyconnect",
    "TLS handshake timeout",
    "module lookup disabled by GOPROXY=off",
)


def needed_go(module: Module) -> str:
    """Return the version of Go that a module needs."""
    return golang.minimum(MODULES / module.directory / "go.mod")


def build(asset: Asset, arch: str, go: Go, stage: Path, progress: Progress) -> Path:
    """
    Return a binary built in the staging directory.

    Raises:
        AssetError: There is too little disk, no network, or the build fails.

    """
    module = asset.module
    if module is None:
        raise AssetError(f"{asset.name} {asset.version} has no pinned Go module")
    environment = _environment(go, arch, stage)
    purpose = f"building {asset.name}"
    places = _places(go, environment)
    disk.require(places, disk.BUILD_BYTES, purpose=purpose)
    with disk.explained(cache.assets_home(), disk.BUILD_BYTES, purpose=purpose):
        source = stage / "module"
        shutil.copytree(MODULES / module.directory, source)
        code, said = _run(
            _command(asset, module, go, stage), source, environment, progress
        )
    if code == 0:
        return stage / asset.name
    if "no space left on device" in said or "disk quota exceeded" in said:
        fullest = min(places, key=disk.free_bytes)
        raise disk.too_full(fullest, disk.BUILD_BYTES, purpose=purpose)
    raise AssetError(_explanation(asset, go, said))


def _command(asset: Asset, module: Module, go: Go, stage: Path) -> list[str]:
    command = [str(go.path), "build", "-trimpath"]
    if module.tags:
        command += ["-tags", module.tags]
    command += ["-ldflags", module.ldflags, "-o", str(stage / asset.name)]
    return [*command, module.package]


def _environment(go: Go, arch: str, stage: Path) -> dict[str, str]:
    scratch = stage / "tmp"
    scratch.mkdir()
    return {
        **go.environment(),
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly",
        "GOOS": "linux",
        "GOARCH": arch,
        # What a killed build leaves is then removed with the staging directory.
        "GOTMPDIR": str(scratch),
    }


def _places(go: Go, environment: dict[str, str]) -> list[Path]:
    done = subprocess.run(
        [go.path, "env", "GOCACHE", "GOMODCACHE"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=_GRACE_S * 4,
    )
    caches = [Path(line) for line in done.stdout.splitlines() if line.startswith("/")]
    return [*caches, Path(tempfile.gettempdir()), cache.assets_home()]


def _run(
    command: list[str], source: Path, environment: dict[str, str], progress: Progress
) -> tuple[int, str]:
    """Run a build in a process group of its own, which never outlives this call."""
    log = source.with_name("go.log")
    process: subprocess.Popen[bytes] | None = None
    with log.open("wb") as output:
        try:
            with _interrupted_later():
                process = subprocess.Popen(
                    command,
                    cwd=source,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            _register(process, source.with_name(cache.BUILDER))
            code = _watch(process, command, progress)
        finally:
            if process is not None:
                _stop(process)
    return code, _tail(log)


@contextmanager
def _interrupted_later() -> Iterator[None]:
    """Hold Ctrl-C back until a process that is being started can be ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
        if came:
            # To this thread, so that it is taken at once.
            signal.raise_signal(signal.SIGINT)


def _register(process: subprocess.Popen[bytes], record: Path) -> None:
    import psutil  # noqa: PLC0415 - a build pays for it, an import does not

    with suppress(psutil.Error):
        created = psutil.Process(process.pid).create_time()
        record.write_text(json.dumps({"pid": process.pid, "created": created}))


def _watch(
    process: subprocess.Popen[bytes], command: list[str], progress: Progress
) -> int:
    deadline = time.monotonic() + _BUILD_TIMEOUT_S
    while time.monotonic() < deadline:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_POLL_S)
        progress.tick()
    raise AssetError(f"still running after two hours, ended: {' '.join(command)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    # On SIGINT go removes its own scratch files, but does not wait for its compilers.
    os.killpg(process.pid, signal.SIGINT)
    deadline = time.monotonic() + _GRACE_S
    while time.monotonic() < deadline and not _ended(process.pid):
        time.sleep(_POLL_S / 10)
    # Not reaped yet, so the group's number cannot belong to anybody else.
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ended(pid: int) -> bool:
    state = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    return state is not None


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace")


def _explanation(asset: Asset, go: Go, said: str) -> str:
    tail = "\n".join(said.strip().splitlines()[-_TAIL_LINES:])
    head = f"{asset.name} {asset.version} could not be built with {go.version}"
    if any(sign in said for sign in _OFFLINE):
        return (
            f"{head}: neither the releases nor the Go modules can be reached from "
            "here. Set GOPROXY or KNAV_RELEASES to a mirror, or run `knav assets "
            "install --dir DIR` where there is a network and give that directory with "
            f"--knav-assets. Go said:\n{tail}"
        )
    return f"{head} ({go.path}, from {go.origin}). Go said:\n{tail}"
