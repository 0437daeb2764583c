"""What every rule shares: where it is told of changes, and what it says at the end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_knav.checks.verdict import Verdict


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.checks.facts import NodeFact, PodFact
    from pytest_knav.checks.places import Break, NodeState
    from pytest_knav.checks.world import World
    from pytest_knav.history import History
    from pytest_knav.history.record import Record
    from pytest_knav.history.version import Gap

_SHOWN_MAX = 5


class Rule:
    """
    Something that must hold all through a history.

    It is told of each change after the world has taken it, remembers what it needs,
    and has its verdict ready when the history ends. Times are on the history's clock.

    Attributes:
        name: What it is switched on and off by.
        kinds: What it looks at: a gap in one of these hides the answer.
        looked_at: How many things it has judged; with none it says nothing.

    """

    name: ClassVar[str] = ""
    kinds: ClassVar[frozenset[str]] = frozenset({"Pod"})

    def __init__(self, world: World) -> None:
        self.world = world
        self.looked_at = 0
        self.worst_s = 0.0
        self.doubts: list[str] = []
        self._breaches: list[tuple[float, str]] = []
        self._durations: list[tuple[float, float, float, str]] = []

    @property
    def title(self) -> str:
        """Return what it asks for, in words."""
        raise NotImplementedError

    def pod(self, before: PodFact | None, after: PodFact | None, at: float) -> None:
        """Hear that a pod has changed; `before` is None for a new one."""

    def bound(self, pod: PodFact, at: float) -> None:
        """Hear that a scheduler has given a pod its node; after `pod`."""

    def node(self, node: NodeState, before: NodeFact | None, at: float) -> None:
        """Hear that a node has changed; `before` is None for a new one."""

    def claim(self, record: Record, after: Mapping[str, Any] | None, at: float) -> None:
        """Hear that a ResourceClaim has changed."""

    def fault(self, fault: Break, at: float) -> None:
        """Hear that a fault begins, or was cleared."""

    def finish(self, until_s: float) -> None:
        """Judge what is still open at the end of the history."""

    def hears(self, name: str) -> bool:
        """Return whether it wants to be told of such changes."""
        return getattr(type(self), name) is not getattr(Rule, name)

    def breach(self, at: float, text: str) -> None:
        """Note that something was what must not be."""
        self._breaches.append((at, text))

    def lasted(self, since_s: float, until_s: float, limit_s: float, text: str) -> None:
        """Note how long something lasted that may last for `limit_s`."""
        self.measured(until_s, until_s - since_s, limit_s, text, since_s=since_s)

    def measured(
        self,
        at: float,
        seconds: float,
        limit_s: float,
        text: str,
        *,
        since_s: float | None = None,
    ) -> None:
        """
        Note a duration that may be `limit_s` at most, and doubt it where it is close.

        As far as the recorder was late at the time, as far may the duration be wrong.
        """
        self.worst_s = max(self.worst_s, seconds)
        # A lag is reported after what came late, so it is weighed at the end.
        if seconds > limit_s / 2:
            since_s = at - seconds if since_s is None else since_s
            self._durations.append((since_s, at, seconds - limit_s, text))

    def _weigh(self) -> None:
        """Turn durations that are over the limit, or close to it, into an answer."""
        for since_s, at, over_s, text in self._durations:
            lag_s = self.world.lags.within(since_s, at)
            if over_s > lag_s:
                self.breach(since_s, text)
            elif over_s > -lag_s and lag_s:
                self.doubts.append(
                    f"{text}: the recorder was up to {lag_s:.1f}s late, which is more "
                    f"than the {abs(over_s):.1f}s that it is off the limit"
                )

    def verdict(self, history: History, gaps: Sequence[Gap], until_s: float) -> Verdict:
        """
        Return what came of it; to be called once, at the end.

        Args:
            history: What it was told of.
            gaps: All gaps of it, of any kind.
            until_s: Until when it is known to be complete.

        """
        self.finish(until_s)
        self._weigh()
        if self._breaches:
            return self._failed()
        doubts = list(dict.fromkeys(self.doubts))[:_SHOWN_MAX]
        doubts += [
            f"gap in {gap.resource} from revision {gap.from_revision} to "
            f"{gap.to_revision}: {gap.reason}"
            for gap in [one for one in gaps if one.resource in self.kinds][:_SHOWN_MAX]
        ]
        if history.truncated_before:
            doubts.append(
                f"the history before revision {history.truncated_before} was folded"
            )
        if history.cut:
            doubts.append(f"the history ends early: {history.cut}")
        if doubts and self.looked_at:
            return Verdict(
                check=self.title, status="inconclusive", reasons=tuple(doubts)
            )
        return Verdict(check=self.title, status="pass", reasons=(self.summary,))

    @property
    def summary(self) -> str:
        """Return in a few words what it has seen, where all was well."""
        seen = f"{self.looked_at} looked at"
        return f"{seen}, at most {self.worst_s:.1f}s" if self.worst_s else seen

    def _failed(self) -> Verdict:
        begun_s = self.world.begun_s
        shown = sorted(self._breaches, key=lambda found: found[0])[:_SHOWN_MAX]
        count = len(self._breaches)
        return Verdict(
            check=self.title,
            status="fail",
            reasons=(f"{count} time{'s' * (count > 1)}",),
            evidence=tuple(
                f"{_after(at, begun_s)} after the test's begin: {text}"
                for at, text in shown
            ),
            moments=tuple(at if math.isfinite(at) else begun_s for at, _ in shown),
        )


def _after(at: float, begun_s: float) -> str:
    return f"{max(0.0, at - begun_s) if math.isfinite(at) else 0.0:.1f}s"
