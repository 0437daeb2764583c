"""`--knav-repeat`: what fails always is told from what is flaky."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from pytest_knav.reports.repeats import case_of, kind_of, turn_of


# Tests count as needing a cluster by the fixture; here it is one of paper.
TESTS = """
import pytest
from pytest_knav import Inconclusive

@pytest.fixture
def knav_cluster(): return None

def test_good(knav_cluster): pass

def test_bad(knav_cluster): assert False

def test_flaky(knav_cluster, knav_repeat): assert knav_repeat != 2

def test_unsure(knav_cluster, knav_repeat):
    if knav_repeat == 3:
        raise Inconclusive("a gap")

def test_without_cluster(): pass
"""
LINES = [
    "*- each test 3 times -*",
    "failing * test_it.py::test_bad: 3 fail of 3",
    "flaky * test_it.py::test_flaky: 2 pass, 1 fail of 3",
    "pass * test_it.py::test_good: 3 pass of 3",
    "unsure * test_it.py::test_unsure: 2 pass, 1 inconclusive of 3",
]


@pytest.fixture
def tests(inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Write the tests; no cluster is looked for."""
    # What is checked before the first test is not what this is about.
    monkeypatch.setattr("pytest_knav.session.KnavSession._preflight", lambda *_: [])
    inner.makepyfile(test_it=TESTS)
    return inner


def test_summary(tests: pytest.Pytester) -> None:
    """Each test with a cluster is run so many times, and what it came to is said."""
    result = tests.runpytest_inprocess("--knav-repeat=3")

    result.assert_outcomes(passed=8, failed=4)
    result.stdout.fnmatch_lines(LINES)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_junit(tests: pytest.Pytester) -> None:
    """The suite says who is flaky, each test which turn it is."""
    tests.runpytest_inprocess("--knav-repeat=3", "--junitxml=junit.xml")

    root = ET.parse(tests.path / "junit.xml").getroot()  # noqa: S314 - our own file
    suite = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert suite["knav.repeat.flaky"] == ("test_it.py::test_flaky: 2 pass, 1 fail of 3")
    turns = [
        p.get("value")
        for case in root.iter("testcase")
        if case.get("name", "").startswith("test_good")
        for p in case.iter("property")
        if p.get("name") == "knav.repeat"
    ]
    assert turns == ["1 of 3", "2 of 3", "3 of 3"]


def test_once_is_as_ever(tests: pytest.Pytester) -> None:
    """Without the option no test has a turn."""
    result = tests.runpytest_inprocess("-k", "test_good", "-v")

    result.stdout.fnmatch_lines(["*test_it.py::test_good PASSED*"])
    result.stdout.no_fnmatch_line("*times*")


@pytest.mark.parametrize("value", ["0", "many", "1001"])
def test_wrong_number(inner: pytest.Pytester, value: str) -> None:
    """It says what is allowed."""
    result = inner.runpytest_inprocess(f"--knav-repeat={value}")

    result.stderr.fnmatch_lines(
        [f"ERROR: --knav-repeat='{value}': give a whole number from 1 to 1000"]
    )


@pytest.mark.parametrize(
    ("nodeid", "case", "turn"),
    [
        ("a.py::test_x[run2of3]", "a.py::test_x", "2 of 3"),
        ("a.py::test_x[red-run2of3]", "a.py::test_x[red]", "2 of 3"),
        ("a.py::test_x[run2of3-red]", "a.py::test_x[red]", "2 of 3"),
        ("a.py::test_x[red]", "a.py::test_x[red]", ""),
        ("a.py::test_x", "a.py::test_x", ""),
    ],
)
def test_names(nodeid: str, case: str, turn: str) -> None:
    """All turns have one name, by which they make the same choices."""
    assert case_of(nodeid) == case
    assert turn_of(nodeid) == turn


@pytest.mark.parametrize(
    ("outcomes", "kind"),
    [
        (["pass", "pass"], "pass"),
        (["fail", "fail"], "failing"),
        (["pass", "fail"], "flaky"),
        (["pass", "inconclusive"], "unsure"),
        (["fail", "inconclusive"], "failing"),
    ],
)
def test_kinds(outcomes: list[str], kind: str) -> None:
    """Only what passes at times and fails at times is flaky."""
    assert kind_of(outcomes) == kind
