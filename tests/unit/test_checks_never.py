"""What must never hold for long, on histories made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav import Gang
from pytest_knav.checks.never import judge_never
from pytest_knav.errors import Inconclusive
from pytest_knav.workloads.handle import Handle


if TYPE_CHECKING:
    from pytest_knav.checks.verdict import Verdict


def judged(seen: Any, longer_than_s: float, now_s: float = 100.0) -> Verdict:
    """Ask whether a gang of two was ever partially bound for too long."""
    handle = Handle(Gang("w", replicas=2), seen.history)
    return judge_never(
        seen.history,
        handle.partially_bound,
        longer_than_s=longer_than_s,
        since_revision=4,
        since_s=0.0,
        now_s=now_s,
    )


def test_a_short_time_is_allowed(seen: Any) -> None:
    """Members bound one after the other within the limit are no violation."""
    seen.pod(1.0, "w-0-x", node="a")
    seen.pod(3.0, "w-1-x", node="b")

    verdict = judged(seen, 5.0)

    assert verdict
    assert "2.0s" in verdict.reasons[0]


def test_a_long_time_is_not(seen: Any) -> None:
    """One member alone for longer than the limit fails, with when and how long."""
    seen.pod(1.0, "w-0-x", node="a")
    seen.pod(9.0, "w-1-x", node="b")

    verdict = judged(seen, 5.0)

    assert verdict.status == "fail"
    assert verdict.evidence == ("1.0s after the start, for 8.0s",)


def test_a_violation_that_healed_still_counts(seen: Any) -> None:
    """What is over when the question is asked was there all the same."""
    seen.pod(1.0, "w-0-x", node="a")
    seen.pod(9.0, "w-1-x", node="b")
    seen.gone(10.0, "w-0-x")
    seen.gone(10.0, "w-1-x")

    verdict = judged(seen, 5.0)

    assert verdict.status == "fail"


def test_what_still_holds_is_measured_until_now(seen: Any) -> None:
    """An open end counts up to the moment of the question."""
    seen.pod(1.0, "w-0-x", node="a")

    early, late = judged(seen, 5.0, now_s=4.0), judged(seen, 5.0, now_s=7.0)

    assert early.status == "pass"
    assert late.status == "fail"


def test_a_gap_makes_it_inconclusive(seen: Any) -> None:
    """What a gap hides may have been just what must not be."""
    seen.pod(1.0, "w-0-x", node="a")
    seen.gap(1.5, "Pod")
    seen.pod(2.0, "w-1-x", node="b")

    verdict = judged(seen, 5.0)

    assert verdict.status == "inconclusive"
    with pytest.raises(Inconclusive):
        bool(verdict)


def test_a_gap_in_another_kind_does_not(seen: Any) -> None:
    """Only the kinds that the condition looks at matter."""
    seen.pod(1.0, "w-0-x", node="a")
    seen.gap(1.5, "Node")
    seen.pod(2.0, "w-1-x", node="b")

    verdict = judged(seen, 5.0)

    assert verdict.status == "pass"
