"""What knav costs a pytest run that does not use it: CPU of `pytest --co`."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import HarnessError


if TYPE_CHECKING:
    from pathlib import Path

RUNS: Final = 5
_NO_TESTS: Final = 5
_LAST_WORDS: Final = 500
# The extra `dev` brings Hypothesis, whose own plugin costs twice all of the rest.
_NO_HYPOTHESIS: Final = "-pno:hypothesispytest"
_WITHOUT_KNAV: Final = "-pno:knav"
_NO_PLUGINS: Final = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def without_knav(folder: Path) -> float:
    """Return the CPU seconds without knav, with the plugins that it needs."""
    return _median(folder, (_NO_HYPOTHESIS, _WITHOUT_KNAV), {})


def with_knav(folder: Path) -> float:
    """Return the CPU seconds with knav."""
    return _median(folder, (_NO_HYPOTHESIS,), {})


def bare(folder: Path) -> float:
    """Return the CPU seconds of pytest without any plugin."""
    return _median(folder, (), _NO_PLUGINS)


def _median(folder: Path, options: tuple[str, ...], more: dict[str, str]) -> float:
    return statistics.median(_collect(folder, options, more) for _ in range(RUNS))


def _collect(folder: Path, options: tuple[str, ...], more: dict[str, str]) -> float:
    """
    Return the CPU seconds that pytest takes to find no tests in an empty folder.

    CPU, because a tenth of a third of a second is less than what other programs do to
    the wall clock; the run waits for nothing, so on an idle machine the two are equal.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--co", "-q", *options],
        cwd=folder,
        env={**kept, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != _NO_TESTS:
        said = (done.stdout + done.stderr).strip()
        raise HarnessError(f"pytest --co failed: {said[-_LAST_WORDS:]}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
