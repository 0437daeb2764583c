"""Twenty seeds of lemon nodes and bad queues, simulated; real clusters beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.exclusion.curves import svg
from pytest_knav.exclusion.estimators import ESTIMATORS
from pytest_knav.exclusion.policy import Limits
from pytest_knav.exclusion.score import NONE, score_of, table
from pytest_knav.exclusion.simulation import Course, simulate
from pytest_knav.fixtures.lemon_course import PODS_PER_NODE, Side, run_course
from pytest_knav.reports import allure_report


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav import Cluster
    from pytest_knav.exclusion.simulation import Outcome

SEEDS = range(20)
#: As `Side` starts the controller; nobody is taken back meanwhile.
LIMITS = Limits(share=0.25, probation_s=1e9)
#: Twelve nodes, as the real clusters have them.
POINTS = {
    "1 lemon, 80 %": Course(nodes=12, lemons=1, queues=3, pods=144),
    "1 lemon, 50 %": Course(nodes=12, lemons=1, lemon_fails=0.5, queues=3, pods=240),
    "bad queue, 50 %": Course(
        nodes=12, lemons=0, bad_queue_fails=0.5, queues=3, pods=144
    ),
}


def test_the_default_finds_every_lemon_and_nobody_else(
    row: Callable[..., Any],
) -> None:
    """Within six failures each, with a healthy background of 1 %."""
    outcomes = [simulate(Course(), seed, "bayes") for seed in SEEDS]

    found = [f for outcome in outcomes for f in outcome.found.values()]
    wrong = sum(len(outcome.wrong) for outcome in outcomes)
    row("lemons of bayes, failures until excluded", len(found), f"at most {max(found)}")
    assert len(found) == 3 * len(SEEDS)
    assert max(found) <= 6
    assert wrong == 0


def test_a_bad_queue_excludes_no_good_node(row: Callable[..., Any]) -> None:
    """One of five queues fails half of its pods; no node is bad."""
    course = Course(lemons=0, bad_queue_fails=0.5)
    outcomes = [simulate(course, seed, "bayes") for seed in SEEDS]

    wrong = sum(len(outcome.wrong) for outcome in outcomes)
    row("good nodes excluded for a bad queue", len(SEEDS), f"{wrong}")
    assert wrong == 0


@pytest.mark.parametrize("name", [None, *sorted(ESTIMATORS)])
def test_goodput_by_estimator(row: Callable[..., Any], name: str | None) -> None:
    """A table to compare by; with any of them it is at least as good as without."""
    outcomes = [simulate(Course(), seed, name) for seed in SEEDS]
    without = [simulate(Course(), seed, None) for seed in SEEDS]

    mean = sum(outcome.goodput for outcome in outcomes) / len(outcomes)
    usual = sum(outcome.goodput for outcome in without) / len(without)
    found = sum(len(outcome.found) for outcome in outcomes)
    row(
        f"goodput with {name or 'no exclusion'}",
        len(SEEDS),
        f"{mean:.4f}, {found} of 60 found",
    )
    assert mean >= usual


def simulated(course: Course, side: str) -> list[Outcome]:
    """Return what the simulation says, by seed."""
    name = None if side == NONE else side
    return [simulate(course, seed, name, LIMITS) for seed in SEEDS]


@pytest.mark.knav(topology="dgx-h100", nodes=12)
@pytest.mark.parametrize("side", [NONE, "bayes", "window"])
@pytest.mark.parametrize("point", sorted(POINTS))
def test_a_real_cluster_agrees_with_the_simulation(
    cluster: Cluster,
    request: pytest.FixtureRequest,
    row: Callable[..., Any],
    point: str,
    side: str,
) -> None:
    """
    As many failures until a lemon is out, and as many pods lost, as seeds may bring.

    Two pods of a node run at once, and one that is under way when it is excluded can
    still fail; otherwise the real one lies where twenty simulated ones do.
    """
    course = POINTS[point]
    expected = simulated(course, side)

    real = run_course(cluster, course, 1, Side(name=side))

    delays = [f for outcome in expected for f in outcome.found.values()]
    lost = [outcome.failed for outcome in expected]
    out = ", ".join(map(str, real.found.values())) or "-"
    range_ = f"{min(delays)} to {max(delays)}" if delays else "-"
    row(
        f"{point}, {side}: real cluster beside {len(SEEDS)} simulated",
        1,
        f"out after {out} failures ({range_}), {real.failed} pods lost "
        f"({min(lost)} to {max(lost)})",
    )
    attach(request, f"{point}, {side}", expected, real)
    if not any(outcome.wrong for outcome in expected):
        assert real.wrong == {}
    slack = PODS_PER_NODE * course.lemons
    for failures in real.found.values():
        assert min(delays) <= failures <= max(delays) + slack
    if delays and all(len(o.found) == course.lemons for o in expected):
        assert real.found
    # The faults act on pods that they see Running; a few escape under load.
    assert min(lost) * 0.7 - slack <= real.failed <= max(lost) * 1.3 + slack


def attach(
    request: pytest.FixtureRequest, name: str, expected: list[Outcome], real: Outcome
) -> None:
    """Put table and curves into the run's report."""
    shown = [
        score_of(name, "simulated, seed 1", [expected[1]]),
        score_of(name, "real", [real]),
    ]
    report = allure_report.active(request.config)
    report.attach_text("scorecard", table(shown))
    report.attach_picture("lost GPU-hours", svg(shown))
