"""A condition must never hold for longer than allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.checks.verdict import Verdict
from pytest_knav.history.view import intervals


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav.history import History
    from pytest_knav.history.view import Condition

_SHOWN_MAX = 5


def judge_never(  # noqa: PLR0913 - a span has two ends, and a condition a limit
    history: History,
    condition: Condition,
    *,
    longer_than_s: float,
    since_revision: int,
    since_s: float,
    now_s: float,
) -> Verdict:
    """
    Return whether a condition ever held for longer than allowed.

    A gap in the history of its kinds makes the answer inconclusive, because what it
    hides may have been just that.

    Args:
        history: What was recorded.
        condition: What must not be.
        longer_than_s: How long it may be, in seconds.
        since_revision: Where to begin.
        since_s: When that was.
        now_s: Until when the history is known to be complete.

    """
    name = f"never {condition.name} for longer than {longer_than_s:g}s"
    found = intervals(history, condition, since_revision, since_s)
    too_long = [i for i in found if i.seconds(now_s) > longer_than_s]
    if too_long:
        evidence = [
            f"{i.start - since_s:.1f}s after the start, for {i.seconds(now_s):.1f}s"
            + (" and still" if i.end is None else "")
            for i in too_long
        ]
        return Verdict(
            check=name,
            status="fail",
            reasons=(f"it did {len(too_long)} times",),
            evidence=tuple(evidence[:_SHOWN_MAX]),
        )
    gaps = history.gaps(since_revision, kinds=condition.kinds)
    if gaps:
        return Verdict(
            check=name,
            status="inconclusive",
            reasons=tuple(f"gap in {gap.resource}: {gap.reason}" for gap in gaps),
        )
    longest_s = max((i.seconds(now_s) for i in found), default=0.0)
    return Verdict(check=name, status="pass", reasons=(f"at most {longest_s:.1f}s",))


class Not:
    """The opposite of a condition."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self.name = f"not {condition.name}"
        self.kinds = condition.kinds
        self.holds: Callable[..., bool] = lambda view: not condition.holds(view)
        self.describe = condition.describe
