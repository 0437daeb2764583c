"""The same tests with several systems, side by side."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

from pytest_knav.compare.ranks import Ratio, fewest, ratio


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.reports.record import TestRecord

Judgement = Literal["worse", "not worse", "inconclusive"]
STOCK: Final = "stock"
#: What decides a comparison when nothing else is asked for.
CONFIDENCE: Final = 0.95
WORSE_BY: Final = 0.10
_PARAMETERS: Final = re.compile(r"\[(.*)\]$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """
    What one test came to with one system, in all its repeats.

    Attributes:
        verdicts: How often each.
        seconds: Of the recoveries that there were, in the order of the repeats.
        phases: The median seconds of each phase.
        violated: The invariants that failed at least once.

    """

    system: str
    verdicts: Mapping[str, int]
    seconds: tuple[float, ...]
    phases: Mapping[str, float]
    violated: tuple[str, ...]

    @property
    def runs(self) -> int:
        """Return how often it ran."""
        return sum(self.verdicts.values())

    @property
    def failed(self) -> bool:
        """Return whether it failed at least once."""
        return bool(self.verdicts.get("fail"))

    def __str__(self) -> str:
        """Return the system with its median recovery."""
        if not self.seconds:
            return self.system
        return f"{self.system} ({median(self.seconds):.1f}s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """
    One test, the base and another system.

    Attributes:
        ratio: How many times as long as with the base its recoveries take.
        judgement: Whether it is worse by more than was allowed.
        why: In words.

    """

    test: str
    base: Side
    other: Side
    ratio: Ratio | None
    judgement: Judgement
    why: str

    def __str__(self) -> str:
        """Return both sides and the judgement in one line."""
        times = f"{self.ratio.estimate:.2f}x; " if self.ratio else ""
        return (
            f"{self.test}: {self.other} against {self.base}: {self.judgement}: "
            f"{times}{self.why}"
        )


def test_name(record: TestRecord) -> str:
    """Return what a test is called whatever the system is."""
    found = _PARAMETERS.search(record.test)
    if not found:
        return record.test
    kept = [part for part in found.group(1).split("-") if part != record.system]
    rest = record.test[: found.start()]
    return f"{rest}[{'-'.join(kept)}]" if kept else rest


def sides(records: Sequence[TestRecord]) -> dict[str, dict[str, Side]]:
    """Return what each test came to with each system, by test and system."""
    found: dict[str, dict[str, list[TestRecord]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for record in records:
        found[test_name(record)][record.system].append(record)
    return {
        test: {system: _side(system, runs) for system, runs in by_system.items()}
        for test, by_system in sorted(found.items())
    }


def compare(
    records: Sequence[TestRecord],
    base: str,
    *,
    worse_by: float = WORSE_BY,
    confidence: float = CONFIDENCE,
) -> list[Pair]:
    """
    Return each test that ran with the base and another system, judged.

    Worse is: it fails and the base does not; it violates an invariant that the base
    keeps; or its recoveries take longer by more than `worse_by`, with this confidence.

    Args:
        records: Of one run or several.
        base: The system that others are held against.
        worse_by: The share by which recoveries may take longer.
        confidence: How sure it must be, from 0.5 to below 1.

    """
    pairs = []
    for test, by_system in sides(records).items():
        if base not in by_system:
            continue
        for system, side in sorted(by_system.items()):
            if system != base:
                pairs.append(_pair(test, by_system[base], side, worse_by, confidence))
    return pairs


def side_by_side(records: Sequence[TestRecord]) -> list[str]:
    """Return a line for each test that ran with several systems, with the default."""
    systems = sorted({record.system for record in records})
    if len(systems) < 2:
        return []
    base = STOCK if STOCK in systems else systems[0]
    return [str(pair) for pair in compare(records, base)]


def _pair(
    test: str, base: Side, other: Side, worse_by: float, confidence: float
) -> Pair:
    judgement: Judgement
    found = None
    if base.seconds and other.seconds:
        found = ratio(base.seconds, other.seconds, confidence)
    new = sorted(set(other.violated) - set(base.violated))
    if other.failed and not base.failed:
        judgement, why = "worse", f"it fails, {base.system} does not"
    elif new:
        judgement, why = "worse", f"it violates {', '.join(new)}"
    elif found is None:
        judgement, why = "inconclusive", "there are no recoveries to compare"
    elif found.at_least is None or found.at_most is None:
        least = fewest(confidence)
        judgement = "inconclusive"
        why = (
            f"{len(base.seconds)} and {len(other.seconds)} recoveries are too few for "
            f"{confidence:.0%}: give --knav-repeat {least} or more"
        )
    elif found.at_least > 1 + worse_by:
        judgement = "worse"
        why = f"at least {found.at_least - 1:+.0%} with {confidence:.0%}"
    elif found.at_most <= 1 + worse_by:
        judgement = "not worse"
        why = f"at most {found.at_most - 1:+.0%} with {confidence:.0%}"
    else:
        judgement = "inconclusive"
        why = (
            f"from {found.at_least - 1:+.0%} to {found.at_most - 1:+.0%}: more repeats "
            "would tell"
        )
    return Pair(
        test=test, base=base, other=other, ratio=found, judgement=judgement, why=why
    )


def _side(system: str, runs: Sequence[TestRecord]) -> Side:
    verdicts: dict[str, int] = defaultdict(int)
    phases: dict[str, list[float]] = defaultdict(list)
    seconds: list[float] = []
    for record in runs:
        verdicts[record.verdict] += 1
        for row in record.recoveries:
            if row.seconds is None:
                continue
            seconds.append(row.seconds)
            for phase, took_s in row.phases.items():
                phases[phase].append(took_s)
    violated = {
        name
        for record in runs
        for name, status in record.checks.items()
        if status == "fail"
    }
    return Side(
        system=system,
        verdicts=dict(verdicts),
        seconds=tuple(s for s in seconds if s > 0),
        phases={phase: median(values) for phase, values in phases.items()},
        violated=tuple(sorted(violated)),
    )
