"""Where pytest-knav keeps things on this machine: one cache, one state directory."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """Return the directory of what can be fetched again: the built binaries."""
    return _home("XDG_CACHE_HOME", ".cache")


def state_home() -> Path:
    """Return the directory of what running clusters need: registry, ports, work."""
    return _home("XDG_STATE_HOME", ".local/state")


def _home(variable: str, default: str) -> Path:
    base = os.environ.get(variable)
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / default
    return root / "pytest-knav"
