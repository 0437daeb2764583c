"""Who has priority is served first."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_knav.checks.rules.base import Rule


if TYPE_CHECKING:
    from pytest_knav.checks.facts import PodFact
    from pytest_knav.checks.places import NodeState
    from pytest_knav.checks.world import World

# An unschedulable pod may sit in back-off for 10 s (podMaxBackoffSeconds), and twice.
USUAL_S = 30.0
_ASKED_MAX = 20


class PriorityRule(Rule):
    """
    No pod takes a place in which a pod of higher priority has fitted for long.

    Only where amounts, taints and node selector alone decide: a waiting pod with
    claims, affinity, volumes or a gang may have reasons that are not seen here.
    """

    name: ClassVar[str] = "priority"
    kinds: ClassVar[frozenset[str]] = frozenset({"Pod", "Node"})

    def __init__(self, world: World, *, after_s: float = USUAL_S) -> None:
        super().__init__(world)
        self._after_s = after_s
        # Plain pods that wait, by priority: uid and since when.
        self._waiting: dict[int, dict[str, float]] = {}

    @property
    def title(self) -> str:
        """Return what it asks for."""
        return (
            "priority: no pod is bound where one of higher priority has fitted for "
            f"{self._after_s:g}s"
        )

    def pod(self, before: PodFact | None, after: PodFact | None, at: float) -> None:
        """Follow who waits, and judge a binding."""
        fact = after or before
        if fact is None:
            return
        spec = fact.spec
        # Other schedulers know gangs by other names than a PodGroup.
        gang = spec.group or (spec.crew is not None and spec.crew.promise.gang)
        waits = after is not None and after.waiting and spec.plain and not gang
        if waits:
            self._waiting.setdefault(spec.priority, {}).setdefault(spec.uid, at)
        elif spec.priority in self._waiting:
            same = self._waiting[spec.priority]
            same.pop(spec.uid, None)
            if not same:
                del self._waiting[spec.priority]
        if before is None or before.node or after is None or not after.node:
            return
        self.looked_at += 1
        if self._waiting and max(self._waiting) > spec.priority:
            self._judge(after, self.world.nodes[after.node], at)

    def _judge(self, bound: PodFact, node: NodeState, at: float) -> None:
        asked = 0
        for priority in sorted(self._waiting, reverse=True):
            if priority <= bound.spec.priority:
                return
            for uid, since in self._waiting[priority].items():
                asked += 1
                if asked > _ASKED_MAX:
                    return
                other = self.world.pods[uid].spec
                if other.scheduler != bound.spec.scheduler:
                    continue
                if not node.fits(other, beside=bound.spec.requests):
                    continue
                fitted_s = self.world.well_for(max(since, node.freed_s), at)
                text = (
                    f"pod {bound.spec.name} (priority {bound.spec.priority}) was bound "
                    f"to {bound.node}, where {other.name} (priority {priority}) had "
                    f"fitted for {fitted_s:.1f}s"
                )
                self.measured(at, fitted_s, self._after_s, text)
