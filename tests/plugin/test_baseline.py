"""`--knav-baseline`: each chaos test once more, without its faults, and never green."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pytest_knav.reports.baselines import compared, twin_of
from pytest_knav.reports.record import TestRecord


# Faults of paper: what the test is told of them is all that there is.
TESTS = """
import pytest
from pytest_knav import HarnessError, Inconclusive, InvariantViolated, SloBreached
from pytest_knav.reports.baselines import LEFT_OUT, is_baseline

@pytest.fixture
def knav_chaos(request):
    left_out = request.node.stash.setdefault(LEFT_OUT, [])
    def inject():
        if is_baseline(request.node):
            left_out.append("NodeCrash on n1")
    return inject

"""


@pytest.fixture
def tests(inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Look for no cluster."""
    # What is checked before the first test is not what this is about.
    monkeypatch.setattr("pytest_knav.session.KnavSession._preflight", lambda *_: [])
    return inner


def run(tests: pytest.Pytester, body: str, *options: str) -> pytest.RunResult:
    """Run one test with this body, and its twin."""
    tests.makepyfile(test_it=f"{TESTS}def test_it(knav_chaos):\n    {body}\n")
    return tests.runpytest_inprocess("--knav-baseline", "-v", *options)


class TestTwin:
    """What is run."""

    def test_only_chaos_tests_have_one(self, tests: pytest.Pytester) -> None:
        """A test keeps its name, its twin comes right after it, others have none."""
        more = "pass\n\ndef test_plain(): pass"

        result = run(tests, more, "--collect-only")

        lines = [line.strip() for line in result.outlines if "<Function" in line]
        assert lines == [
            "<Function test_it>",
            "<Function test_it[without-fault]>",
            "<Function test_plain>",
        ]

    def test_none_without_the_option(self, tests: pytest.Pytester) -> None:
        """Without the option each test runs once."""
        tests.makepyfile(test_it=f"{TESTS}def test_it(knav_chaos): pass\n")

        tests.runpytest_inprocess().assert_outcomes(passed=1)

    def test_with_repeats(self, tests: pytest.Pytester) -> None:
        """Each turn has its own twin."""
        result = run(tests, "knav_chaos()", "--knav-repeat=2")

        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines(["*2 passed, 2 baseline in*"])

    @pytest.mark.parametrize(
        ("nodeid", "test"),
        [
            ("a.py::test_x[without-fault]", "a.py::test_x"),
            ("a.py::test_x[red-without-fault]", "a.py::test_x[red]"),
            ("a.py::test_x[without-fault-red]", "a.py::test_x[red]"),
            ("a.py::test_x[run1of2-without-fault]", "a.py::test_x[run1of2]"),
            ("a.py::test_x[without-faults]", "a.py::test_x[without-faults]"),
            ("a.py::test_x", "a.py::test_x"),
        ],
    )
    def test_names(self, nodeid: str, test: str) -> None:
        """A twin is known by its name."""
        assert twin_of(nodeid) == test


