"""
`--knav-baseline`: each chaos test once more without its faults, and what differs.

The twin has the same seed and runs right after the test. It measures: it is never
counted as passed, and what a test says about the effect of its faults is not judged in
it. What must hold with or without a fault is, and fails it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from pytest_knav.errors import HarnessError, Inconclusive, InvariantViolated
from pytest_knav.fixtures import names


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from _pytest.terminal import TerminalReporter

    from pytest_knav.reports.record import TestRecord
    from pytest_knav.reports.tally import Tally

FIXTURE: Final = "knav_baseline"
#: The verdict on a test that ran without its faults.
VERDICT: Final = "baseline"
SUFFIX: Final = "without-fault"
_SUFFIX: Final = re.compile(rf"-?{SUFFIX}(?=[-\]])")
NOT_JUDGED: pytest.StashKey[str] = pytest.StashKey()
LEFT_OUT: pytest.StashKey[list[str]] = pytest.StashKey()
_HEAD: Final = ("test", "", "back", "pods lost", "goodput", "of")
_NAME_MAX: Final = 40
_TEXT_MAX: Final = 200
_MENDED: Final = "* whole again only once the fault was over"


def is_baseline(item: pytest.Item) -> bool:
    """Return whether a test is to run without its faults."""
    callspec = getattr(item, "callspec", None)
    return bool(getattr(callspec, "params", {}).get(FIXTURE))


def twin_of(nodeid: str) -> str:
    """Return the test with its faults: the node id of a baseline without its mark."""
    return _SUFFIX.sub("", nodeid).replace("[-", "[").removesuffix("[]")


class Baselines:
    """
    Makes a twin without faults of each chaos test, and compares the two at the end.

    Registered as a plugin where baselines are asked for.

    Args:
        tally: Has the records of both.

    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    @pytest.fixture(name=FIXTURE)
    def without_faults(self, request: pytest.FixtureRequest) -> bool:
        """Return whether the test runs without its faults."""
        return bool(getattr(request, "param", False))

    @pytest.hookimpl(trylast=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a twin of each test that injects faults; the test keeps its name."""
        if not names.injects_faults(metafunc.definition):
            return
        if FIXTURE not in metafunc.fixturenames:
            metafunc.fixturenames.append(FIXTURE)
        ids = [pytest.HIDDEN_PARAM, SUFFIX]
        metafunc.parametrize(FIXTURE, [False, True], ids=ids, indirect=True)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Print what the faults have changed, test by test."""
        if not self._tally.used:
            return
        records = self._tally.records()
        if not any(record.baseline for record in records):
            return
        if terminalreporter.config.getoption("no_summary", default=False):
            return
        terminalreporter.section("with and without the faults", sep="-")
        for line, colour in compared(records):
            terminalreporter.write_line(line, **({colour: True} if colour else {}))


def compared(records: Sequence[TestRecord]) -> Iterator[tuple[str, str]]:
    """Yield the lines that set each test beside its baseline, and their colours."""
    plain = {record.test: record for record in records if not record.baseline}
    pairs = [(plain.get(twin_of(r.test)), r) for r in records if r.baseline]
    rows: list[tuple[tuple[str, ...], str, str]] = []
    for test, twin in pairs:
        name = twin_of(twin.test).rpartition("::")[2]
        name = name if len(name) <= _NAME_MAX else f"{name[: _NAME_MAX - 1]}…"
        if test is not None:
            note = _MENDED if test.effect.get("mended") else ""
            rows.append(((name, "with", *_figures(test.effect)), note, ""))
            name = ""
        rows.append(((name, "without", *_figures(twin.effect)), *_said(test, twin)))
    cells = [_HEAD, *(row for row, _, _ in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(_HEAD))]
    yield _aligned(_HEAD, widths), ""
    for row, said, colour in rows:
        yield _aligned(row, widths), ""
        if said:
            yield f"  {said}", colour


def _said(test: TestRecord | None, twin: TestRecord) -> tuple[str, str]:
    """Return what is to be said below a pair, and its colour."""
    if twin.verdict == "fail":
        both = test is not None and test.verdict == "fail"
        also = " as with them" if both else ""
        return f"fails without the faults{also}: they are not to blame alone", "red"
    if twin.verdict != VERDICT:
        return f"no baseline: it was {twin.verdict}", "yellow"
    disturbed = twin.effect.get("back_s") != 0
    return twin.said, "yellow" if disturbed else ""


def _figures(effect: Mapping[str, float | None]) -> tuple[str, ...]:
    if not effect:
        return "?", "?", "?", ""
    back, goodput = effect["back_s"], effect["goodput"]
    lost, window_s = effect["pods_lost"], effect["window_s"]
    return (
        "never" if back is None else f"{back:.1f}s{'*' * bool(effect.get('mended'))}",
        f"{lost:.0f}",
        "?" if goodput is None else f"{goodput:.1%}",
        f"{window_s:.1f}s",
    )


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if i < 2 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def excuses(item: pytest.Item, error: BaseException | None) -> bool:
    """
    Return whether an error says nothing, because a fault was left out before it.

    A promise that holds without any fault is not excused, nor is trouble of ours.
    """
    if error is None or not is_baseline(item) or not item.stash.get(LEFT_OUT, []):
        return False
    if isinstance(error, pytest.skip.Exception | InvariantViolated):
        return False
    if isinstance(error, HarnessError) and not isinstance(error, Inconclusive):
        return False
    if not isinstance(error, Exception | pytest.fail.Exception):
        return False
    first = str(error).strip().partition("\n")[0]
    text = f"{type(error).__name__}: {first}" if first else type(error).__name__
    item.stash[NOT_JUDGED] = text[:_TEXT_MAX]
    return True


@contextmanager
def measured(item: pytest.Item) -> Iterator[None]:
    """End a baseline as what it is, unless something broke that needs no fault."""
    try:
        yield
    except BaseException as error:
        if NOT_JUDGED not in item.stash or isinstance(error, InvariantViolated):
            raise
        raise pytest.skip.Exception(f"{VERDICT}: {said(item)}") from error
    raise pytest.skip.Exception(f"{VERDICT}: {said(item)}")


def said(item: pytest.Item) -> str:
    """Return what was left out of a baseline, and from where on it was not judged."""
    left_out = item.stash.get(LEFT_OUT, [])
    text = f"left out: {', '.join(left_out)}" if left_out else "no fault was reached"
    if NOT_JUDGED in item.stash:
        text += f"; not judged from here on: {item.stash[NOT_JUDGED]}"
    return text


def ended_as_one(call: pytest.CallInfo[None], item: pytest.Item) -> bool:
    """Return whether a phase of a test ended as a baseline does."""
    return (
        is_baseline(item)
        and call.excinfo is not None
        and call.excinfo.errisinstance(pytest.skip.Exception)
        and str(call.excinfo.value).startswith(f"{VERDICT}: ")
    )
