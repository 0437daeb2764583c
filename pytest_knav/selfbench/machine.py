"""What the figures were measured on: no names, no paths."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_knav import __version__


if TYPE_CHECKING:
    from collections.abc import Mapping


def facts() -> dict[str, str]:
    """Return what the machine is."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
    }


def versions(binaries: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of what was measured."""
    return {
        "pytest-knav": __version__,
        "Kubernetes": binaries["kube-apiserver"],
        "etcd": binaries["etcd"],
        "KWOK": binaries["kwok"],
        "Python": platform.python_version(),
        "pytest": metadata.version("pytest"),
    }


def today() -> str:
    """Return the date."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "unknown"
    found = text.partition("model name")[2].partition("\n")[0]
    return found.strip(" \t:") or "unknown"
