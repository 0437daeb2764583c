"""Profiles: values over time that nothing but time and seed decides."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_knav.errors import BadInput
from pytest_knav.utilization import constant, day, ramp, replay, training
from pytest_knav.utilization.profiles import as_profile


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_knav.utilization import Profile

NUMBERS = st.floats(0, 1e12)
PARTS = st.floats(0, 1)
TIMES = st.floats(0, 1e7)
SPANS = st.floats(0.01, 1e6)
PROFILES = st.one_of(
    st.builds(constant, NUMBERS, noise=PARTS),
    st.builds(ramp, NUMBERS, NUMBERS, over=SPANS, noise=PARTS),
    st.builds(
        lambda ends, peak, period, noise: day(
            min(ends), max(ends), peak_at=peak, period=period, noise=noise
        ),
        st.tuples(NUMBERS, NUMBERS),
        SPANS,
        SPANS,
        PARTS,
    ),
    st.builds(
        lambda step, times, **rest: training(
            step=step, checkpoint_every=step * times, **rest
        ),
        step=SPANS,
        times=st.integers(1, 100),
        checkpoint_for=SPANS,
        busy=NUMBERS,
        idle=NUMBERS,
        exchange=PARTS,
        noise=PARTS,
    ),
)


@given(PROFILES, TIMES, st.integers())
def test_a_value_is_never_negative_nor_above_the_ceiling(
    profile: Profile, t_s: float, seed: int
) -> None:
    """No time, seed or noise leads out of the bounds."""
    value = profile.value_at(t_s, seed)

    assert 0 <= value <= profile.ceiling * (1 + 1e-9)


@given(PROFILES, TIMES, st.integers())
def test_the_same_time_and_seed_give_the_same_value(
    profile: Profile, t_s: float, seed: int
) -> None:
    """A run with the same seed is busy at the same times."""
    assert profile.value_at(t_s, seed) == profile.value_at(t_s, seed)


def test_seeds_differ_and_noise_has_no_jumps() -> None:
    """Another seed is another noise, and a moment later is nearly the same."""
    profile = constant(100, noise=0.5)

    values = [profile.value_at(t / 100, 1) for t in range(1_000)]
    others = [profile.value_at(t / 100, 2) for t in range(1_000)]

    assert values != others
    assert max(values) - min(values) > 20
    assert max(abs(a - b) for a, b in pairwise(values)) < 1.01


@pytest.mark.parametrize(
    ("value", "share", "found"),
    [
        (0.5, False, 0.5),
        ("500m", False, 0.5),
        ("6Gi", False, 6 * 1024**3),
        ("80%", True, 80),
        ("2.5%", True, 2.5),
        (0, False, 0),
    ],
)
def test_amounts_are_numbers_quantities_or_shares(
    value: float | str, *, share: bool, found: float
) -> None:
    """A share says so; everything else is in cores or bytes."""
    profile = as_profile(value, "cpu")

    assert (profile.value_at(3), profile.share) == (found, share)


def test_a_ramp_goes_from_one_value_to_the_other_and_stays() -> None:
    """Before the begin the first value holds, after the end the last."""
    profile = ramp("10%", "90%", over="40s")

    values = [profile.value_at(t) for t in (-5, 0, 10, 20, 40, 1000)]

    assert values == pytest.approx([10, 10, 30, 50, 90, 90])


def test_a_day_peaks_at_its_time_each_day() -> None:
    """The peak comes again after a period, the lowest value half a period off."""
    profile = day(1, 5, peak_at="14h")

    values = [profile.value_at(h * 3600) for h in (14, 2, 14 + 24, 8)]

    assert values == pytest.approx([5, 1, 5, 3])


def test_training_is_idle_in_checkpoints_and_in_the_end_of_steps() -> None:
    """Steps of 2 s exchange for half a second; after three a checkpoint takes 4 s."""
    profile = training(
        step="2s",
        checkpoint_every="6s",
        checkpoint_for="4s",
        busy="95%",
        idle="5%",
        exchange=0.25,
    )

    values = [profile.value_at(t / 2) for t in range(24)]

    step = [95, 95, 95, 5]
    assert values == [*step, *step, *step, *([5] * 8), *step]


def test_a_checkpoint_comes_between_two_steps() -> None:
    """It waits for the end of the step it falls into."""
    profile = training(
        step=4, checkpoint_every=9, checkpoint_for=1, busy="9%", idle="0%"
    )

    assert [profile.value_at(t) for t in range(10)] == [9] * 8 + [0, 9]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: constant(-1), r"constant\(value\)=-1: a load cannot be negative"),
        (lambda: constant("lots"), "'lots' is no amount: give a number, a quantity"),
        (lambda: constant("x%"), "'x%' is no amount"),
        (lambda: constant(float("nan")), "nan is no amount"),
        (lambda: constant(True), "True is no amount"),
        (lambda: constant(None), "None is no amount"),
        (lambda: constant(1, noise=2), r"constant\(noise\)=2: give a number from 0"),
        (lambda: ramp("1%", 2, over=3), "'1%'.*=2: give all of them in percent"),
        (lambda: ramp(1, 2, over=0), r"ramp\(over\)=0: give a time longer"),
        (lambda: ramp(1, 2, over="soon"), r"ramp\(over\)='soon' is not a duration"),
        (lambda: day(2, 1), "low=2, high=1.*low is above high"),
        (lambda: day(1, 2, period=0), r"day\(period\)=0: give a time longer"),
        (
            lambda: training(step=5, checkpoint_every=2, checkpoint_for=1),
            "checkpoint_every=2.*shorter than a step of 5",
        ),
    ],
)
def test_bad_profiles_are_refused(make: Callable[[], Profile], says: str) -> None:
    """The message has the argument, its value and what is allowed."""
    with pytest.raises(BadInput, match=says):
        make()


def write(path: Path, *lines: str) -> Path:
    """Write a trace and return where."""
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Return the path of a trace that a test writes."""
    return tmp_path / "trace.csv"


