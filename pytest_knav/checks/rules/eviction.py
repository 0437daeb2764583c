"""Pods leave a lost node when their tolerations say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_knav.checks.places import ALWAYS
from pytest_knav.checks.rules.base import Rule


if TYPE_CHECKING:
    from pytest_knav.checks.facts import NodeFact, PodFact, Taint
    from pytest_knav.checks.places import NodeState
    from pytest_knav.checks.world import World

USUAL_S = 5.0
# The taint's own clock has whole seconds, and its manager sees it after we do.
_EARLY_S = 2.0
# 20 writes a second are the stock limit of the controller manager (--kube-api-qps);
# an eviction is two of them.
_EACH_S = 0.1
_BY_TAINT = "DeletionByTaintManager"


class EvictionRule(Rule):
    """
    A pod on a node with a NoExecute taint is evicted when its toleration is over.

    Not later than some seconds after it, more where many are due at once, and not
    before. The time in which the control plane is broken does not count.
    """

    name: ClassVar[str] = "eviction"
    kinds: ClassVar[frozenset[str]] = frozenset({"Pod", "Node"})

    def __init__(self, world: World, *, late_s: float = USUAL_S) -> None:
        super().__init__(world)
        self._late_s = late_s
        # For each node: its NoExecute taints, and the pods that were on it and stay.
        self._due: dict[str, dict[Taint, float]] = {}
        self._bound_s: dict[str, float] = {}
        self._most = 0

    @property
    def title(self) -> str:
        """Return what it asks for."""
        return f"eviction: at most {self._late_s:g}s after the toleration, not before"

    def node(self, node: NodeState, before: NodeFact | None, at: float) -> None:
        """Follow which nodes have taints that evict."""
        del before
        name = node.fact.name
        evicting = {t: s for t, s in node.since.items() if t.effect == "NoExecute"}
        if node.gone_s is not None:
            evicting = {}
        old = self._due.get(name, {})
        if old.keys() - evicting.keys():
            for pod in list(node.pods.values()):
                self._judge_stay(pod, old, at)
        if evicting:
            self._due[name] = evicting
            waiting = sum(len(self.world.nodes[one].pods) for one in self._due)
            self._most = max(self._most, waiting)
        else:
            self._due.pop(name, None)

    def pod(self, before: PodFact | None, after: PodFact | None, at: float) -> None:
        """Judge an eviction, or note where a pod begins to be."""
        fact = after or before
        if fact is None or fact.node is None:
            return
        if before is None or before.node is None:
            self._bound_s[fact.spec.uid] = at
        left = before is not None and before.live
        if left and (after is None or not after.live):
            taints = self._due.get(fact.node)
            evicted = after is not None and after.disruption == _BY_TAINT
            if taints and before is not None:
                self._judge_stay(before, taints, at, evicted=evicted)
            self._bound_s.pop(fact.spec.uid, None)

    def finish(self, until_s: float) -> None:
        """Judge the pods that are there still."""
        for name, taints in self._due.items():
            for pod in list(self.world.nodes[name].pods.values()):
                self._judge_stay(pod, taints, until_s)

    def _judge_stay(
        self,
        pod: PodFact,
        taints: dict[Taint, float],
        at: float,
        *,
        evicted: bool = False,
    ) -> None:
        """Judge how long a pod was on a node after its taints."""
        if not pod.live:
            return
        stays = [(taint, pod.spec.stays_s(taint)) for taint in taints]
        limits = [limit for _, limit in stays if limit is not None]
        if not limits:
            return
        self.looked_at += 1
        stay_s, bound_s = min(limits), self._bound_s.get(pod.spec.uid, ALWAYS)
        first_s, last_s = min(taints.values()), max(taints.values())
        if evicted and stay_s - (at - first_s) > _EARLY_S:
            text = (
                f"pod {pod.spec.name} was evicted {at - first_s:.1f}s after the taint "
                f"of {pod.node}, which it tolerates for {stay_s:g}s"
            )
            self.measured(at, stay_s - (at - first_s), _EARLY_S, text, since_s=first_s)
        late_s = self.world.well_for(max(last_s, bound_s), at) - stay_s
        if late_s > 0:
            still = "left" if evicted else "was not evicted from"
            text = (
                f"pod {pod.spec.name} {still} {pod.node} {late_s:.1f}s after its "
                f"toleration of {stay_s:g}s was over"
            )
            limit_s = self._late_s + _EACH_S * self._most
            self.measured(at, late_s, limit_s, text, since_s=at - late_s)
