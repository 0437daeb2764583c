"""
How much work of a collective was lost, in GPU-seconds, as the history tells.

Lost is what was done since the last checkpoint when the ranks broke, and every second
after that in which GPUs were held, or should have been, and nothing went on: what the
Effective Training Time Ratio leaves out (Kokolis et al. 2024, arXiv 2410.21680).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.history.record import COLLECTIVE
from pytest_knav.history.view import BROKEN, OVER, WHOLE


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.checks.following import Subject
    from pytest_knav.history import History, Record
    from pytest_knav.workloads.collective import Collective


def lost_gpu_s(
    history: History, subject: Subject, *, since_s: float, until_s: float
) -> float | None:
    """
    Return the GPU-seconds that a workload lost in a span; None if it is no collective.

    Ranks that all stop lose what they did since the last checkpoint, and the time until
    all take part again. Elastic ranks lose the time of those that are missing alone.

    Args:
        history: What was recorded; its beginning must not be folded away.
        subject: The workload.
        since_s: Where the span begins, on the monotonic clock.
        until_s: Where it ends.

    """
    collective: Collective | None = subject.collective
    if collective is None:
        return None
    found = [r for r in history.records(COLLECTIVE) if r.name == subject.key]
    turns = [r for r in found if r.verb in {WHOLE, BROKEN, OVER}]
    return sum(
        _of_one(collective, turns, at, since_s, until_s)
        for at in range(len(turns))
        if turns[at].verb == BROKEN
    )


def _of_one(
    collective: Collective,
    turns: Sequence[Record],
    at: int,
    since_s: float,
    until_s: float,
) -> float:
    """Return what one break lost, as far as it lies in the span."""
    data = turns[at].data or {}
    began_s = turns[at].monotonic
    ended_s = turns[at + 1].monotonic if at + 1 < len(turns) else until_s
    idle_s = max(0.0, min(ended_s, until_s) - max(began_s, since_s))
    if collective.on_loss == "elastic":
        return idle_s * int(data["missing"]) * collective.gpus
    held = int(data["members"]) * collective.gpus
    redone_s = 0.0
    if since_s <= began_s < until_s and at and turns[at - 1].verb == WHOLE:
        redone_s = (began_s - turns[at - 1].monotonic) % collective.checkpoint_s
    return (idle_s + redone_s) * held