def test_a_trace_is_followed_on_straight_lines(trace: Path) -> None:
    """The first time is the begin; the last value stays."""
    write(trace, "time,gpu,cpu", "100,10,1", "110,30,1", "120,0,1")

    profile = replay(trace, column="gpu")

    values = [profile.value_at(t) for t in (0, 5, 10, 15, 20, 99)]
    assert values == pytest.approx([10, 20, 30, 15, 0, 0])
    assert profile.share
    assert profile.ceiling == 30


def test_a_trace_can_begin_anew(trace: Path) -> None:
    """With `repeat`, the time after its end is that after its begin."""
    write(trace, "t,cores", "0,1", "10,3", "20,5")

    profile = replay(trace, column="cores", time="t", unit="cores", repeat=True)

    assert profile.value_at(45) == pytest.approx(2)
    assert not profile.share


def test_a_trace_may_have_dates(trace: Path) -> None:
    """Times in ISO 8601 are as good as seconds, with any zone."""
    write(
        trace,
        "time,v",
        "2026-03-01T12:00:00Z,0",
        "2026-03-01T13:00:10+01:00,10",
    )

    assert replay(trace, column="v").value_at(5) == pytest.approx(5)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ((), r"no column 'time': use one of none: it is empty"),
        (("time,gpu", "0,1"), "no column 'v': use one of time, gpu"),
        (("time,v",), "it has no rows"),
        (("time,v", "0,1", "1,", "2,1"), "line 3: no value in column 'v'"),
        (("time,v", "0,1", "1,-4"), "line 3: v '-4': a load cannot be negative"),
        (("time,v", "0,1", "1,high"), "line 3: v 'high' is no number"),
        (("time,v", "0,1", "1,nan"), "line 3: v 'nan' is no number"),
        (("time,v", "0,1", "noon,1"), "line 3: time 'noon' is no time"),
        (("time,v", "0,1", "2,1", "1,1"), "line 4: .*not after that of line 3"),
        (("time,v", "5,1", "5,1"), "line 3: .*not after that of line 2"),
        (
            ("time,v", "0,1", "1,1", "2,1", "9,1", "10,1", "17.5,1"),
            r"gaps between lines 4-5 \(7s\), 6-7 \(7.5s\): more than 3s",
        ),
    ],
)
def test_bad_traces_are_refused_by_line(
    trace: Path, lines: tuple[str, ...], says: str
) -> None:
    """The message names the file and the line, when the profile is made."""
    write(trace, *lines)

    with pytest.raises(BadInput, match=says) as error:
        replay(trace, column="v")

    assert str(trace) in str(error.value)


def test_gaps_that_are_allowed_are_no_error(trace: Path) -> None:
    """`max_gap` says how long nobody may have measured."""
    write(trace, "time,v", "0,1", "1,1", "2,1", "9,15")

    profile = replay(trace, column="v", max_gap="7s")

    assert profile.value_at(5.5) == pytest.approx(8)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The path and the system's reason are in the message."""
    with pytest.raises(BadInput, match=r"none\.csv cannot be read: No such file"):
        replay(tmp_path / "none.csv", column="v")


def test_an_unknown_unit_is_refused(trace: Path) -> None:
    """The message has the units that there are."""
    with pytest.raises(BadInput, match=r"'cpu'.*percent, cores, bytes"):
        replay(trace, column="v", unit="cpu")  # type: ignore[arg-type]
