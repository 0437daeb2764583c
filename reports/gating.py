"""`--knav-gate FILE`: the gate's answer at the end of a run, everywhere it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from pytest_knav.gate import Other, Run, judge, load_gate, read_baseline
from pytest_knav.gate.summary import ANSWER_FILE, SUMMARY_FILE, markdown
from pytest_knav.reports import allure_report, run_directory


if TYPE_CHECKING:
    from collections.abc import Generator

    from _pytest.terminal import TerminalReporter

    from pytest_knav.gate import Answer
    from pytest_knav.session import KnavSession

_COLOURS: Final = {"SHIP": "green", "BLOCK": "red", "RERUN": "yellow"}
# What a run can end with that says something of its tests.
_ENDED: Final = frozenset({0, 1, 10})


class Gating:
    """
    Judges a run by a gate; registered as a plugin in the process that reports.

    Raises:
        BadInput: The gate's file, or the baseline that it names, cannot be read.

    """

    def __init__(self, session: KnavSession, path: Path) -> None:
        self._session = session
        self._gate = load_gate(path)
        rule = self._gate.recovery_p95
        self._baseline = read_baseline(rule.vs) if rule and rule.vs else None
        self.answer: Answer | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session
    ) -> Generator[None, object, object]:
        """Judge before JUnit writes its file; the answer is the run's exit code."""
        if session.exitstatus in _ENDED and not session.config.option.collectonly:
            self.answer = self._judged(session.config)
        result = yield
        if self.answer is not None and session.exitstatus in _ENDED:
            session.exitstatus = self.answer.exit_code
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Print the answer, before everything else that we print."""
        if self.answer is None:
            return
        colour = {_COLOURS[self.answer.word]: True}
        terminalreporter.section("gate", "=", **colour)
        terminalreporter.write_line(str(self.answer), **colour)
        terminalreporter.write_line(f"summary: {self._summary}")

    @property
    def _summary(self) -> Path:
        return self._session.run_directory / SUMMARY_FILE

    def _judged(self, config: pytest.Config) -> Answer:
        tally = self._session.tally
        others = [Other(test=test, verdict=v) for test, v in tally.others]
        run = Run(records=tuple(tally.records()), others=tuple(others))
        answer = judge(self._gate, run, self._baseline)
        run_directory.make(self._session.run_directory)
        self._summary.write_text(markdown(answer, run), encoding="utf-8")
        told = json.dumps(answer.as_data(), indent=2)
        (self._session.run_directory / ANSWER_FILE).write_text(told, encoding="utf-8")
        allure = config.getoption("allure_report_dir", None)
        if allure:
            allure_report.write_gate(Path(allure), told, self._summary)
        from _pytest.junitxml import xml_key  # noqa: PLC0415 - only where it is used

        junit = config.stash.get(xml_key, None)
        if junit is not None:
            junit.add_global_property("knav.gate", answer.word)
            junit.add_global_property("knav.gate.why", str(answer))
        return answer
