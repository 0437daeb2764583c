"""`--knav-repeat N`: each test N times with one seed, and who fails now and then."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

from pytest_knav.fixtures import names
from pytest_knav.reports.tally import VERDICT


if TYPE_CHECKING:
    from collections.abc import Sequence

    from _pytest.terminal import TerminalReporter

FIXTURE: Final = "knav_repeat"
_TURN: Final = re.compile(r"-?run(\d+)of(\d+)(?=[-\]])")
_COLOURS: Final = {"pass": "green", "flaky": "yellow"}


def case_of(nodeid: str) -> str:
    """Return the test that is repeated: its node id without the number of the turn."""
    return _TURN.sub("", nodeid).replace("[-", "[").removesuffix("[]")


def turn_of(nodeid: str) -> str:
    """Return which turn it is, such as `2 of 3`; empty without repetition."""
    found = _TURN.search(nodeid)
    return f"{found[1]} of {found[2]}" if found else ""


def kind_of(outcomes: Sequence[str]) -> str:
    """
    Return what the turns of one test come to.

    `pass` and other verdicts where all turns agree; `failing` where every turn failed,
    `flaky` where some did and some passed, `unsure` where some could not tell.
    """
    found = set(outcomes)
    if found <= {"pass", "skipped"}:
        return "pass"
    red = found & {"fail", "broken"}
    if "pass" in found and red:
        return "flaky"
    return "failing" if red else "unsure"


class Repeats:
    """
    Runs tests with a cluster several times, and says what came of each.

    Registered as a plugin where a test is to be run more than once.
    """

    def __init__(self, times: int) -> None:
        self._times = times
        self._outcomes: dict[str, dict[str, str]] = {}

    @pytest.fixture(name=FIXTURE)
    def turn(self, request: pytest.FixtureRequest) -> int:
        """Return the number of the turn, from 1."""
        return int(getattr(request, "param", 1))

    @pytest.hookimpl(trylast=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make several tests of each that needs a cluster."""
        if not names.needs_cluster(metafunc.definition):
            return
        if FIXTURE not in metafunc.fixturenames:
            metafunc.fixturenames.append(FIXTURE)
        turns = range(1, self._times + 1)
        ids = [f"run{turn}of{self._times}" for turn in turns]
        metafunc.parametrize(FIXTURE, turns, ids=ids, indirect=True)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Let JUnit know which turn a test is."""
        turn = turn_of(item.nodeid)
        if turn:
            item.user_properties.append(("knav.repeat", turn))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst outcome of each turn."""
        if not turn_of(report.nodeid) or (report.passed and report.when != "call"):
            return
        turns = self._outcomes.setdefault(case_of(report.nodeid), {})
        verdict = getattr(report, VERDICT, "")
        if not verdict:
            verdict = "pass" if report.passed else "fail"
            verdict = "skipped" if report.skipped else verdict
        # A broken teardown is worse than what the call said.
        if turns.get(report.nodeid) != "fail":
            turns[report.nodeid] = verdict

    def results(self) -> dict[str, tuple[str, str]]:
        """Return for each test what it came to, and its turns in words."""
        found = {}
        for case, turns in sorted(self._outcomes.items()):
            outcomes = list(turns.values())
            words = [
                f"{outcomes.count(o)} {o}"
                for o in ("pass", "fail", "inconclusive", "skipped")
                if o in outcomes
            ]
            found[case] = (
                kind_of(outcomes),
                f"{', '.join(words)} of {self._times}",
            )
        return found

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Put the results into the JUnit file, before it is written."""
        from _pytest.junitxml import xml_key  # noqa: PLC0415 - only at the end

        xml = session.config.stash.get(xml_key, None)
        if xml is not None:
            for case, (kind, words) in self.results().items():
                xml.add_global_property(f"knav.repeat.{kind}", f"{case}: {words}")

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Say who fails always and who now and then."""
        results = self.results()
        if not results or terminalreporter.config.getoption("no_summary", False):
            return
        terminalreporter.section(f"each test {self._times} times", sep="-")
        width = max(len(kind) for kind, _ in results.values())
        for case, (kind, words) in results.items():
            colour = _COLOURS.get(kind, "red")
            line = f"{kind.ljust(width)}  {case}: {words}"
            terminalreporter.write_line(line, **{colour: True})
