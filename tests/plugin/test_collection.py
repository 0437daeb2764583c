"""Collecting: marks, order, the user's own fixtures; nothing starts."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest


if TYPE_CHECKING:
    from pathlib import Path

SUITE = """
import pytest

def test_nothing(): pass

def test_cluster(cluster): pass

def test_chaos(chaos): pass

def test_knav_chaos(knav_chaos): pass
"""


class TestCollectOnly:
    """Looking at tests costs nothing and leaves nothing."""

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("-q", "-x", "--no-summary"),
            ("-p", "no:cacheprovider", "-p", "no:xdist"),
            ("-p", "no:terminal"),
            ("-p", "no:allure_pytest", "-p", "no:junitxml", "-p", "no:logging"),
        ],
        ids=" ".join,
    )
    def test_starts_nothing(
        self, inner: pytest.Pytester, state: Path, arguments: tuple[str, ...]
    ) -> None:
        """No cluster, no state directory, no run directory, with or without others."""
        inner.makepyfile(SUITE)

        result = inner.runpytest_subprocess("--collect-only", *arguments)

        assert result.ret == 0
        assert not state.exists()
        assert not (inner.path / ".knav").exists()

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("--no-summary", "-q", "-x"),
            ("-p", "no:cacheprovider", "-p", "no:xdist"),
            ("-p", "no:terminal"),
            ("-p", "no:allure_pytest", "--setup-plan"),
        ],
        ids=" ".join,
    )
    def test_plain_tests_run_beside_it(
        self, inner: pytest.Pytester, state: Path, arguments: tuple[str, ...]
    ) -> None:
        """A user who has it installed and uses it not is left alone."""
        inner.makepyfile(SUITE)

        result = inner.runpytest_subprocess("-k", "nothing", *arguments)

        assert result.ret == 0
        assert not state.exists()
        assert not (inner.path / ".knav").exists()

    def test_wrong_needs_are_found(self, inner: pytest.Pytester) -> None:
        """A dry run is where one wants to hear of a mistake."""
        inner.makepyfile(
            "import pytest\n\n@pytest.mark.knav(nodes=0)\ndef test_it(cluster): pass"
        )

        result = inner.runpytest_inprocess("--collect-only")

        assert result.ret == pytest.ExitCode.USAGE_ERROR


class TestChaosMark:
    """`-m chaos` finds what injects faults, without anyone marking it."""

    def test_set_where_chaos_is_requested(self, inner: pytest.Pytester) -> None:
        """By either name, and not for a cluster alone."""
        inner.makepyfile(SUITE)

        result = inner.runpytest_inprocess("--collect-only", "-q", "-m", "chaos")

        found = [line.rpartition("::")[2] for line in result.outlines if "::" in line]
        assert found == ["test_chaos", "test_knav_chaos"]

    def test_means_the_suites_in_this_project(
        self, pytestconfig: pytest.Config
    ) -> None:
        """The project's own tests on clusters opt out."""
        command = [
            sys.executable,
            "-m",
            "pytest",
            "--collect-only",
            "-q",
            "-m",
            "chaos",
        ]

        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", "pytest_knav/suites", "tests/cluster"],
            cwd=pytestconfig.rootpath,
            capture_output=True,
            text=True,
            check=True,
        )

        found = [line for line in done.stdout.splitlines() if "::" in line]
        assert found
        assert [line for line in found if "suites/" not in line] == []


class TestShadowing:
    """A user's own `cluster` breaks nothing."""

    OWN = """
    import pytest

    @pytest.fixture
    def cluster():
        return "mine"
    """

    def test_own_fixture_is_used(self, inner: pytest.Pytester, state: Path) -> None:
        """It wins, is no use of ours, and nothing is said of it."""
        inner.makeconftest(self.OWN)
        inner.makepyfile("def test_it(cluster): assert cluster == 'mine'")

        result = inner.runpytest_inprocess()

        result.assert_outcomes(passed=1)
        result.stdout.no_fnmatch_line("*is used instead of ours*")
        assert not state.exists()

    def test_chaos_beside_it(self, inner: pytest.Pytester) -> None:
        """Where ours is used too, a line says which is which."""
        inner.makeconftest(self.OWN)
        inner.makepyfile("def test_it(cluster, chaos): pass")

        result = inner.runpytest_inprocess("--collect-only", "-m", "chaos")

        result.stdout.fnmatch_lines(
            ["knav: fixture 'cluster' of conftest is used instead of ours, which is*"]
        )


def test_same_needs_are_neighbours(inner: pytest.Pytester) -> None:
    """Tests of one size stand together; others keep their places."""
    inner.makepyfile(
        """
        import pytest

        small, large = pytest.mark.knav(nodes=2), pytest.mark.knav(nodes=8)

        @large
        def test_a(cluster): pass

        def test_b(): pass

        @small
        def test_c(cluster): pass

        @large
        def test_d(cluster): pass

        @small
        def test_e(cluster): pass
        """
    )

    result = inner.runpytest_inprocess("--collect-only", "-q")

    found = [line.rpartition("_")[2] for line in result.outlines if "::" in line]
    assert found == ["c", "b", "e", "a", "d"]


def test_marks_are_registered(inner: pytest.Pytester) -> None:
    """`pytest --markers` explains ours."""
    result = inner.runpytest_inprocess("--markers")

    result.stdout.fnmatch_lines(["@pytest.mark.knav(topology=*", "@pytest.mark.chaos*"])
