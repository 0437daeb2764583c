"""A real build from the pinned modules, the smallest of them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from pytest_knav.control_plane.assets import AssetStore, golang


if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_toxiproxy_is_built_from_its_pinned_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without releases the binary is built, runs, and knows its version."""
    # Go keeps its own cache where it is: with a warm one this takes seconds.
    if go := golang.find("1.26"):
        kept = subprocess.check_output([go.path, "env", "GOCACHE"], text=True)
        monkeypatch.setenv("GOCACHE", kept.strip())
    monkeypatch.setenv("KNAV_RELEASES", "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    path = AssetStore().path("toxiproxy-server")

    said = subprocess.run(
        [path, "-version"], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "toxiproxy-server version 2.12.0"
