"""Pods leave a lost node when their tolerations say so."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(slots=True)
class _Tainted:
    """
    A node that has had NoExecute taints without a break.

    Attributes:
        since_s: Since when.
        now: Those that it has, and since when each.
        seen: Those that it has had since then.

    """

    since_s: float
    now: dict[Taint, float]
    seen: set[Taint]


class EvictionRule(Rule):
    """
    A pod on a node with a NoExecute taint is evicted when its toleration is over.

    Not later than some seconds after it, more where many are due at once, and not
    before. The time in which the control plane is broken does not count. A taint that
    another one takes the place of, or joins, does not begin anew: what was due stays
    due, at the earliest and at the latest of what the tolerations say
    (pkg/controller/tainteviction/taint_eviction.go, processPodOnNode).
    """

    name: ClassVar[str] = "eviction"
    kinds: ClassVar[frozenset[str]] = frozenset({"Pod", "Node"})

    def __init__(self, world: World, *, late_s: float = USUAL_S) -> None:
        super().__init__(world)
        self._late_s = late_s
        self._due: dict[str, _Tainted] = {}
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
        old = self._due.get(name)
        if old is not None and old.now.keys() - evicting.keys():
            for pod in list(node.pods.values()):
                self._judge_stay(pod, old, at)
        if evicting:
            if old is None:
                old = self._due[name] = _Tainted(min(evicting.values()), {}, set())
            old.now = evicting
            old.seen |= evicting.keys()
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
        self, pod: PodFact, tainted: _Tainted, at: float, *, evicted: bool = False
    ) -> None:
        """Judge how long a pod was on a node after its taints."""
        if not pod.live:
            return
        stays = {taint: pod.spec.stays_s(taint) for taint in tainted.seen}
        if all(stays[taint] is None for taint in tainted.now):
            return
        self.looked_at += 1
        limits = [limit for limit in stays.values() if limit is not None]
        if evicted:
            self._judge_early(pod, tainted.since_s, min(limits), at)
        at_once = [since for taint, since in tainted.now.items() if stays[taint] == 0]
        # What is not tolerated does not wait for the rest.
        since_s = min(at_once) if at_once else max(tainted.now.values())
        stay_s = 0.0 if at_once else max(limits)
        bound_s = self._bound_s.get(pod.spec.uid, ALWAYS)
        late_s = self.world.well_for(max(since_s, bound_s), at) - stay_s
        if late_s > 0:
            still = "left" if evicted else "was not evicted from"
            text = (
                f"pod {pod.spec.name} {still} {pod.node} {late_s:.1f}s after its "
                f"toleration of {stay_s:g}s was over"
            )
            limit_s = self._late_s + _EACH_S * self._most
            self.measured(at, late_s, limit_s, text, since_s=at - late_s)

    def _judge_early(
        self, pod: PodFact, since_s: float, stay_s: float, at: float
    ) -> None:
        """Judge an eviction against the shortest that it tolerates."""
        early_s = stay_s - (at - since_s)
        if early_s > _EARLY_S:
            text = (
                f"pod {pod.spec.name} was evicted {at - since_s:.1f}s after the taint "
                f"of {pod.node}, which it tolerates for {stay_s:g}s"
            )
            self.measured(at, early_s, _EARLY_S, text, since_s=since_s)
