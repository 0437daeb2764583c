"""``knav compare``: the same tests with several systems, or of two runs, judged."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path  # noqa: TC003 - Typer reads annotations
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_knav.commands.tables import lines_of
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.compare.sides import Pair
    from pytest_knav.reports.record import TestRecord

_WORSE_CODE = 1
_INCONCLUSIVE_CODE = 10


def compare(  # noqa: PLR0913 - one for each option
    base: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run's directory: .knav/runs/latest."),
    ],
    other: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="Another run, such as of another build."),
    ] = None,
    *,
    against: Annotated[
        str, typer.Option("--base", help="The system that others are held against.")
    ] = "stock",
    worse_by: Annotated[
        str, typer.Option("--worse-by", help="How much slower recoveries may be.")
    ] = "10%",
    confidence: Annotated[
        str, typer.Option("--confidence", help="How sure a judgement must be.")
    ] = "95%",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """
    Hold tests with one system, or one run, against another.

    Exit code 1 if any is worse: it fails where the base does not, violates an invariant
    that the base keeps, or recovers more slowly than allowed with this confidence; 10
    if none is and some cannot be told apart.
    """
    from pytest_knav.compare import sides  # noqa: PLC0415 - only if asked for
    from pytest_knav.reports.record import read_records  # noqa: PLC0415 - likewise

    records: list[TestRecord] = list(read_records(base))
    if other is not None:
        # Two runs of whatever system: the run stands in for the system.
        records = _named(records, base) + _named(read_records(other), other)
        against = _name(base)
    pairs = sides.compare(
        records,
        against,
        worse_by=_share("--worse-by", worse_by, 100.0),
        confidence=_share("--confidence", confidence, 0.999),
    )
    if not pairs:
        systems = sorted({record.system for record in records})
        raise BadInput(
            f"there is nothing to hold against {against!r}: the tests ran with "
            f"{', '.join(systems) or 'nothing'}; give --knav-system several, or --base"
        )
    if as_json:
        typer.echo(json.dumps([asdict(pair) for pair in pairs], indent=2))
    else:
        for line in table(pairs):
            typer.echo(line)
    found = {pair.judgement for pair in pairs}
    if "worse" in found:
        raise typer.Exit(_WORSE_CODE)
    if "inconclusive" in found:
        raise typer.Exit(_INCONCLUSIVE_CODE)


def table(pairs: Sequence[Pair]) -> list[str]:
    """Return pairs as lines: both sides, the ratio, the judgement."""
    rows = [("TEST", "SYSTEM", "RUNS", "FAILED", "SECONDS", "PHASES", "JUDGEMENT")]
    shown = ""
    for pair in pairs:
        for side in (pair.base, pair.other):
            if side is pair.base and shown == pair.test:
                continue
            middle = f"{median(side.seconds):.1f}" if side.seconds else ""
            phases = ", ".join(f"{k} {s:.1f}" for k, s in side.phases.items())
            judged = ""
            if side is pair.other:
                times = f"{pair.ratio.estimate:.2f}x; " if pair.ratio else ""
                judged = f"{pair.judgement}: {times}{pair.why}"
            rows.append(
                (
                    "" if shown == pair.test else pair.test,
                    side.system,
                    str(side.runs),
                    str(side.verdicts.get("fail", 0)),
                    middle,
                    phases,
                    judged,
                )
            )
            shown = pair.test
    return lines_of(rows)


def _named(records: Sequence[TestRecord], run: Path) -> list[TestRecord]:
    return [replace(record, system=_name(run)) for record in records]


def _name(run: Path) -> str:
    return run.resolve().name


def _share(option: str, text: str, most: float) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise BadInput(f"{option}={text!r}: give a share such as 10%") from error
    if not 0 <= value <= most:
        raise BadInput(f"{option}={text!r}: give a share from 0 to {most:.1%}")
    return value
