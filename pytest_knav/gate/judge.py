"""The answer of a gate: BLOCK, SHIP or RERUN, and why."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pytest_knav.compare.ranks import ratio
from pytest_knav.gate.cover import Injected, covers, families
from pytest_knav.gate.rules import SEVERITIES
from pytest_knav.reports import known_bug
from pytest_knav.reports.record import DEFAULT_SEVERITY
from pytest_knav.reports.repeats import case_of, kind_of


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_knav.checks.verdict import Status
    from pytest_knav.gate.rules import Gate, RecoveryRule
    from pytest_knav.gate.runs import Run
    from pytest_knav.reports.record import TestRecord

Word = Literal["BLOCK", "SHIP", "RERUN"]
_NAMES_MAX: Final = 5
_CONFIDENCE: Final = 0.95
_JUDGED: Final = frozenset({"pass", "fail"})
#: What a run leaves for pytest and for a shell.
EXIT_CODES: Final[dict[Word, int]] = {"SHIP": 0, "BLOCK": 1, "RERUN": 10}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule of the gate came to."""

    rule: str
    status: Status
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """
    The tests that failed, apart: each by its name, with its severity.

    Attributes:
        new: Neither known nor flaky.
        known: Marked as a known bug, or failed in the baseline as well.
        flaky: Failed in some turns and passed in others.

    """

    new: dict[str, str]
    known: dict[str, str]
    flaky: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a gate says of a run."""

    findings: tuple[Finding, ...]
    failures: Failures
    tests: int

    @property
    def word(self) -> Word:
        """Return BLOCK where a rule is broken, RERUN where one could not be judged."""
        found = {finding.status for finding in self.findings}
        if "fail" in found:
            return "BLOCK"
        return "RERUN" if "inconclusive" in found else "SHIP"

    @property
    def exit_code(self) -> int:
        """Return 0 for SHIP, 1 for BLOCK, 10 for RERUN."""
        return EXIT_CODES[self.word]

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"answer": self.word, "why": str(self), **asdict(self)}

    def __str__(self) -> str:
        """Return the answer in one line."""
        wanted = {"BLOCK": "fail", "RERUN": "inconclusive"}.get(self.word, "pass")
        why = [f.text for f in self.findings if f.status == wanted]
        if self.word == "SHIP":
            holds = "1 test holds" if self.tests == 1 else f"{self.tests} tests hold"
            why = [f"{holds} to {len(self.findings)} rules"]
        return f"{self.word}: {'; '.join(why)}"


def judge(gate: Gate, run: Run, baseline: Sequence[TestRecord] | None = None) -> Answer:
    """
    Return what a gate says of a run.

    Args:
        gate: What is needed.
        run: What was run.
        baseline: What `recovery_p95.vs` names; None: there is none yet.

    """
    failures = _failures(run, baseline or ())
    findings = [
        _new_failures(gate, failures),
        _count("flaky", failures.flaky, gate.flaky, "fail"),
        _unsure(run, "inconclusive", gate.inconclusive),
        _unsure(run, "broken", gate.broken),
        *_covered(gate, run),
    ]
    if gate.recovery_p95 is not None:
        findings += _recovery(gate.recovery_p95, run, baseline)
    if not run.records:
        nothing = "no test with a cluster has ended: there is nothing to judge"
        findings.append(Finding(rule="tests", status="inconclusive", text=nothing))
    tests = {case_of(record.test) for record in run.records}
    return Answer(findings=tuple(findings), failures=failures, tests=len(tests))


def _failures(run: Run, baseline: Sequence[TestRecord]) -> Failures:
    before = {case_of(r.test) for r in baseline if r.verdict == "fail"}
    found = Failures(new={}, known={}, flaky={})
    turns: dict[str, list[TestRecord]] = defaultdict(list)
    for record in run.records:
        turns[name_of(record)].append(record)
    for test, records in turns.items():
        verdicts = [record.verdict for record in records]
        severity = min((r.severity for r in records), key=SEVERITIES.index)
        if known_bug.VERDICT in verdicts:
            found.known[test] = severity
        elif "fail" not in verdicts:
            continue
        elif kind_of(verdicts) == "flaky":
            found.flaky[test] = severity
        elif case_of(records[0].test) in before:
            found.known[test] = severity
        else:
            found.new[test] = severity
    for other in run.others:
        if other.verdict == "fail":
            found.new.setdefault(case_of(other.test), DEFAULT_SEVERITY)
    return found


def name_of(record: TestRecord) -> str:
    """Return what a test is called in an answer: its turns are one test."""
    test = case_of(record.test)
    return test if record.system == "stock" else f"{test} with {record.system}"


def _new_failures(gate: Gate, failures: Failures) -> Finding:
    for severity, most in gate.new_failures.items():
        worst = SEVERITIES[: SEVERITIES.index(severity) + 1]
        found = {t: s for t, s in failures.new.items() if s in worst}
        if len(found) > most:
            allowed = f", {most} allowed" if most else ""
            text = f"{_tests(found)} failed newly{allowed}"
            return Finding(rule="new_failures", status="fail", text=text)
    text = (
        f"{_tests(failures.new)} failed newly" if failures.new else "none failed newly"
    )
    return Finding(rule="new_failures", status="pass", text=text)


def _unsure(run: Run, verdict: str, most: int) -> Finding:
    tests = {name_of(r): r.severity for r in run.records if r.verdict == verdict}
    tests |= {case_of(o.test): "" for o in run.others if o.verdict == verdict}
    return _count(verdict, tests, most, "inconclusive")


def _count(rule: str, tests: dict[str, str], most: int, otherwise: Status) -> Finding:
    status: Status = "pass" if len(tests) <= most else otherwise
    allowed = f", {most} allowed" if most and status != "pass" else ""
    text = f"{_tests(tests)} {rule}{allowed}" if tests else f"none {rule}"
    return Finding(rule=rule, status=status, text=text)


def _tests(tests: dict[str, str]) -> str:
    names = sorted(test.rpartition("::")[2] for test in tests)
    shown = ", ".join(names[:_NAMES_MAX])
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    return f"{len(names)} test{'' if len(names) == 1 else 's'} ({shown}{more})"


def _covered(gate: Gate, run: Run) -> Iterator[Finding]:
    known = families() if gate.must_cover else {}
    for name in gate.must_cover:
        rule = f"must_cover {name}"
        verdicts = Counter(
            record.verdict
            for record in run.records
            if any(covers(name, Injected.of(fault), known) for fault in record.faults)
        )
        judged = sum(verdicts[v] for v in (*_JUDGED, known_bug.VERDICT))
        if judged:
            text = f"{name} was tested by {judged} test{'s' * (judged > 1)}"
            yield Finding(rule=rule, status="pass", text=text)
        elif verdicts:
            text = f"{name} was injected, and no test that did could tell"
            yield Finding(rule=rule, status="inconclusive", text=text)
        else:
            text = f"{name} was not tested"
            yield Finding(rule=rule, status="fail", text=text)


def _recovery(
    rule: RecoveryRule, run: Run, baseline: Sequence[TestRecord] | None
) -> Iterator[Finding]:
    seconds = _seconds(run.records)
    if len(seconds) < rule.samples:
        text = f"recovery_p95: {len(seconds)} recoveries, {rule.samples} are needed"
        yield Finding(rule="recovery_p95", status="inconclusive", text=text)
        return
    now_s = percentile(seconds, 0.95)
    if rule.at_most_s is not None:
        status: Status = "pass" if now_s <= rule.at_most_s else "fail"
        text = f"recovery_p95 is {_said(now_s)} of {len(seconds)} recoveries"
        if math.isinf(now_s):
            lost = sum(map(math.isinf, seconds))
            text = f"recovery_p95: {lost} of {len(seconds)} never came back"
        text += f", at most {rule.at_most_s:g}s"
        yield Finding(rule="recovery_p95 at_most", status=status, text=text)
    if rule.vs:
        yield _versus(rule, seconds, baseline)


def _versus(
    rule: RecoveryRule, seconds: list[float], baseline: Sequence[TestRecord] | None
) -> Finding:
    name = f"recovery_p95 vs {rule.vs}"
    before = [] if baseline is None else _seconds(baseline)
    if len(before) < rule.samples:
        text = f"{name}: it has {len(before)} recoveries, {rule.samples} are needed"
        if not baseline:
            text = f"{name}: there is none; knav gate RUN --save {rule.vs} keeps one"
        return Finding(rule=name, status="inconclusive", text=text)
    then_s, now_s = percentile(before, 0.95), percentile(seconds, 0.95)
    text = (
        f"{name} is {_said(now_s)} after {_said(then_s)}, worse by {rule.worse_by:.0%}"
    )
    if now_s <= then_s * (1 + rule.worse_by):
        return Finding(rule=name, status="pass", text=f"{text} at most")
    if math.isinf(now_s):
        return Finding(rule=name, status="fail", text=f"{text} allowed")
    # A 95th percentile of few is nearly their greatest: chance alone moves it. It
    # blocks where all of them have become slower; else more runs have to tell.
    then, now = ([s for s in each if 0 < s < math.inf] for each in (before, seconds))
    slower = ratio(then, now, _CONFIDENCE) if then and now else None
    if slower is not None and (slower.at_least or 0) > 1:
        return Finding(rule=name, status="fail", text=f"{text} allowed")
    return Finding(
        rule=name,
        status="inconclusive",
        text=f"{text} allowed, and chance alone could do that",
    )


def _seconds(records: Sequence[TestRecord]) -> list[float]:
    """Return how long recoveries took; what did not come back took forever."""
    return [
        math.inf if row.seconds is None else row.seconds
        for record in records
        if record.verdict in _JUDGED
        for row in record.recoveries
        if row.outcome != "unaffected"
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that at least this share of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _said(seconds: float) -> str:
    return "never" if math.isinf(seconds) else f"{seconds:.1f}s"
