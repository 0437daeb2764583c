"""Having the plugin installed costs a pytest user nothing measurable."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    import pytest

HEAVY = (
    "kubernetes",
    "yaml",
    "urllib3",
    "requests",
    "pydantic",
    "typer",
    "psutil",
    "tenacity",
    "prometheus_api_client",
    "promql_parser",
)
OURS_MAX = 20


def loaded(code: str, pytester: pytest.Pytester) -> set[str]:
    """Return the names of all modules that are loaded after running code."""
    # Not the outer run's plugins: allure-pytest and others load what they like.
    code = f"import sys\n{code}\nprint('MODULES', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=pytester.path,
        env={"PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    names = done.stdout.rpartition("MODULES")[2].split()
    assert "pytest_knav.plugin" in names
    return set(names)


def test_import(inner: pytest.Pytester) -> None:
    """Importing the plugin loads nothing heavy."""
    names = loaded("import pytest_knav.plugin", inner)

    assert names.isdisjoint(HEAVY)


def test_run_without_our_tests(inner: pytest.Pytester) -> None:
    """Neither does a whole run in a folder without chaos tests."""
    inner.makepyfile("def test_plain(): pass")

    names = loaded(
        "import pytest; assert pytest.main(['-p', 'pytest_knav.plugin']) == 0", inner
    )

    assert names.isdisjoint(HEAVY)
    assert len([name for name in names if name.startswith("pytest_knav")]) < OURS_MAX


def test_collecting_without_our_tests(inner: pytest.Pytester) -> None:
    """Nor does collecting."""
    inner.makepyfile("def test_plain(): pass")

    names = loaded(
        "import pytest\n"
        "assert pytest.main(['--co', '-q', '-p', 'pytest_knav.plugin']) == 0",
        inner,
    )

    assert names.isdisjoint(HEAVY)