class TestVerdict:
    """What comes of it."""

    def test_is_never_passed(self, tests: pytest.Pytester) -> None:
        """A run without faults that went well proves nothing, and is no pass."""
        result = run(tests, "knav_chaos()", "--junitxml=junit.xml")

        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(
            ["*test_it PASSED*", "*test_it?without-fault? BASELINE*", "*1 baseline in*"]
        )
        assert result.ret == 0
        root = ET.parse(tests.path / "junit.xml").getroot()  # noqa: S314 - our own file
        (skipped,) = root.iter("skipped")
        assert skipped.get("message") == "baseline: left out: NodeCrash on n1"

    @pytest.mark.parametrize(
        "raised",
        [
            "assert 1 == 2",
            "raise KeyError('detected')",
            "raise SloBreached('too few')",
            "raise Inconclusive('no samples')",
            "pytest.fail('did not raise')",
        ],
    )
    def test_effects_are_not_judged(self, tests: pytest.Pytester, raised: str) -> None:
        """What misses the effect of the fault is told, and is not red."""
        result = run(tests, f"knav_chaos()\n    {raised}", "--junitxml=junit.xml")

        result.stdout.fnmatch_lines(["*1 baseline in*"])
        root = ET.parse(tests.path / "junit.xml").getroot()  # noqa: S314 - our own file
        (skipped,) = root.iter("skipped")
        assert "n1; not judged from here on: " in str(skipped.get("message"))

    @pytest.mark.parametrize(
        "body",
        [
            "assert False",
            "knav_chaos(); raise InvariantViolated('given twice')",
            "knav_chaos(); raise HarnessError('ours')",
        ],
    )
    def test_what_needs_no_fault_is_red(
        self, tests: pytest.Pytester, body: str
    ) -> None:
        """A promise broken in quiet, or before any fault, is broken."""
        run(tests, body).assert_outcomes(failed=2)

    def test_invariants_are_judged_beside_it(
        self, tests: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What misses the fault hides no broken promise: the rest is judged as ever."""
        seen: list[BaseException | None] = []

        def judge(*given: Any, chaos: bool) -> None:
            assert chaos
            seen.append(given[-1])

        monkeypatch.setattr("pytest_knav.fixtures.verdicts.judge_end", judge)
        lease = "types.SimpleNamespace(cluster=unittest.mock.Mock())"
        ready = f"import types, unittest.mock; request.node.stash[LEASE] = {lease}"
        body = f"    {ready}\n    knav_chaos()\n    assert 1 == 2\n"
        more = "from pytest_knav.session import LEASE\n"
        tests.makepyfile(
            test_it=f"{TESTS}{more}def test_it(knav_chaos, request):\n{body}"
        )

        tests.runpytest_inprocess("--knav-baseline")

        with_fault, without = seen
        assert isinstance(with_fault, AssertionError)
        assert without is None

    def test_a_skip_stays_one(self, tests: pytest.Pytester) -> None:
        """A test that skips itself has no baseline."""
        result = run(tests, "knav_chaos(); pytest.skip('no')")

        result.assert_outcomes(skipped=2)

    def test_known_bug_is_of_the_test_alone(self, tests: pytest.Pytester) -> None:
        """A bug that shows only with the fault is not expected without it."""
        mark = '@pytest.mark.known_bug("kubernetes#1")\n'
        body = "    knav_chaos()\n    raise SloBreached('gone')\n"
        tests.makepyfile(test_it=f"{TESTS}{mark}def test_it(knav_chaos):\n{body}")

        result = tests.runpytest_inprocess("--knav-baseline")

        result.assert_outcomes(xfailed=1)
        result.stdout.fnmatch_lines(["*1 baseline*"])


def record(test: str, verdict: str, **rest: object) -> TestRecord:
    """Return the record of a test."""
    figures = {"workloads": 1, "window_s": 20.0, "pods_lost": 0, "goodput": 1.0}
    given = {"effect": {**figures, "back_s": 0.0}, **rest}
    return TestRecord(
        test=test,
        topology="dgx-h100",
        nodes=8,
        seed=7,
        time_profile="fast",
        cluster_s=1.0,
        artifacts="",
        replay="",
        verdict=verdict,
        **given,  # type: ignore[arg-type]
    )


class TestTable:
    """What is printed."""

    def test_both_beside_each_other(self) -> None:
        """Time to be whole, pods lost and goodput, with the fault and without."""
        effect = {"back_s": 18.7, "pods_lost": 1, "goodput": 0.53, "window_s": 20.3}
        with_fault = record("a.py::test_x", "pass", effect=effect)
        twin = record(
            "a.py::test_x[without-fault]",
            "baseline",
            baseline=True,
            said="left out: NodeCrash on n1",
        )

        lines = [line.split() for line, _ in compared([with_fault, twin])]

        assert lines == [
            ["test", "back", "pods", "lost", "goodput", "of"],
            ["test_x", "with", "18.7s", "1", "53.0%", "20.3s"],
            ["without", "0.0s", "0", "100.0%", "20.0s"],
            ["left", "out:", "NodeCrash", "on", "n1"],
        ]

    def test_taken_back_is_not_recovered(self) -> None:
        """A time that ends with the fault is marked, and the mark explained."""
        effect = {"back_s": 3.3, "pods_lost": 0, "goodput": 0.03, "window_s": 3.4}
        failed = record("a.py::test_x", "fail", effect={**effect, "mended": 1})
        twin = record("a.py::test_x[without-fault]", "baseline", baseline=True)

        _, with_fault, note, *_ = [line for line, _ in compared([failed, twin])]

        assert "3.3s*" in with_fault
        assert note.strip() == "* whole again only once the fault was over"

    def test_a_red_baseline_is_told(self) -> None:
        """What fails without the fault as well is not the fault's doing alone."""
        failed = record("a.py::test_x", "fail")
        twin = record("a.py::test_x[without-fault]", "fail", baseline=True)

        *_, (line, colour) = compared([failed, twin])

        assert line.strip().startswith("fails without the faults as with them")
        assert colour == "red"
