"""Twenty seeds of lemon nodes and bad queues, for every estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.exclusion.estimators import ESTIMATORS
from pytest_knav.exclusion.simulation import Course, simulate


if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS = range(20)


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
