"""Who was not hit is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_knav.checks.rules.base import Rule


if TYPE_CHECKING:
    from pytest_knav.checks.facts import PodFact
    from pytest_knav.checks.places import Break
    from pytest_knav.checks.world import World

# Reasons of the condition DisruptionTarget (core/v1/types.go, taint_eviction.go).
_BY_TAINT = "DeletionByTaintManager"
_PREEMPTED = "PreemptionByScheduler"
# A taint that was taken back just before the eviction it has caused is no riddle.
_RECENT_S = 5.0


class CollateralRule(Rule):
    """
    Pods outside the blast radius of every fault are not evicted and not displaced.

    Never allowed: an eviction for a taint from a node that has none. Preemptions while
    a fault is in force are counted, and judged where a limit is given: a replacement
    with priority may displace others.
    """

    name: ClassVar[str] = "collateral"
    kinds: ClassVar[frozenset[str]] = frozenset({"Pod", "Node"})

    def __init__(self, world: World, *, at_most: float | None = None) -> None:
        super().__init__(world)
        self._at_most = at_most
        self._hit_nodes: set[str] = set()
        self._hit_pods: set[str] = set()
        self._preempted: list[tuple[float, str]] = []
        self._tainted_until: dict[str, float] = {}

    @property
    def title(self) -> str:
        """Return what it asks for."""
        limit = ""
        if self._at_most is not None:
            limit = f", at most {self._at_most:g} preempted"
        return f"collateral: who was not hit is left alone{limit}"

    def fault(self, fault: Break, at: float) -> None:
        """Remember whom it hits."""
        del at
        if fault.cleared_s is None:
            self.looked_at += 1
            self._hit_nodes |= fault.nodes
            self._hit_pods |= fault.pods

    def pod(self, before: PodFact | None, after: PodFact | None, at: float) -> None:
        """Judge an eviction."""
        if before is None or not before.live or before.node is None:
            return
        if (after is not None and after.live) or not self.looked_at:
            return
        reason = (after or before).disruption
        hit = before.spec.uid in self._hit_pods or before.node in self._hit_nodes
        if hit or not reason:
            return
        name = before.spec.name
        if reason == _PREEMPTED and self.world.in_force:
            self._preempted.append((at, f"pod {name} on {before.node} was preempted"))
        elif reason == _BY_TAINT and not self._had_taint(before, at):
            self.breach(
                at,
                f"pod {name} was evicted for a taint from {before.node}, which has "
                "none and was not hit",
            )

    def finish(self, until_s: float) -> None:
        """Judge how many were preempted."""
        del until_s
        if self._at_most is not None and len(self._preempted) > self._at_most:
            for at, text in self._preempted:
                self.breach(at, f"{text} ({len(self._preempted)} in all)")

    @property
    def summary(self) -> str:
        """Return how many were displaced."""
        return f"{len(self._preempted)} preempted outside of the blast radius"

    def _had_taint(self, pod: PodFact, at: float) -> bool:
        node = self.world.nodes[pod.node or ""]
        recent = node.freed_s > at - _RECENT_S or node.gone_s is not None
        return recent or any(taint.effect == "NoExecute" for taint in node.since)
