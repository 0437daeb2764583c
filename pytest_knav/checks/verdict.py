"""Pass, fail or inconclusive, with reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_knav.errors import Inconclusive


Status = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What a check found.

    `bool()` of it says whether it passed, and raises when the check could not tell:
    too little evidence is neither green nor red.
    """

    check: str
    status: Status
    reasons: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()

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
