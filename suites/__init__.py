"""The chaos suites that ship: what `pytest -m chaos` runs."""

from __future__ import annotations


if __name__ != "pytest_knav.suites":
    raise ImportError(
        f"this package is pytest_knav.suites, not {__name__}: "
        "write `import pytest_knav.suites`, and run pytest from the project's root"
    )
