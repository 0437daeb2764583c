"""Profiles: how busy something is over time, as pure functions of time and seed."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput
from pytest_knav.utilization.amounts import Amount, amounts


# Noise has a value of its own in each second; in between it is interpolated.
_NOISE_STEP_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(ABC):
    """
    How much of something is used over time.

    Attributes:
        share: Whether its values are percent (of what a pod requests, or of a GPU)
            rather than cores or bytes.
        noise: How far a value may be off by chance, as a share of it.

    """

    share: bool
    noise: float = 0.0

    @abstractmethod
    def clean_at(self, t_s: float) -> float:
        """Return the value without noise at a time since the begin."""

    @property
    @abstractmethod
    def highest(self) -> float:
        """Return what no value without noise is above."""

    @property
    def ceiling(self) -> float:
        """Return what no value is above."""
        return self.highest * (1 + self.noise)

    def value_at(self, t_s: float, seed: int = 0) -> float:
        """
        Return the value at a time; the same for the same time and seed.

        Args:
            t_s: Seconds since the begin; before it, the first value holds.
            seed: What the noise comes from.

        """
        t_s = max(0.0, t_s)
        value = self.clean_at(t_s)
        if not self.noise:
            return value
        step, part = divmod(t_s / _NOISE_STEP_S, 1)
        chance = (1 - part) * _chance(seed, int(step))
        chance += part * _chance(seed, int(step) + 1)
        return value * (1 + self.noise * chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Constant(Profile):
    value: float

    def clean_at(self, t_s: float) -> float:
        del t_s
        return self.value

    @property
    def highest(self) -> float:
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ramp(Profile):
    first: float
    last: float
    over_s: float

    def clean_at(self, t_s: float) -> float:
        part = min(t_s / self.over_s, 1.0)
        return self.first * (1 - part) + self.last * part

    @property
    def highest(self) -> float:
        return max(self.first, self.last)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day(Profile):
    low: float
    high: float
    peak_at_s: float
    period_s: float

    def clean_at(self, t_s: float) -> float:
        angle = 2 * math.pi * (t_s - self.peak_at_s) / self.period_s
        part = (1 + math.cos(angle)) / 2
        return self.low * (1 - part) + self.high * part

    @property
    def highest(self) -> float:
        return self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training(Profile):
    busy: float
    idle: float
    step_s: float
    steps: int
    checkpoint_s: float
    exchange: float

    def clean_at(self, t_s: float) -> float:
        work_s = self.steps * self.step_s
        at_s = t_s % (work_s + self.checkpoint_s)
        if at_s >= work_s:
            return self.idle
        computing_s = self.step_s * (1 - self.exchange)
        return self.busy if at_s % self.step_s < computing_s else self.idle

    @property
    def highest(self) -> float:
        return max(self.busy, self.idle)


def constant(value: Amount, *, noise: float = 0.0) -> Profile:
    """
    Return the same at all times.

    Args:
        value: Cores, bytes, a quantity such as "500m" or "6Gi", or a share: "80%" of
            what a pod requests, or of a GPU.
        noise: How far a value may be off by chance, from 0 to 1.

    Raises:
        BadInput: A value is negative or none of these; so for every profile.

    """
    (found,), share = amounts({"constant(value)": value})
    return _Constant(value=found, share=share, noise=noise_of("constant", noise))


def ramp(from_: Amount, to: Amount, *, over: Duration, noise: float = 0.0) -> Profile:
    """Return what goes from one value to another in a time, and stays there."""
    (first, last), share = amounts({"ramp(from_)": from_, "ramp(to)": to})
    return _Ramp(
        first=first,
        last=last,
        over_s=_positive("ramp(over)", over),
        share=share,
        noise=noise_of("ramp", noise),
    )


def day(
    low: Amount,
    high: Amount,
    *,
    peak_at: Duration = "14h",
    period: Duration = "24h",
    noise: float = 0.0,
) -> Profile:
    """
    Return what goes up and down once in a period, as a cosine does.

    Args:
        low: Half a period away from the peak.
        high: At the peak.
        peak_at: When in the period the peak is; the profile begins at its begin.
        period: A day; shorter ones let a test see more of them.
        noise: As in `constant`.

    """
    (found_low, found_high), share = amounts({"day(low)": low, "day(high)": high})
    if found_low > found_high:
        raise BadInput(f"day(low={low!r}, high={high!r}): low is above high")
    return _Day(
        low=found_low,
        high=found_high,
        peak_at_s=seconds(peak_at, name="day(peak_at)"),
        period_s=_positive("day(period)", period),
        share=share,
        noise=noise_of("day", noise),
    )


def training(  # noqa: PLR0913 - all by name
    *,
    step: Duration,
    checkpoint_every: Duration,
    checkpoint_for: Duration,
    busy: Amount = "100%",
    idle: Amount = "0%",
    exchange: float = 0.0,
    noise: float = 0.0,
) -> Profile:
    """
    Return the load of a training run: steps, with checkpoints between some of them.

    Args:
        step: How long one training step takes.
        checkpoint_every: The time between two checkpoints; rounded to whole steps,
            since a checkpoint is written between two of them.
        checkpoint_for: How long one takes.
        busy: While a step computes.
        idle: While a checkpoint is written or gradients are exchanged.
        exchange: Which share of each step, at its end, exchanges gradients.
        noise: As in `constant`.

    """
    (found_busy, found_idle), share = amounts(
        {"training(busy)": busy, "training(idle)": idle}
    )
    step_s = _positive("training(step)", step)
    every_s = _positive("training(checkpoint_every)", checkpoint_every)
    if every_s < step_s:
        raise BadInput(
            f"training(checkpoint_every={checkpoint_every!r}) is shorter than a step "
            f"of {step!r}"
        )
    return _Training(
        busy=found_busy,
        idle=found_idle,
        step_s=step_s,
        steps=round(every_s / step_s),
        checkpoint_s=seconds(checkpoint_for, name="training(checkpoint_for)"),
        exchange=_part("training(exchange)", exchange),
        share=share,
        noise=noise_of("training", noise),
    )


def as_profile(value: object, what: str) -> Profile:
    """
    Return a profile; an amount stands for a constant one.

    Raises:
        BadInput: It is neither, with the name it was given.

    """
    if isinstance(value, Profile):
        return value
    (found,), share = amounts({what: value})
    return _Constant(value=found, share=share)


def _positive(name: str, value: Duration) -> float:
    found = seconds(value, name=name)
    if not found:
        raise BadInput(f"{name}={value!r}: give a time longer than none")
    return found


def noise_of(profile: str, value: float) -> float:
    """
    Return how far a value may be off by chance.

    Raises:
        BadInput: It is not from 0 to 1.

    """
    return _part(f"{profile}(noise)", value)


def _part(name: str, value: float) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:
        raise BadInput(f"{name}={value!r}: give a number from 0 to 1")
    return float(value)


def _chance(seed: int, step: int) -> float:
    """Return a number from -1 to 1 that is the same on every machine."""
    digest = hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / (2**63) - 1
