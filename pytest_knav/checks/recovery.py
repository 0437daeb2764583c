"""
Did a workload come back after a fault, when, and what took how long.

Affected is who sat in the blast radius when the fault was injected: a stale "Running"
of a pod on a dead node can therefore never pass for recovery.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pytest_knav.checks.explained import Explanation, explain, profile_of
from pytest_knav.checks.following import FaultSpan, Follower, MemberRecovery
from pytest_knav.checks.lost_work import lost_gpu_s
from pytest_knav.errors import NotRecovered


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.checks.following import Subject
    from pytest_knav.history import History
    from pytest_knav.history.view import Condition

Outcome = Literal["recovered", "unaffected", "blind", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """
    The outcome, and the figures if there was a recovery.

    Attributes:
        outcome: `recovered`; `unaffected`: no member sat in the blast radius; `blind`:
            some did and nothing reacted; `lost`: it reacted and did not come back.
        within_s: The limit it was measured against.
        last_state: The pods as last seen.
        members: Each affected member.
        lost_gpu_s: GPU-seconds of work that were lost until it was whole again, or
            until it was judged; None where its members are no collective.
        profile: The time profile of the run; empty where it is not known.

    """

    outcome: Outcome
    subject: str
    fault: str
    within_s: float
    last_state: str
    members: tuple[MemberRecovery, ...] = ()
    figures: tuple[float, frozenset[str]] | None = field(default=None, repr=False)
    lost_gpu_s: float | None = None
    profile: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def lost_gpu_hours(self) -> float | None:
        """
        Return the GPU-hours of work that were lost; see `checks.lost_work`.

        None where its members are no collective (`on_member_loss`).
        """
        return None if self.lost_gpu_s is None else self.lost_gpu_s / 3600

    @property
    def seconds(self) -> float:
        """Return the seconds from the fault's first write until it was whole again."""
        return self._figures()[0]

    @property
    def nodes(self) -> frozenset[str]:
        """Return the names of the nodes it ran on when it was whole again."""
        return self._figures()[1]

    @property
    def phases(self) -> dict[str, float]:
        """Return the seconds of each phase of the member that came back last."""
        self._figures()
        return self.slowest_phases

    @property
    def slowest_phases(self) -> dict[str, float]:
        """
        Return the seconds of each phase of the member that is furthest behind.

        Also where there was no recovery: how far it came, as far as it was seen.
        """

        def progress(member: MemberRecovery) -> tuple[int, float]:
            latest = max(member.moments.values(), default=0.0)
            return -len(member.moments), latest

        behind = max(self.members, key=progress, default=None)
        return {} if behind is None else behind.phases

    @property
    def explained(self) -> tuple[Explanation, ...]:
        """
        Return which setting of which component explains each phase.

        Of the member that is furthest behind; without a recovery the last one is the
        phase that was waited for in vain.
        """
        ended = self.outcome == "recovered"
        return explain(self.slowest_phases, self.profile, ended=ended)

    @property
    def in_time(self) -> bool:
        """Return whether it recovered within the limit."""
        return self.outcome == "recovered" and self.seconds <= self.within_s

    def __str__(self) -> str:
        """Return the outcome in one line."""
        head = f"{self.subject} after {self.fault}: {self.outcome}"
        lost = ""
        if self.lost_gpu_hours is not None:
            lost = f"; {self.lost_gpu_hours:.2f} GPU-hours lost"
        if self.outcome != "recovered":
            return f"{head}; last seen: {self.last_state}{lost}"
        phases = ", ".join(f"{name} {s:.1f}s" for name, s in self.phases.items())
        return f"{head} in {self.seconds:.1f}s of {self.within_s:g}s ({phases}){lost}"

    def _figures(self) -> tuple[float, frozenset[str]]:
        if self.figures is None:
            raise NotRecovered(f"there are no figures: {self}")
        return self.figures


def judge_recovery(  # noqa: PLR0913 - three of them are limits
    history: History,
    subject: Subject,
    running: Condition,
    fault: FaultSpan,
    *,
    within_s: float,
    stable_for_s: float = 1.0,
    now_s: float,
) -> Recovery:
    """
    Return what became of a workload after a fault, as far as the history tells.

    Recovered means: from that moment on it runs with no member on anything broken, for
    `stable_for_s`. A later break does not undo it.

    Args:
        history: What was recorded.
        subject: The workload.
        running: Its condition of being up.
        fault: The fault.
        within_s: The limit.
        stable_for_s: How long it must hold.
        now_s: Until when the history is known to be complete, on the monotonic clock.

    Raises:
        Inconclusive: The history does not reach back to the fault.

    """
    follower = Follower(history, subject, running, fault)
    whole_since = follower.follow(stable_for_s, now_s)
    outcome: Outcome
    if not follower.affected:
        outcome = "unaffected"
    elif not follower.reacted:
        outcome = "blind"
    else:
        outcome = "lost" if whole_since is None else "recovered"
    figures = None
    if outcome == "recovered" and whole_since is not None:
        figures = (whole_since - fault.started_s, follower.nodes)
    return Recovery(
        outcome=outcome,
        subject=subject.label,
        fault=fault.name,
        within_s=within_s,
        last_state=follower.last_state,
        members=follower.members(),
        figures=figures,
        profile=profile_of(history),
        lost_gpu_s=lost_gpu_s(
            history,
            subject,
            since_s=fault.started_s,
            until_s=now_s if whole_since is None else whole_since,
        ),
    )
