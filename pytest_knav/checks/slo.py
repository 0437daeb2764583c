"""
Whether a metric stayed within its limit for all of a window.

A pure function of what was stored in the history: the values of an expression and, as
evidence, the scrapes that they come from.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Final

from pytest_knav.checks.verdict import Verdict


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_knav.checks.samples import Point, Series, SloSamples

LEAST_SAMPLES: Final = 5
# A scrape may be late by a whole interval and a half before it counts as missing:
# Prometheus drops one that begins when the next is due.
LATEST_SCRAPE: Final = 2.5
_SHOWN_MAX: Final = 5


def judge_slo(samples: SloSamples) -> Verdict:
    """
    Return whether every series stayed within the limit.

    Where the evidence has a hole the verdict is inconclusive, whatever the values: a
    rate over a hole is no rate, and a hole may hide the worst.
    """
    judged = [_Judged(series, samples) for series in samples.series]
    judged = [one for one in judged if one.points]
    doubts = _doubts(samples, judged)
    broken = [one for one in judged if one.broken]
    broken.sort(key=lambda one: one.excess, reverse=True)
    evidence = [str(one) for one in broken[:_SHOWN_MAX]]
    if len(broken) > _SHOWN_MAX:
        evidence.append(f"and {len(broken) - _SHOWN_MAX} more")
    if doubts:
        return Verdict(
            check=samples.name,
            status="inconclusive",
            reasons=tuple(doubts),
            evidence=tuple(evidence),
        )
    if broken:
        return Verdict(
            check=samples.name,
            status="fail",
            reasons=(f"{len(broken)} of {len(judged)} series did not keep to it",),
            evidence=tuple(evidence),
        )
    closest = max(judged, key=lambda one: one.excess)
    return Verdict(
        check=samples.name,
        status="pass",
        reasons=(f"{closest.worst[1]:g} at worst, of {len(judged)} series",),
    )


def _doubts(samples: SloSamples, judged: Sequence[_Judged]) -> list[str]:
    """Return why the samples cannot tell; empty when they can."""
    if samples.problem:
        return [samples.problem]
    window_s, doubts = samples.window.seconds, []
    if samples.reach_s > window_s:
        far = f"it looks back {samples.reach_s:g}s, and the window is only "
        doubts = [f"{far}{window_s:.1f}s long: use $window as its range"]
    elif not samples.scrapes:
        doubts = ["Prometheus has scraped nothing"]
    else:
        holes = [_hole(target, samples) for target in _targets(samples)]
        doubts = [hole for hole in holes if hole]
    count = 0 if doubts else _sample_count(samples)
    if not doubts and count < LEAST_SAMPLES:
        doubts = [f"{count} samples in the window; at least {LEAST_SAMPLES} are needed"]
    if not doubts and not judged:
        doubts = [_no_data(samples)]
    return doubts


def _no_data(samples: SloSamples) -> str:
    if samples.series:
        return "it has no value (NaN) all the time"
    empty = [one.selector for one in samples.found if not one.samples]
    if empty:
        zero = "… or vector(0)"
        if samples.mode == "increase":
            zero = f"sum(increase({empty[0]}[$window])) or vector(0)"
        return (
            f"no data: {', '.join(empty)} matched no series in the window; where that "
            f"means zero, write `{zero}`"
        )
    return "no data: the expression gave no series"


def _targets(samples: SloSamples) -> list[Series]:
    """Return the targets that the values come from, or all where that is not known."""
    known = {target for one in samples.found for target in one.samples}
    if any(not one.samples for one in samples.found):
        return list(samples.scrapes)
    found = [target for target in samples.scrapes if target.target in known]
    return found or list(samples.scrapes)


def _hole(target: Series, samples: SloSamples) -> str:
    """Return in words when a target was down or not asked; empty when it was well."""
    window, job = samples.window, target.target[0]
    inside = [p for p in target.points if window.start_s <= p[0] <= window.end_s]
    down = [at for at, up in inside if not up]
    if down:
        return (
            f"the scrape target {job} was down, first "
            f"{down[0] - window.start_s:.1f}s after the start, {len(down)} of "
            f"{len(inside)} scrapes"
        )
    longest_s = LATEST_SCRAPE * samples.interval_s
    moments = [window.start_s, *(at for at, _ in inside), window.end_s]
    for before, after in itertools.pairwise(moments):
        if after - before > longest_s:
            return (
                f"{job} was not scraped for {after - before:.1f}s from "
                f"{before - window.start_s:.1f}s after the start: Prometheus or the "
                "target did not run, or the machine was too busy"
            )
    return ""


def _sample_count(samples: SloSamples) -> int:
    """Return the number of samples that carry the verdict, of the poorest selector."""
    window = samples.window
    scrapes = min(
        sum(window.start_s <= at <= window.end_s for at, _ in target.points)
        for target in _targets(samples)
    )
    if samples.mode == "increase":
        # A counter may have come up in the window; before that it was zero.
        return scrapes
    counts = [max(one.samples.values()) for one in samples.found if one.samples]
    if samples.mode == "value":
        # Where something waits for a range to fill, the first values are left out.
        counts += [len(one.points) for one in _longest(samples.series)]
    return min([scrapes, *counts])


def _longest(series: Iterable[Series]) -> list[Series]:
    found = max(series, key=lambda one: len(one.points), default=None)
    return [] if found is None else [found]


class _Judged:
    """One series held against the limit."""

    def __init__(self, series: Series, samples: SloSamples) -> None:
        self._samples = samples
        self.series = series
        points = series.points
        if samples.mode == "increase":
            points = increase(series, samples)
        self.points = [p for p in points if not math.isnan(p[1])]

    @property
    def excess(self) -> float:
        """Return how far beyond the limit it was at worst; below zero: within."""
        return max(self._beyond(value) for _, value in self.points)

    @property
    def broken(self) -> bool:
        """Return whether it ever left the limit."""
        return self.excess > 0

    @property
    def worst(self) -> Point:
        """Return when it was furthest off, and its value then."""
        return max(self.points, key=lambda point: self._beyond(point[1]))

    def __str__(self) -> str:
        """Return the series with its worst value, when, and for how long."""
        window, (at, value) = self._samples.window, self.worst
        text = f"{self.series.name}: {value:g}"
        if self._samples.mode == "whole":
            return f"{text} over the window"
        return (
            f"{text} {max(0.0, at - window.start_s):.1f}s after the start, beyond the "
            f"limit for {self._broken_s():.1f}s"
        )

    def _beyond(self, value: float) -> float:
        most, least = self._samples.at_most, self._samples.at_least
        over = -math.inf if most is None else value - most
        # A growing sum has reached its lower limit or not at the end of the window.
        grows = self._samples.mode == "increase"
        if least is None or (grows and value != self.points[-1][1]):
            return over
        return max(over, least - value)

    def _broken_s(self) -> float:
        """Return for how long it was beyond the limit, in all."""
        ends = [at for at, _ in self.points[1:]] + [self._samples.window.end_s]
        return sum(
            max(0.0, end - at)
            for (at, value), end in zip(self.points, ends, strict=True)
            if self._beyond(value) > 0
        )


def increase(series: Series, samples: SloSamples) -> tuple[Point, ...]:
    """
    Return how much a counter has grown since the window's start, sample by sample.

    A fall is a restart of the process that counts: it began at zero then. A series
    that comes up while its target is being scraped began at zero too. Growth since the
    last scrape before the window counts, so that nothing at its very start is missed.
    """
    start_s = samples.window.start_s
    before = [value for at, value in series.points if at <= start_s]
    inside = [(at, value) for at, value in series.points if at > start_s]
    inside = [(at, value) for at, value in inside if not math.isnan(value)]
    if not inside:
        return ()
    if before:
        last = before[-1]
    else:
        last = 0.0 if _came_up(series, samples, inside[0][0]) else inside[0][1]
    grown, points = 0.0, []
    for at, value in inside:
        grown += value - last if value >= last else value
        last = value
        points.append((at, grown))
    return tuple(points)


def _came_up(series: Series, samples: SloSamples, first_s: float) -> bool:
    """Return whether the target of a series was scraped before it had the series."""
    half_s = samples.interval_s / 2
    return any(
        up and at < first_s - half_s
        for target in samples.scrapes
        if target.target == series.target
        for at, up in target.points
    )
