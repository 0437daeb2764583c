"""Lemon nodes and bad jobs: what fails, by seed, number and time; wrong parameters."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from pytest_knav.errors import BadInput
from pytest_knav.faults import BadJobs, LemonNode
from pytest_knav.faults.pod.fates import Fates


def course(starts: int = 400, at_s: float = 0.0, **values: Any) -> list[bool]:
    """Return the fates of starts, all at the same time."""
    fates = Fates(**{"seed": "1:n", "probability": 1.0, **values})
    return [fates.fails(at_s) for _ in range(starts)]


def test_the_same_seed_gives_the_same_fates() -> None:
    """And another one others."""
    assert course(probability=0.5) == course(probability=0.5)
    assert course(probability=0.5) != course(probability=0.5, seed="2:n")


def test_a_steady_lemon_fails_by_its_probability() -> None:
    """Within what chance allows."""
    assert 0.7 < sum(course(probability=0.8)) / 400 < 0.9


def test_an_intermittent_lemon_is_bad_half_of_each_period() -> None:
    """Bad, good, bad."""
    found = [
        course(5, at_s, pattern="intermittent", period_s=10.0)
        for at_s in (4.9, 5.1, 10.1)
    ]

    assert found == [[True] * 5, [False] * 5, [True] * 5]


def test_a_bursty_lemon_fails_in_runs() -> None:
    """A third of all starts, but seldom one alone."""
    found = course(3_000, pattern="bursty")

    runs = sum(now and not before for before, now in itertools.pairwise(found))
    assert 0.25 < sum(found) / len(found) < 0.42
    assert 3.5 < sum(found) / runs < 6.5


def test_a_degrading_lemon_gets_worse_until_its_period_is_over() -> None:
    """Never, half, always, and always since."""
    shares = [
        sum(course(at_s=at_s, pattern="degrading", period_s=10.0)) / 400
        for at_s in (0.0, 5.0, 10.0, 99.0)
    ]

    assert shares[0] == 0.0
    assert 0.4 < shares[1] < 0.6
    assert shares[2:] == [1.0, 1.0]


def test_a_repaired_lemon_fails_nothing_more() -> None:
    """From that moment on."""
    assert all(course(at_s=2.9, repaired_s=3.0))
    assert not any(course(at_s=3.0, repaired_s=3.0))


def test_time_does_not_change_the_draws_of_later_starts() -> None:
    """The n-th start has the n-th draws, whatever the pattern made of those before."""
    late, early = (
        Fates(seed="1", probability=0.5, repaired_s=repaired_s)
        for repaired_s in (None, 1.0)
    )
    for _ in range(10):
        late.fails(2.0)
        early.fails(2.0)

    assert [late.fails(0.0) for _ in range(50)] == [early.fails(0.0) for _ in range(50)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"probability": 0},
            r"LemonNode\(probability=0\): give more than 0, at most 1",
        ),
        ({"probability": "high"}, r"probability='high'\): give a number"),
        ({"pattern": "odd"}, "use one of steady, intermittent, bursty, degrading"),
        ({"period": "0s"}, r"period='0s'\): give more than 0"),
        ({"repaired_after": "soon"}, "repaired_after='soon' is not a duration"),
    ],
)
def test_a_wrong_parameter_of_a_lemon_is_refused(
    values: dict[str, Any], message: str
) -> None:
    """With the value and what is allowed."""
    with pytest.raises(BadInput, match=message):
        LemonNode("n", **values)


def test_bad_jobs_without_a_label_are_refused() -> None:
    """Nothing could be of such a queue."""
    with pytest.raises(BadInput, match=r"BadJobs\(label=''\): give the key of a label"):
        BadJobs("q", label="")


@pytest.mark.parametrize(
    ("metadata", "hit"),
    [
        ({"ownerReferences": [{"name": "train-7"}]}, "train-*"),
        ({"labels": {"team": "bad"}}, "bad"),
        ({"labels": {"team": "good"}, "ownerReferences": [{"name": "eval"}]}, None),
        ({"labels": {"kueue.x-k8s.io/queue-name": "bad"}}, None),
        ({}, None),
    ],
)
def test_bad_jobs_are_told_by_owner_or_queue(
    metadata: dict[str, Any], hit: str | None
) -> None:
    """By name or pattern; others are let alone."""
    fault = BadJobs("bad", label="team")

    assert fault.hit_by({"metadata": metadata}, ["bad", "train-*"]) == hit
