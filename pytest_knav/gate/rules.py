"""What a gate asks for, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Mapping

#: Worst first; the words are Allure's.
SEVERITIES: Final = ("blocker", "critical", "normal", "minor", "trivial")
SAMPLES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryRule:
    """
    How long recoveries may take.

    Attributes:
        at_most_s: The most that the 95th percentile may be.
        vs: The baseline: a name, a run's directory or a file of records.
        worse_by: By which share it may be above that of the baseline.
        samples: How many recoveries there must be, on each side.

    """

    at_most_s: float | None = None
    vs: str = ""
    worse_by: float = 0.1
    samples: int = SAMPLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """
    What a merge needs.

    Attributes:
        inconclusive: How many tests may not be able to tell.
        broken: How many may end by trouble of the harness.
        flaky: How many may fail in some of their turns and pass in others.
        new_failures: How many may fail that did not before, by severity: each bounds
            its own and the worse ones. By default none may.
        must_cover: Faults that must have been injected and judged.
        recovery_p95: How long recoveries may take.

    """

    inconclusive: int = 0
    broken: int = 0
    flaky: int = 0
    new_failures: Mapping[str, int] = field(default_factory=lambda: {SEVERITIES[-1]: 0})
    must_cover: tuple[str, ...] = ()
    recovery_p95: RecoveryRule | None = None
