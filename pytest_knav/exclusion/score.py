"""The same lemon histories with every estimator and without: what each costs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from pytest_knav.exclusion.estimators import ESTIMATORS
from pytest_knav.exclusion.simulation import Course, simulate


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_knav.exclusion.simulation import Outcome

NONE: Final = "none"
#: GPU-hours that a pod has used when it fails: an hour on a node of eight.
GPU_HOURS: Final = 8.0
COURSES: Final[Mapping[str, Course]] = {
    "3 lemons, 80 %": Course(),
    "3 lemons, 30 %": Course(lemon_fails=0.3),
    "bad queue, 50 %": Course(lemons=0, bad_queue_fails=0.5),
    "both": Course(bad_queue_fails=0.5),
}
_HEAD: Final = (
    "| course | exclusion | found | failures until out | seconds until out "
    "| good nodes excluded | goodput | lost GPU-hours |\n"
    "|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """
    What became of one course with one way of exclusion, over all seeds.

    Attributes:
        course: Which one.
        side: The estimator, or another mechanism; `none` excludes nobody.
        lemons: How many there were.
        found: How many of them were excluded.
        failures: How many pods had failed on a lemon when it was excluded, on average;
            None where none was.
        seconds: How long after the first of them that was, on average.
        wrong: How many good nodes were excluded.
        goodput: The share of pods that came to a good end.
        lost_gpu_hours: What pods that failed have used.
        lost: The same after each part of the course.

    """

    course: str
    side: str
    lemons: int
    found: int
    failures: float | None
    seconds: float | None
    wrong: int
    goodput: float
    lost_gpu_hours: float
    lost: tuple[float, ...] = ()

    def row(self) -> str:
        """Return it as a row of a Markdown table."""
        failures = "-" if self.failures is None else f"{self.failures:.1f}"
        seconds = "-" if self.seconds is None else f"{self.seconds:.0f}"
        return (
            f"| {self.course} | {self.side} | {self.found} of {self.lemons} "
            f"| {failures} | {seconds} | {self.wrong} | {self.goodput:.4f} "
            f"| {self.lost_gpu_hours:,.0f} |"
        )


def scores(seeds: Iterable[int], gpu_hours_per_pod: float = GPU_HOURS) -> list[Score]:
    """
    Return the scores of every course and estimator, the same seeds for each.

    Args:
        seeds: One course each.
        gpu_hours_per_pod: What a pod that fails has used by then.

    """
    wanted = tuple(seeds)
    return [
        score_of(
            name,
            side,
            [simulate(course, s, None if side == NONE else side) for s in wanted],
            gpu_hours_per_pod,
        )
        for name, course in COURSES.items()
        for side in (NONE, *ESTIMATORS)
    ]


def table(found: Iterable[Score]) -> str:
    """Return scores as a Markdown table."""
    return "\n".join([_HEAD, *(one.row() for one in found), ""])


def score_of(
    course: str,
    side: str,
    outcomes: Sequence[Outcome],
    gpu_hours_per_pod: float = GPU_HOURS,
) -> Score:
    """Return what one way of exclusion made of one course."""
    failures = [f for outcome in outcomes for f in outcome.found.values()]
    seconds = [o.seconds_until_out[node] for o in outcomes for node in o.found]
    parts = zip_longest(*(outcome.lost for outcome in outcomes), fillvalue=0)
    return Score(
        course=course,
        side=side,
        lemons=sum(len(outcome.lemons) for outcome in outcomes),
        found=len(failures),
        failures=_mean(failures),
        seconds=_mean(seconds),
        wrong=sum(len(outcome.wrong) for outcome in outcomes),
        goodput=_mean([outcome.goodput for outcome in outcomes]) or 0.0,
        lost_gpu_hours=gpu_hours_per_pod * sum(o.failed for o in outcomes),
        lost=tuple(gpu_hours_per_pod * sum(part) for part in parts),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
