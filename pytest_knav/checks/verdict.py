"""Pass, fail or inconclusive, with reasons."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from pytest_knav.errors import Inconclusive


if TYPE_CHECKING:
    from collections.abc import Mapping

Status = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What a check found.

    `bool()` of it says whether it passed, and raises when the check could not tell:
    too little evidence is neither green nor red.

    Attributes:
        check: What was asked, in words.
        status: The answer.
        reasons: Why.
        evidence: What was seen, with when.
        moments: When, on the history's monotonic clock, in the order of `evidence`.

    """

    check: str
    status: Status
    reasons: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    moments: tuple[float, ...] = ()

    def __bool__(self) -> bool:
        """Return whether the check passed."""
        if self.status == "inconclusive":
            raise Inconclusive(str(self))
        return self.status == "pass"

    def __str__(self) -> str:
        """Return the verdict in a line, with its evidence below."""
        head = f"{self.check}: {self.status}"
        if self.reasons:
            head += f": {'; '.join(self.reasons)}"
        return "\n  ".join([head, *self.evidence])

    def as_data(self) -> Mapping[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)
