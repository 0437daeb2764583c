"""Who was not hit is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_knav.checks.rules.base import Rule


if TYPE_CHECKING:
    from pytest_knav.checks.facts import NodeFact, PodFact
    from pytest_knav.checks.places import Break, NodeState
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
        """Count what there is to be left alone by."""
        del at
        if fault.cleared_s is None:
            self.looked_at += 1

    def node(self, node: NodeState, before: NodeFact | None, at: float) -> None:
        """Remember until when it had a taint that evicts."""
        taken = set(before.taints if before else ()) - set(node.fact.taints)
        if any(taint.effect == "NoExecute" for taint in taken):
            self._tainted_until[node.fact.name] = at

    def pod(self, before: PodFact | None, after: PodFact | None, at: float) -> None:
        """Judge an eviction."""
        if before is None or not before.live or before.node is None:
            return
        if (after is not None and after.live) or not self.looked_at:
            return
        reason = (after or before).disruption
        if not reason or self._is_hit(before, at):
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

    def _is_hit(self, pod: PodFact, at: float) -> bool:
        """Return whether a pod stands in a blast radius, or did a moment ago."""
        return any(
            pod.spec.uid in fault.pods or pod.node in fault.nodes
            for fault in self.world.breaks.values()
            if fault.cleared_s is None or at - fault.cleared_s <= _RECENT_S
        )

    def _had_taint(self, pod: PodFact, at: float) -> bool:
        node = self.world.nodes[pod.node or ""]
        until_s = self._tainted_until.get(node.fact.name)
        recent = until_s is not None and at - until_s <= _RECENT_S
        if recent or node.gone_s is not None:
            return True
        return any(taint.effect == "NoExecute" for taint in node.since)
