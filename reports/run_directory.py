"""Where a run leaves its artifacts: one directory, and `latest` that leads to it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from pytest_knav.errors import HarnessError


if TYPE_CHECKING:
    from pathlib import Path


def fresh_name() -> str:
    """Return a name that says when the run began."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"


def make(directory: Path) -> None:
    """
    Make the directory, and let `latest` beside it lead to it; harmless when repeated.

    Raises:
        HarnessError: It cannot be made.

    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Replaced at once, so that two workers never see it missing.
        fresh = directory.parent / f".latest-{os.getpid()}"
        fresh.symlink_to(directory.name)
        fresh.replace(directory.parent / "latest")
    except OSError as error:
        raise HarnessError(
            f"--knav-artifacts: {directory} cannot be made: {error.strerror}"
        ) from error
