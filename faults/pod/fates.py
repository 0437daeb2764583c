"""Whether a start on bad hardware fails: by the seed, its number, and the time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from pytest_knav.errors import BadInput


Pattern: TypeAlias = Literal["steady", "intermittent", "bursty", "degrading"]
PATTERNS: Final[tuple[str, ...]] = get_args(Pattern)
# A Gilbert-Elliott chain, stepped by starts: bursts of five, and ten between two.
_BURST_BEGINS: Final = 1 / 10
_BURST_ENDS: Final = 1 / 5


@dataclass(slots=True, kw_only=True)
class Fates:
    """
    The fates of what starts in one place, one after the other.

    Args:
        seed: The same seed gives the same draws, whatever starts elsewhere.
        probability: Of a start to fail where the pattern is at its worst.
        pattern: How that changes; see `LemonNode`.
        period_s: Of `intermittent` a whole turn, of `degrading` until the worst.
        repaired_s: From when on nothing fails; None: never.

    """

    seed: str
    probability: float
    pattern: Pattern = "steady"
    period_s: float = 60.0
    repaired_s: float | None = None
    _draw: random.Random = field(init=False)
    _bad: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        # Not for secrets: the same seed must give the same course.
        self._draw = random.Random(self.seed)  # noqa: S311

    def fails(self, elapsed_s: float) -> bool:
        """Return the fate of the next start, so long after the fault began."""
        # Both are drawn each time, so that the n-th start has the n-th draws.
        turns, drawn = self._draw.random(), self._draw.random()
        if turns < (_BURST_ENDS if self._bad else _BURST_BEGINS):
            self._bad = not self._bad
        if self.repaired_s is not None and elapsed_s >= self.repaired_s:
            return False
        return drawn < self.probability * self._share(elapsed_s)

    def _share(self, elapsed_s: float) -> float:
        """Return how bad it is now, from 0 to 1."""
        if self.pattern == "intermittent":
            return float(elapsed_s % self.period_s < self.period_s / 2)
        if self.pattern == "bursty":
            return float(self._bad)
        if self.pattern == "degrading":
            return min(1.0, elapsed_s / self.period_s)
        return 1.0


def check_probability(fault: str, probability: object) -> None:
    """
    Return when it is a probability of something that can happen.

    Raises:
        BadInput: It is not.

    """
    if isinstance(probability, bool) or not isinstance(probability, int | float):
        raise BadInput(f"{fault}(probability={probability!r}): give a number")
    if not 0 < probability <= 1:
        raise BadInput(
            f"{fault}(probability={probability!r}): give more than 0, at most 1"
        )


def check_pattern(fault: str, pattern: object) -> None:
    """
    Return when there is such a pattern.

    Raises:
        BadInput: There is none.

    """
    if pattern not in PATTERNS:
        raise BadInput(
            f"{fault}(pattern={pattern!r}): use one of {', '.join(PATTERNS)}"
        )
