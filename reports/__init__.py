"""What a run leaves for people: console, timeline, Allure."""

from __future__ import annotations


if __name__ != "pytest_knav.reports":
    raise ImportError(
        f"this package is pytest_knav.reports, not {__name__}: "
        "write `import pytest_knav.reports`, and run pytest from the project's root"
    )
