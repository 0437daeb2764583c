"""
How an error of ours reads: the user's own line and the message, not our insides.

`--full-trace` shows everything. Registered as a plugin of its own, because it must come
before all others that look at a report, and the verdict after them.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

import pytest
from _pytest._code.code import ExceptionChainRepr, Traceback

from pytest_knav.errors import HarnessError, KnavAssertionError


if TYPE_CHECKING:
    from collections.abc import Generator

    from _pytest._code.code import TracebackEntry

_RUNNERS = frozenset({"_pytest", "pluggy", "allure_commons", "allure_pytest"})
_HELPERS = frozenset({"contextlib", "functools", "tenacity"})


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shorten the traceback of an error that pytest-knav raised on purpose."""
    error = None if call.excinfo is None else call.excinfo.value
    if (
        call.excinfo is None
        or not isinstance(error, (HarnessError, KnavAssertionError))
        or item.config.getoption("fulltrace", default=False)
    ):
        return (yield)
    seen = shown(call.excinfo.traceback)
    short = call.excinfo.getrepr(style="value", chain=False)
    if seen:
        call.excinfo.traceback = _traceback_of(seen)
    report = yield
    if report.skipped or not isinstance(report.longrepr, ExceptionChainRepr):
        return report
    # The chain below it tells which request or process failed: the message does too.
    report.longrepr = ExceptionChainRepr([report.longrepr.chain[-1]]) if seen else short
    return report


def shown(traceback: Traceback) -> list[TracebackEntry]:
    """Return what of a traceback is the user's; nothing where only we were running."""
    entries = list(traceback)
    while entries and _ours(entries[-1]):
        entries.pop()
    return entries if any(_root(entry) not in _RUNNERS for entry in entries) else []


def _traceback_of(entries: list[TracebackEntry]) -> Traceback:
    """Return a traceback that ends with the last entry, also where pytest cuts it."""
    end: TracebackType | None = None
    for entry in reversed(entries):
        raw = entry._rawentry  # noqa: SLF001 - pytest offers no other way to shorten
        end = TracebackType(end, raw.tb_frame, raw.tb_lasti, raw.tb_lineno)
    return Traceback(entries if end is None else end)


def _ours(entry: TracebackEntry) -> bool:
    module = _module(entry)
    if module.startswith("pytest_knav.suites"):
        return False
    return _root(entry) in {"pytest_knav", *_HELPERS}


def _root(entry: TracebackEntry) -> str:
    return _module(entry).partition(".")[0]


def _module(entry: TracebackEntry) -> str:
    return str(entry.frame.f_globals.get("__name__", ""))
