"""A metric threshold is judged on stored samples, series by series, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_knav.checks.samples import SloSamples
from pytest_knav.checks.slo import judge_slo
from pytest_knav.errors import Inconclusive


START, END = 100.0, 110.0
TARGET = {"job": "app", "instance": "a:1"}


def points(*values: float, begin: float = START + 1) -> list[list[float]]:
    """Return values one second apart."""
    return [[begin + at, value] for at, value in enumerate(values)]


def series(*values: float, begin: float = START + 1, **labels: str) -> dict[str, Any]:
    """Return a series as the history holds it."""
    return {
        "labels": {"__name__": "x", **TARGET, **labels},
        "points": points(*values, begin=begin),
    }


def up(*values: float, begin: float = START - 0.5, job: str = "app") -> dict[str, Any]:
    """Return the scrapes of a target; by default it was always up."""
    labels = {"__name__": "up", **TARGET, "job": job}
    return {"labels": labels, "points": points(*(values or [1] * 11), begin=begin)}


def samples(*found: dict[str, Any], **changed: Any) -> SloSamples:
    """Return what is judged: ten seconds, scraped each second, at most 5."""
    data = {
        "promql": "x",
        "at_most": 5.0,
        "window": {"name": "test", "start_s": START, "end_s": END},
        "mode": "value",
        "interval_s": 1.0,
        "series": list(found),
        "scrapes": [up()],
        "found": [{"selector": "x", "samples": [["app", "a:1", 10]]}],
    }
    return SloSamples.of({**data, **changed})


class TestValues:
    """Each value of each series is held against the limit."""

    def test_at_the_limit(self) -> None:
        """A value that is the limit keeps to it."""
        verdict = judge_slo(samples(series(*[5.0] * 10)))

        assert verdict.status == "pass"

    def test_one_of_two_series(self) -> None:
        """The one that breaks is named, with its worst value, when, and how long."""
        good = series(*[1.0] * 10, gpu="0")
        bad = series(1, 1, 1, 6, 9, 7, 1, 1, 1, 1, gpu="1")

        verdict = judge_slo(samples(good, bad))

        assert verdict.status == "fail"
        assert verdict.reasons == ("1 of 2 series did not keep to it",)
        (evidence,) = verdict.evidence
        assert 'gpu="1"' in evidence
        assert "9 5.0s after the start, beyond the limit for 3.0s" in evidence

    def test_a_mean_hides_nothing(self) -> None:
        """A single sample is enough."""
        verdict = judge_slo(samples(series(*[0.0] * 9, 5.1)))

        assert verdict.status == "fail"

    def test_at_least(self) -> None:
        """A lower limit is broken from below."""
        low = series(3, 3, 3, 2, 3, 3, 3, 3, 3, 3)

        verdict = judge_slo(samples(low, at_most=None, at_least=3.0))

        assert verdict.status == "fail"
        assert "2 4.0s after the start" in verdict.evidence[0]

    @pytest.mark.parametrize(
        ("value", "status"), [(2, "fail"), (3, "pass"), (6, "fail")]
    )
    def test_both_limits(self, value: float, status: str) -> None:
        """With two limits a value must lie between them."""
        verdict = judge_slo(samples(series(*[value] * 10), at_least=3.0))

        assert verdict.status == status

    def test_negative_values(self) -> None:
        """Below zero is below a limit of zero, and above one below zero."""
        cold = series(*[-3.0] * 10)

        assert judge_slo(samples(cold, at_most=0.0)).status == "pass"
        assert judge_slo(samples(cold, at_most=-4.0)).status == "fail"

    def test_series_that_comes_midway(self) -> None:
        """What was there for a part of the window is judged for that part."""
        always = series(*[1.0] * 10, gpu="0")
        late = series(1, 8, begin=END - 1, gpu="1")

        verdict = judge_slo(samples(always, late))

        assert verdict.status == "fail"
        assert 'gpu="1"' in verdict.evidence[0]

    def test_nan_is_no_value(self) -> None:
        """A quantile of nothing is NaN: neither good nor bad."""
        some = series("NaN", "NaN", 4, 4, 4, 4, 4, 4, 4, 4)  # type: ignore[arg-type]

        assert judge_slo(samples(some)).status == "pass"

    def test_infinity_is_beyond_every_limit(self) -> None:
        """Infinity is kept as text, and is a value."""
        endless = series(*[1.0] * 9, "inf")  # type: ignore[arg-type]

        assert judge_slo(samples(endless)).status == "fail"

    def test_many_broken_series(self) -> None:
        """The worst are shown, the rest is counted."""
        broken = [series(*[6.0 + n] * 10, gpu=str(n)) for n in range(8)]

        verdict = judge_slo(samples(*broken))

        assert 'gpu="7"' in verdict.evidence[0]
        assert verdict.evidence[-1] == "and 3 more"


class TestWindowAsAWhole:
    """An expression with $window has one value."""

    def test_one_value_is_enough(self) -> None:
        """The samples that count are those that the value was made of."""
        verdict = judge_slo(samples(series(7, begin=END), mode="whole"))

        assert verdict.status == "fail"
        assert "7 over the window" in verdict.evidence[0]

    def test_too_few_samples_behind_it(self) -> None:
        """One value of four samples says nothing."""
        found = [{"selector": "x", "samples": [["app", "a:1", 4]]}]

        verdict = judge_slo(samples(series(1, begin=END), mode="whole", found=found))

        assert verdict.status == "inconclusive"
        assert "4 samples" in verdict.reasons[0]


class TestCounters:
    """Of a counter alone, the increase in the window is judged."""

    @staticmethod
    def judged(*values: float, begin: float = START - 0.5, **changed: Any) -> str:
        """Return the verdict on the samples of a counter."""
        asked = {"mode": "increase", "at_most": 5.0, **changed}
        return judge_slo(samples(series(*values, begin=begin), **asked)).status

    def test_what_earlier_tests_left(self) -> None:
        """A large value that does not grow is no increase."""
        assert self.judged(*[1_000.0] * 11) == "pass"

    def test_growth(self) -> None:
        """Six more than before the window are more than five."""
        assert self.judged(*[1_000.0] * 10, 1_006.0) == "fail"
        assert self.judged(*[1_000.0] * 10, 1_005.0) == "pass"

    def test_growth_at_the_very_beginning(self) -> None:
        """What came between the last scrape before the window and the next counts."""
        assert self.judged(1_000.0, *[1_006.0] * 10) == "fail"

    def test_growth_before_the_window(self) -> None:
        """What came before that does not."""
        assert self.judged(0.0, 1_000.0, *[1_000.0] * 11, begin=START - 2.5) == "pass"

    def test_restart(self) -> None:
        """A counter that falls has begun at zero again: 3 + 3 in all."""
        values = [1_000, 1_003, 1_003, 1, 3, 3, 3, 3, 3, 3, 3]

        assert self.judged(*values) == "fail"
        assert self.judged(*values, at_most=6.0) == "pass"

    def test_counter_that_comes_up_in_the_window(self) -> None:
        """It was zero while its target was scraped without it."""
        assert self.judged(6, 6, begin=END - 1.5) == "fail"

    def test_counter_of_a_target_that_comes_up_with_it(self) -> None:
        """It may have stood there before: only what it grows by is known."""
        late = [up(*[1] * 6, begin=START + 0.5)]
        begin = START + 0.5
        window = {"name": "test", "start_s": START, "end_s": START + 6}
        same = {"scrapes": late, "window": window}

        assert self.judged(*[1_000] * 6, begin=begin, **same) == "pass"
        assert self.judged(*[1_000] * 5, 1_006, begin=begin, **same) == "fail"

    def test_at_least_is_asked_at_the_end(self) -> None:
        """An increase that is reached in the end is reached."""
        grows = range(11)

        assert self.judged(*grows, at_most=None, at_least=10.0) == "pass"
        assert self.judged(*grows, at_most=None, at_least=11.0) == "fail"
        assert self.judged(*grows, at_most=20.0, at_least=10.0) == "pass"

    def test_nothing_found(self) -> None:
        """A counter without a series is no zero; the message says how to mean one."""
        nothing = samples(mode="increase", found=[{"selector": "x", "samples": []}])

        verdict = judge_slo(nothing)

        assert verdict.status == "inconclusive"
        assert "sum(increase(x[$window])) or vector(0)" in verdict.reasons[0]


class TestEvidence:
    """Where the samples cannot tell, the verdict is inconclusive, never green."""

    def test_no_data(self) -> None:
        """An expression that gives nothing is not good."""
        verdict = judge_slo(samples(found=[{"selector": "x", "samples": []}]))

        assert verdict.status == "inconclusive"
        assert "x matched no series" in verdict.reasons[0]
        with pytest.raises(Inconclusive):
            bool(verdict)

    def test_only_nan(self) -> None:
        """Neither is one that never has a value."""
        verdict = judge_slo(samples(series(*["NaN"] * 10)))  # type: ignore[arg-type]

        assert verdict.status == "inconclusive"

    @pytest.mark.parametrize(("count", "status"), [(4, "inconclusive"), (5, "pass")])
    def test_at_least_five_samples(self, count: int, status: str) -> None:
        """Four samples are too few, five are enough."""
        verdict = judge_slo(samples(series(*[1.0] * count)))

        assert verdict.status == status

    def test_target_that_was_down(self) -> None:
        """A scrape that failed makes it inconclusive, and says when."""
        down = up(1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1)

        verdict = judge_slo(samples(series(*[9.0] * 10), scrapes=[down]))

        assert verdict.status == "inconclusive"
        assert "app was down, first 3.5s after the start, 2 of 10" in verdict.reasons[0]
        assert verdict.evidence, "what was seen is shown all the same"

    def test_target_that_was_down_before_the_window(self) -> None:
        """What was before is no matter."""
        down = up(0, *[1] * 10)

        assert judge_slo(samples(series(*[1.0] * 10), scrapes=[down])).status == "pass"

    def test_another_target_was_down(self) -> None:
        """Only the targets that the values come from count."""
        other = up(*[0] * 11, job="other")

        verdict = judge_slo(samples(series(*[1.0] * 10), scrapes=[up(), other]))

        assert verdict.status == "pass"

    def test_down_target_of_a_selector_that_found_nothing(self) -> None:
        """Where nothing was found, any target may have had it."""
        zero = {"labels": {}, "points": points(0, begin=END)}
        asked = {
            "mode": "whole",
            "found": [{"selector": "x", "samples": []}],
            "scrapes": [up(), up(*[0] * 11, job="other")],
        }

        assert judge_slo(samples(zero, **asked)).status == "inconclusive"
        asked["scrapes"] = [up()]
        assert judge_slo(samples(zero, **asked)).status == "pass"

    @pytest.mark.parametrize(
        "moments",
        [
            [100.5, 101.5, 102.5, 106.5, 107.5, 108.5, 109.5],
            [103.5, 104.5, 105.5, 106.5, 107.5, 108.5, 109.5],
            [100.5, 101.5, 102.5, 103.5, 104.5, 105.5, 106.5],
        ],
        ids=["in the middle", "at the start", "at the end"],
    )
    def test_hole_in_the_scrapes(self, moments: list[float]) -> None:
        """A Prometheus that was dead for a while has seen too little."""
        holed = {"labels": {**TARGET}, "points": [[at, 1.0] for at in moments]}

        verdict = judge_slo(samples(series(*[1.0] * 10), scrapes=[holed]))

        assert verdict.status == "inconclusive"
        assert "app was not scraped for" in verdict.reasons[0]

    def test_no_scrapes(self) -> None:
        """Without any scrape nothing can be said."""
        verdict = judge_slo(samples(series(*[1.0] * 10), scrapes=[]))

        assert verdict.status == "inconclusive"

    def test_range_longer_than_the_window(self) -> None:
        """It would look into what other tests left."""
        verdict = judge_slo(samples(series(*[1.0] * 10), reach_s=60.0))

        assert verdict.status == "inconclusive"
        assert "$window" in verdict.reasons[0]

    def test_prometheus_died(self) -> None:
        """What kept the samples from being got is the reason."""
        verdict = judge_slo(samples(scrapes=[], problem="Prometheus does not run"))

        assert verdict.status == "inconclusive"
        assert verdict.reasons == ("Prometheus does not run",)
