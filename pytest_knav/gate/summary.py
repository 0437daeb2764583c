"""A gate's answer for people: a Markdown summary for a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.gate.cover import coverage


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_knav.gate.cover import Coverage
    from pytest_knav.gate.judge import Answer
    from pytest_knav.gate.runs import Run
    from pytest_knav.reports.record import TestRecord

SUMMARY_FILE: Final = "gate.md"
_MARKS: Final = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
_TESTS_MAX: Final = 50


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
    again = {record.test: record.replay for record in records}
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
            command = f": `{again[test]}`" if test in again else ""
            yield f"- {severity}: {_escaped(test)}{command}"
        if len(tests) > _TESTS_MAX:
            yield f"- and {len(tests) - _TESTS_MAX} more"


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
