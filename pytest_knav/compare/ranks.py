"""
How much slower one set of times is than another, with a stated confidence.

No shape of the distributions is assumed: the interval is the one that belongs to the
Wilcoxon-Mann-Whitney test (Hodges and Lehmann 1963, Estimates of location based on rank
tests; Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, chapter 4), on
logarithms, so that it is a ratio.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """
    How many times as long the other takes.

    Attributes:
        estimate: The median of all ratios of one time of each side.
        at_least: What it is at least, with the confidence that was asked for; None
            where there are too few times to say so.
        at_most: What it is at most, likewise.

    """

    estimate: float
    at_least: float | None
    at_most: float | None


def ratio(base: Sequence[float], other: Sequence[float], confidence: float) -> Ratio:
    """
    Return how many times as long as `base` the `other` takes.

    Args:
        base: Seconds, more than 0.
        other: Seconds, more than 0.
        confidence: Of each of the two bounds by itself, such as 0.95.

    Raises:
        BadInput: There are no times, one is not more than 0, or the confidence is not
            between 0.5 and 1.

    """
    if not base or not other or min(*base, *other) <= 0:
        raise BadInput(f"ratio of {list(base)} and {list(other)}: give seconds above 0")
    if not 0.5 <= confidence < 1:
        raise BadInput(f"confidence={confidence!r}: give a number from 0.5 to below 1")
    ratios = sorted(math.log(b / a) for a in base for b in other)
    beyond = _beyond(len(base), len(other), 1 - confidence)
    low = high = None
    if beyond is not None:
        low = math.exp(ratios[beyond])
        high = math.exp(ratios[len(ratios) - 1 - beyond])
    return Ratio(estimate=math.exp(median(ratios)), at_least=low, at_most=high)


def fewest(confidence: float) -> int:
    """Return how many times each side must have for a bound of this confidence."""
    count = 1
    while _beyond(count, count, 1 - confidence) is None:
        count += 1
    return count


def _beyond(first: int, second: int, chance: float) -> int | None:
    """
    Return how many of the sorted ratios lie beyond a bound.

    The bound is beyond the truth with at most this chance; None where no bound is.
    """
    ways = math.comb(first + second, first)
    below, found = 0, None
    for u in range(first * second + 1):
        below += _orders(first, second, u)
        if below > chance * ways:
            break
        found = u
    return found


@functools.lru_cache(maxsize=100_000)
def _orders(first: int, second: int, u: int) -> int:
    """Return in how many orders of two samples the statistic U has a value."""
    if u < 0:
        return 0
    if first == 0 or second == 0:
        return 1 if u == 0 else 0
    return _orders(first - 1, second, u - second) + _orders(first, second - 1, u)
