"""pytest runs inside these tests: strict, quiet of our own settings, no clusters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

# Loaded once here rather than in every inner run: it is slow, and PyYAML's C part
# does not survive being loaded twice in one process.
import pytest_knav.fixtures.lifecycle
import pytest_knav.fixtures.manager  # noqa: F401


if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION = """
[pytest]
strict = true
addopts = ["-p", "no:hypothesispytest"]
filterwarnings = ["error"]
"""


@pytest.fixture(autouse=True)
def inner(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """Configure the inner runs like a strict user's, away from this machine's state."""
    for name in os.environ:
        if name.startswith(("KNAV_", "PYTEST_XDIST_", "PYTEST_ADDOPTS")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(pytester.path / "state"))
    # A test that is wrong about what starts a cluster is refused, not served a build.
    monkeypatch.setenv("KNAV_ASSETS", str(pytester.path / "no-assets"))
    monkeypatch.setenv("COLUMNS", "140")
    pytester.makefile(".toml", pytest=CONFIGURATION)
    return pytester


@pytest.fixture
def state(inner: pytest.Pytester) -> Path:
    """Return where inner runs would keep clusters."""
    return inner.path / "state"


@pytest.fixture
def broken_binaries(inner: pytest.Pytester) -> Path:
    """Return an assets directory of which kwokctl runs, and fails to make a cluster."""
    directory = inner.mkdir("binaries")
    names = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    for name in (*names, "kubectl", "kwok", "kwokctl"):
        script = directory / name
        says = "--version) echo kwokctl version v0.8.0 ;; *) echo no luck >&2; exit 1"
        script.write_text(f'#!/bin/sh\ncase "$1" in {says} ;; esac\n')
        script.chmod(0o755)
    return directory
