"""The same lemon histories against every estimator and none: what each costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_knav.exclusion.estimators import ESTIMATORS
from pytest_knav.exclusion.simulation import Course, simulate


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NONE: Final = "none"
COURSES: Final[Mapping[str, Course]] = {
    "3 lemons, 80 %": Course(),
    "3 lemons, 30 %": Course(lemon_fails=0.3),
    "bad queue, 50 %": Course(lemons=0, bad_queue_fails=0.5),
    "both": Course(bad_queue_fails=0.5),
}
_HEAD: Final = (
    "| course | estimator | found | failures until out, mean | good nodes excluded "
    "| goodput | lost GPU-hours |\n|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """
    What became of one course with one estimator, over all seeds.

    Attributes:
        course: Which one.
        estimator: Its name; `none` excludes nobody.
        lemons: How many there were.
        found: How many of them were excluded.
        delay: How many pods had failed on a lemon when it was excluded, on average;
            None where none was.
        wrong: How many good nodes were excluded.
        goodput: The share of pods that came to a good end.
        lost_gpu_hours: What pods that failed have used.

    """

    course: str
    estimator: str
    lemons: int
    found: int
    delay: float | None
    wrong: int
    goodput: float
    lost_gpu_hours: float

    def row(self) -> str:
        """Return it as a row of a Markdown table."""
        delay = "-" if self.delay is None else f"{self.delay:.1f}"
        return (
            f"| {self.course} | {self.estimator} | {self.found} of {self.lemons} "
            f"| {delay} | {self.wrong} | {self.goodput:.4f} "
            f"| {self.lost_gpu_hours:,.0f} |"
        )


def scores(seeds: Iterable[int], gpu_hours_per_pod: float = 8.0) -> list[Score]:
    """
    Return the scores of every course and estimator, the same seeds for each.

    Args:
        seeds: One course each.
        gpu_hours_per_pod: What a pod that fails has used by then.

    """
    wanted = tuple(seeds)
    return [
        _score(course, estimator, wanted, gpu_hours_per_pod)
        for course in COURSES
        for estimator in (NONE, *ESTIMATORS)
    ]


def table(found: Iterable[Score]) -> str:
    """Return scores as a Markdown table."""
    return "\n".join([_HEAD, *(one.row() for one in found), ""])


def _score(course: str, estimator: str, seeds: tuple[int, ...], hours: float) -> Score:
    name = None if estimator == NONE else estimator
    outcomes = [simulate(COURSES[course], seed, name) for seed in seeds]
    delays = [f for outcome in outcomes for f in outcome.found.values()]
    return Score(
        course=course,
        estimator=estimator,
        lemons=sum(len(outcome.lemons) for outcome in outcomes),
        found=len(delays),
        delay=sum(delays) / len(delays) if delays else None,
        wrong=sum(len(outcome.wrong) for outcome in outcomes),
        goodput=sum(outcome.goodput for outcome in outcomes) / max(1, len(outcomes)),
        lost_gpu_hours=hours * sum(outcome.failed for outcome in outcomes),
    )
