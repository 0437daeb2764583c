"""What the command does: measure or read, show, write, judge."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pytest_knav.control_plane.assets import AssetStore, StreamProgress
from pytest_knav.control_plane.network import toxiproxy
from pytest_knav.control_plane.plane import Binaries
from pytest_knav.errors import BadInput
from pytest_knav.selfbench import cases, plot, table
from pytest_knav.selfbench.progress import Bar
from pytest_knav.selfbench.results import Report
from pytest_knav.selfbench.run import Plan, measure
from pytest_knav.selfbench.sizes import size_named
from pytest_knav.selfbench.targets import judge


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user asked for."""

    size: str = "small"
    rounds: int = 3
    plain: bool | None = None
    only: tuple[str, ...] = ()
    json: Path | None = None
    write: Path | None = None
    plot: Path | None = None
    sources: tuple[Path, ...] = ()
    check: bool = False
    assets: Path | None = None


def selfbench(wish: Wish, say: Callable[[str], None]) -> int:
    """
    Measure, or read what was measured; show it and return the exit code.

    Raises:
        HarnessError: The wish makes no sense, or a binary cannot be had.

    """
    plan = plan_of(wish)
    _check_files(wish)
    if wish.sources:
        reports = [Report.read(path) for path in wish.sources]
    else:
        reports = [_measure(wish, plan)]
    link = ""
    if wish.plot is not None:
        wish.plot.write_text(plot.svg(reports))
        beside = (wish.write or wish.plot).parent
        link = os.path.relpath(wish.plot, beside)
    text = table.page(reports, link)
    say(text)
    if wish.write is not None:
        wish.write.write_text(text)
    failed = any(report.failures for report in reports)
    missed = any(v.state == "missed" for r in reports for v in judge(r))
    return int(failed or (wish.check and missed))


def plan_of(wish: Wish) -> Plan:
    """
    Return what is to be measured.

    Raises:
        BadInput: A size or case is unknown, or a number is out of range.

    """
    size = size_named(wish.size)
    if wish.rounds < 1:
        raise BadInput(f"--rounds {wish.rounds}: give at least 1")
    return Plan(
        size=size,
        rounds=wish.rounds,
        cases=cases.chosen(wish.only, size),
        plain=size.plain if wish.plain is None else wish.plain,
    )


def _check_files(wish: Wish) -> None:
    """Find out before half an hour of measuring that a file cannot be written."""
    measuring = {"--json": wish.json, "--only": wish.only, "--plain": wish.plain}
    for flag, value in measuring.items():
        if wish.sources and value not in {None, ()}:
            raise BadInput(f"{flag} is for what is measured: with --from nothing is")
    for flag, path in (("json", wish.json), ("write", wish.write), ("plot", wish.plot)):
        if path is not None and not path.parent.is_dir():
            raise BadInput(f"--{flag} {path}: {path.parent} is no directory")


def _measure(wish: Wish, plan: Plan) -> Report:
    store = AssetStore(directory=wish.assets, progress=StreamProgress(sys.stderr))

    def keep(report: Report) -> None:
        if wish.json is not None:
            verdicts = [asdict(verdict) for verdict in judge(report)]
            wish.json.write_text(report.to_json(verdicts=verdicts))

    binaries = Binaries.of(store)
    if "network" in plan.cases:
        binaries = binaries.plus(toxiproxy.NAME, store.path(toxiproxy.NAME))
    return measure(plan, binaries, Bar(sys.stderr), keep)
