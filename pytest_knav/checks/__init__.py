"""Pure functions of a history: what happened, and whether it was allowed to."""

from __future__ import annotations

from pytest_knav.checks.following import FaultSpan, MemberRecovery
from pytest_knav.checks.recovery import Recovery, judge_recovery
from pytest_knav.checks.verdict import Verdict


__all__ = ["FaultSpan", "MemberRecovery", "Recovery", "Verdict", "judge_recovery"]
