"""`python -m pytest_knav` is the command `knav`."""

from __future__ import annotations

from pytest_knav.cli import main


main()
