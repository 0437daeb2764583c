"""`--knav-max-blast`: how many nodes may be touched at a time."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("value", ["0", "0%", "101%", "many", "1.5", "%", "5%%"])
def test_what_is_no_limit_is_refused(inner: pytest.Pytester, value: str) -> None:
    """With the value and what it takes."""
    inner.makepyfile("def test_it(): pass")

    result = inner.runpytest_inprocess(f"--knav-max-blast={value}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{value}*a number of nodes from 1, or a share*"])


@pytest.mark.parametrize("value", ["1", "12", "10%", "2.5%"])
def test_a_number_or_a_share_is_taken(inner: pytest.Pytester, value: str) -> None:
    """And shown in the header of the run."""
    inner.makepyfile("def test_it(): pass")

    result = inner.runpytest_inprocess(f"--knav-max-blast={value}")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*max-blast={value} (command line)*"])
