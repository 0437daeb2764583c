"""A gate's answer for people: a Markdown summary for a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.gate.cover import coverage
from pytest_knav.gate.judge import name_of
from pytest_knav.reports import known_bug


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_knav.gate.cover import Coverage
    from pytest_knav.gate.judge import Answer
    from pytest_knav.gate.runs import Run
    from pytest_knav.reports.record import TestRecord

#: In a run's directory: the answer for people, and the same for programs.
SUMMARY_FILE: Final = "gate.md"
ANSWER_FILE: Final = "gate.json"
_MARKS: Final = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
_TESTS_MAX: Final = 50
_FAILED: Final = frozenset({"fail", known_bug.VERDICT})


def markdown(answer: Answer, run: Run) -> str:
    """Return the summary: the answer, each rule, the failures, what was not tested."""
    lines = [
        f"## {_escaped(str(answer))}",
        "",
        "| rule | | |",
        "| --- | --- | --- |",
        *(
            f"| {_escaped(f.rule)} | {_MARKS[f.status]} | {_escaped(f.text)} |"
            for f in answer.findings
        ),
        *_failures(answer, run.records),
        *_coverage(coverage(run.records)),
    ]
    return "\n".join([*lines, ""])


def _failures(answer: Answer, records: Sequence[TestRecord]) -> Iterator[str]:
    found = {name_of(r): r for r in records if r.verdict in _FAILED}
    kinds: tuple[tuple[str, Mapping[str, str]], ...] = (
        ("New failures", answer.failures.new),
        ("Flaky", answer.failures.flaky),
        ("Known", answer.failures.known),
    )
    for title, tests in kinds:
        if not tests:
            continue
        yield from ("", f"### {title}", "")
        for test, severity in sorted(tests.items())[:_TESTS_MAX]:
            yield f"- {severity}: {_escaped(test)}{_told(found.get(test))}"
        if len(tests) > _TESTS_MAX:
            yield f"- and {len(tests) - _TESTS_MAX} more"


def _told(record: TestRecord | None) -> str:
    """Return how to run a test again, and why it failed, where that is known."""
    if record is None:
        return ""
    why = f"<br>{_escaped(record.reason)}" if record.reason else ""
    return f": `{record.replay}`{why}"


def _coverage(found: Coverage) -> Iterator[str]:
    yield from ("", "### What was tested", "")
    if found.rows:
        yield f"| fault | workload | {' | '.join(found.invariants)} |"
        yield f"| --- | --- |{' --- |' * len(found.invariants)}"
        for (fault, workload), cells in found.rows.items():
            marks = [_MARKS.get(cells.get(i, ""), "") for i in found.invariants]
            yield f"| {fault} | {workload} | {' | '.join(marks)} |"
        yield ""
        yield "✓ held, ✗ broken, ? could not be told, empty: **not tested**."
    else:
        yield "No fault was injected in a test that could tell."
    if found.unjudged:
        yield from (
            "",
            f"Injected, but judged by no test: {', '.join(found.unjudged)}.",
        )
    if found.unseen:
        unseen = ", ".join(found.unseen)
        yield from ("", f"Invariants that had nothing to judge: {unseen}.")
    if found.faults:
        yield from (
            "",
            f"<details><summary>{len(found.faults)} faults were not injected</summary>",
            "",
            f"{', '.join(found.faults)}.",
            "",
            "</details>",
        )


def _escaped(text: str) -> str:
    """Return a text that breaks no table."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
