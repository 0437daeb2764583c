"""`known_bug`: expected to fail, by the system under test, until a version."""

from __future__ import annotations

import json

import pytest


HEAD = """
import pytest
from pytest_knav import HarnessError, Inconclusive, NotRecovered

known = pytest.mark.known_bug("kubernetes#1", fixed_in="1.37")
"""
BUG = HEAD + "\n@known\ndef test_bug():\n    raise NotRecovered('gone')\n"
# A record as a cluster would have left it.
ON = """
import pytest
from pytest_knav.reports.record import TestRecord
from pytest_knav.session import KEY, RECORD

@pytest.fixture(autouse=True)
def ran_on(request):
    request.config.stash[KEY].run_directory.mkdir(parents=True)
    request.node.stash[RECORD] = TestRecord(
        test=request.node.nodeid, topology="dgx-h100", nodes=2, seed=1,
        time_profile="fast", cluster_s=0.0, artifacts="", replay="pytest",
        versions={{"Kubernetes": "{version}"}},
    )
"""


class TestExpectedFailure:
    """What the system under test broke."""

    def test_is_no_failure(self, inner: pytest.Pytester) -> None:
        """It counts as xfailed and names the bug."""
        inner.makepyfile(BUG)

        result = inner.runpytest_inprocess("-rx")

        result.assert_outcomes(xfailed=1)
        result.stdout.fnmatch_lines(["XFAIL *known bug kubernetes#1: gone*"])
        assert result.ret == 0

    def test_of_workers(self, inner: pytest.Pytester) -> None:
        """The same with `-n`."""
        inner.makepyfile(BUG)

        inner.runpytest_subprocess("-n2").assert_outcomes(xfailed=1)

    def test_junit_properties(self, inner: pytest.Pytester) -> None:
        """The verdict and the bug are properties of the test."""
        inner.makepyfile(BUG)

        inner.runpytest_inprocess("--junitxml=junit.xml")

        text = (inner.path / "junit.xml").read_text()
        assert text.count('name="knav.verdict" value="known bug"') == 1
        assert text.count('name="knav.known_bug" value="kubernetes#1"') == 1

    def test_allure_category(self, inner: pytest.Pytester) -> None:
        """Allure has it as skipped, with the message that the category looks for."""
        inner.makepyfile(BUG)

        inner.runpytest_inprocess("--alluredir=results")

        (path,) = (inner.path / "results").glob("*-result.json")
        result = json.loads(path.read_text())
        assert result["status"] == "skipped"
        assert "known bug kubernetes#1: gone" in result["statusDetails"]["message"]

    def test_runxfail_shows_it(self, inner: pytest.Pytester) -> None:
        """Whoever works on the bug sees the failure."""
        inner.makepyfile(BUG)

        inner.runpytest_inprocess("--runxfail").assert_outcomes(failed=1)


class TestUnexpected:
    """Everything else."""

    def test_pass_is_red(self, inner: pytest.Pytester) -> None:
        """A bug that is gone is noticed."""
        inner.makepyfile(HEAD + "\n@known\ndef test_good(): pass\n")

        result = inner.runpytest_inprocess()

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*known bug kubernetes#1: the test passed*"])

    @pytest.mark.parametrize(
        ("raised", "outcomes"),
        [
            ("assert 1 == 2", {"failed": 1}),
            ("raise HarnessError('ours')", {"failed": 1}),
            ("raise ValueError('yours')", {"failed": 1}),
            ("pytest.skip('not now')", {"skipped": 1}),
        ],
    )
    def test_other_ends_stay_what_they_are(
        self, inner: pytest.Pytester, raised: str, outcomes: dict[str, int]
    ) -> None:
        """Only a broken promise of the system under test is excused."""
        inner.makepyfile(HEAD + f"\n@known\ndef test_it():\n    {raised}\n")

        inner.runpytest_inprocess().assert_outcomes(**outcomes)

    def test_inconclusive_stays_inconclusive(self, inner: pytest.Pytester) -> None:
        """Nobody could tell."""
        inner.makepyfile(BUG.replace("NotRecovered('gone')", "Inconclusive('')"))

        result = inner.runpytest_inprocess()

        result.stdout.fnmatch_lines(["*1 inconclusive in *"])
        assert result.ret == 10

    @pytest.mark.parametrize(
        ("mark", "message"),
        [
            ("known_bug", "say where it is written up"),
            ("known_bug('')", "say where it is written up"),
            ("known_bug('x', fixed_in='soon')", "give a version of Kubernetes"),
            ("known_bug('x', until='1.37')", "it takes issue and fixed_in="),
        ],
    )
    def test_bad_marks_are_refused_at_collection(
        self, inner: pytest.Pytester, mark: str, message: str
    ) -> None:
        """Before anything runs."""
        inner.makepyfile(f"import pytest\n@pytest.mark.{mark}\ndef test_it(): pass\n")

        result = inner.runpytest_inprocess()

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"*test_it: known_bug(*{message}*"])


class TestFixedIn:
    """The version of Kubernetes that it ran on decides."""

    @pytest.mark.parametrize("version", ["1.37.0", "1.38.1", "2.0"])
    def test_no_excuse_any_more(self, inner: pytest.Pytester, version: str) -> None:
        """From that version on a failure is one, and says so."""
        inner.makeconftest(ON.format(version=version))
        inner.makepyfile(BUG)

        result = inner.runpytest_inprocess()

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            [f"*was fixed in Kubernetes 1.37, and this is {version}*"]
        )

    def test_passes_from_then_on(self, inner: pytest.Pytester) -> None:
        """Without a change to the mark."""
        inner.makeconftest(ON.format(version="1.37.2"))
        inner.makepyfile(HEAD + "\n@known\ndef test_good(): pass\n")

        inner.runpytest_inprocess().assert_outcomes(passed=1)

    def test_excuse_before(self, inner: pytest.Pytester) -> None:
        """1.36.10 is older than 1.37."""
        inner.makeconftest(ON.format(version="1.36.10"))
        inner.makepyfile(BUG)

        inner.runpytest_inprocess().assert_outcomes(xfailed=1)
