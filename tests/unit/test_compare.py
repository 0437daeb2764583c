"""Two systems side by side: how much slower, and how sure that is."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pytest_knav.compare.ranks import _beyond, fewest, ratio
from pytest_knav.compare.sides import compare, sides
from pytest_knav.errors import BadInput
from pytest_knav.reports.record import RecoveryRow, TestRecord


@pytest.mark.parametrize(
    ("size", "critical"), [(3, 0), (4, 1), (5, 4), (8, 15), (10, 27), (20, 138)]
)
def test_bounds_are_those_of_the_published_tables(size: int, critical: int) -> None:
    """Critical values of U, one-tailed at 0.05 (Siegel 1956, table K)."""
    assert _beyond(size, size, 0.05) == critical


def test_too_few_times_give_no_bound() -> None:
    """Two of each side can be in order by chance once in six times."""
    found = ratio([1.0, 1.1], [2.0, 2.2], 0.95)

    assert found.estimate == pytest.approx(2.0)
    assert (found.at_least, found.at_most) == (None, None)
    assert fewest(0.95) == 3


def test_the_bounds_keep_their_confidence() -> None:
    """In a thousand seeded trials the truth is below the bound rarely enough."""
    chance = random.Random(7)  # noqa: S311 - not for secrets
    truth, missed = 1.3, 0

    for _ in range(1_000):
        base = [chance.lognormvariate(2, 0.2) for _ in range(6)]
        other = [truth * chance.lognormvariate(2, 0.2) for _ in range(6)]
        at_least = ratio(base, other, 0.95).at_least
        missed += at_least is not None and at_least > truth

    # 50 are expected at most; five standard deviations more are not chance.
    assert 5 < missed < 85


@pytest.mark.parametrize(
    ("base", "other", "confidence"),
    [([], [1.0], 0.95), ([0.0], [1.0], 0.95), ([1.0], [1.0], 1.0)],
)
def test_what_is_no_time_is_refused(
    base: list[float], other: list[float], confidence: float
) -> None:
    """Nothing, zero, and a confidence that cannot be had."""
    with pytest.raises(BadInput):
        ratio(base, other, confidence)


def record(system: str, seconds: float | None, **more: Any) -> TestRecord:
    """Return one test's record with a recovery."""
    row = RecoveryRow(
        fault="NodeCrash(a)",
        workload="Gang llama",
        outcome="recovered" if seconds else "lost",
        within_s=60.0,
        seconds=seconds,
        phases={"detect": (seconds or 0.0) / 2},
    )
    values: dict[str, Any] = {
        "test": f"test_a.py::test_x[{system}]",
        "topology": "dgx-h100",
        "nodes": 8,
        "seed": 1,
        "time_profile": "fast",
        "cluster_s": 1.0,
        "artifacts": "",
        "replay": "",
        "verdict": "pass" if seconds else "fail",
        "recoveries": (row,),
        "system": system,
        **more,
    }
    return TestRecord(**values)


def judged(base: list[TestRecord], other: list[TestRecord]) -> tuple[str, str]:
    """Return the judgement of the only pair, and why."""
    (pair,) = compare([*base, *other], "stock")
    return pair.judgement, pair.why


def test_the_same_test_is_found_whatever_the_system() -> None:
    """Its parameter is taken out of the name, the others stay."""
    found = sides(
        [
            record("stock", 10.0, test="t.py::test_x[8-stock]"),
            record("kueue", 20.0, test="t.py::test_x[8-kueue]"),
            record("stock", 10.0, test="t.py::test_y[stock]"),
        ]
    )

    assert {test: set(by) for test, by in found.items()} == {
        "t.py::test_x[8]": {"stock", "kueue"},
        "t.py::test_y": {"stock"},
    }


def test_much_slower_with_enough_repeats_is_worse() -> None:
    """And the bound is said."""
    judgement, why = judged(
        [record("stock", s) for s in (10.0, 11.0, 10.5, 10.2)],
        [record("kueue", s) for s in (20.0, 21.0, 20.5, 20.2)],
    )

    assert judgement == "worse"
    assert "with 95%" in why


def test_as_fast_with_enough_repeats_is_not_worse() -> None:
    """Where it is at most ten per cent slower, surely."""
    times = (10.0, 10.1, 10.2, 10.3, 10.15)

    judgement, _ = judged(
        [record("stock", s) for s in times], [record("kueue", s) for s in times]
    )

    assert judgement == "not worse"


def test_one_repeat_cannot_tell() -> None:
    """And it is said how many would."""
    judgement, why = judged([record("stock", 10.0)], [record("kueue", 20.0)])

    assert judgement == "inconclusive"
    assert "--knav-repeat 3" in why


def test_a_failure_that_the_base_does_not_have_is_worse() -> None:
    """Whatever the times are."""
    judgement, why = judged([record("stock", 10.0)], [record("kueue", None)])

    assert (judgement, why) == ("worse", "it fails, stock does not")


def test_an_invariant_that_the_base_keeps_is_worse_to_violate() -> None:
    """By its name."""
    judgement, why = judged(
        [record("stock", 10.0, checks={"capacity": "pass"})],
        [record("kueue", 10.0, checks={"capacity": "fail"})],
    )

    assert (judgement, why) == ("worse", "it violates capacity")
