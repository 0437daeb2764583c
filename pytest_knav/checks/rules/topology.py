"""A workload that must lie in one place lies in one place, also after a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_knav.checks.rules.base import Rule


if TYPE_CHECKING:
    from pytest_knav.checks.facts import PodFact


class TopologyRule(Rule):
    """
    Every member that is bound lies where the members that stay lie.

    The place is the value of the workload's topology key on the nodes. Members that are
    on their way out do not count: a gang may move as a whole.
    """

    name: ClassVar[str] = "topology"
    kinds: ClassVar[frozenset[str]] = frozenset({"Pod", "Node"})

    @property
    def title(self) -> str:
        """Return what it asks for."""
        return "topology: members of a constrained workload share their place"

    def bound(self, pod: PodFact, at: float) -> None:
        """Judge a binding."""
        crew = pod.spec.crew
        if crew is None or pod.node is None or not crew.promise.topology_key:
            return
        self.looked_at += 1
        key, own = crew.promise.topology_key, self._place(pod.node, pod)
        for other in crew.live:
            if other.node is None or other.spec is pod.spec:
                continue
            place = self._place(other.node, other)
            if None in {own, place}:
                bare = pod.node if own is None else other.node
                self.doubts.append(f"node {bare} has no label {key}")
            elif own != place:
                self.breach(
                    at,
                    f"{crew.promise.label}: pod {pod.spec.name} was bound to "
                    f"{pod.node} ({key}={own}), while {other.spec.name} stays on "
                    f"{other.node} ({key}={place})",
                )
                return

    def _place(self, node: str, pod: PodFact) -> str | None:
        crew = pod.spec.crew
        key = crew.promise.topology_key if crew else ""
        return self.world.nodes[node].fact.labels.get(key)
