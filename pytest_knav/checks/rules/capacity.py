"""No node is given more than it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_knav.checks.places import ALWAYS
from pytest_knav.checks.rules.base import Rule


if TYPE_CHECKING:
    from pytest_knav.checks.facts import PodFact
    from pytest_knav.checks.world import World

USUAL_S = 5.0
_UNITS = {"memory": (1000 * 2**20, "Mi"), "ephemeral-storage": (1000 * 2**20, "Mi")}


class CapacityRule(Rule):
    """
    With each binding the pods of a node take no more than is allocatable there.

    Cpu, memory, the number of pods, GPUs and any other amount. A node that shrinks
    under its pods is no breach; a binding that comes later than some seconds after
    that is. Pods that are Terminating count until they are gone.
    """

    name: ClassVar[str] = "capacity"
    kinds: ClassVar[frozenset[str]] = frozenset({"Pod", "Node"})

    def __init__(self, world: World, *, after_s: float = USUAL_S) -> None:
        super().__init__(world)
        self._after_s = after_s

    @property
    def title(self) -> str:
        """Return what it asks for."""
        return "capacity: no node is given more than it has"

    def bound(self, pod: PodFact, at: float) -> None:
        """Judge a binding."""
        if not pod.holds:
            return
        self.looked_at += 1
        node = self.world.nodes[pod.node or ""]
        for name in pod.spec.requests:
            room, used = node.fact.room.get(name), node.used.get(name, 0)
            # A resource that a node does not count may be claimed as devices instead.
            if room is None or used <= room:
                continue
            text = (
                f"pod {pod.spec.name} was bound to {pod.node}, whose pods then "
                f"took {_shown(name, used)} of {_shown(name, room)} {name}"
            )
            if node.changed_s == ALWAYS:
                self.breach(at, text)
            else:
                seconds = self.world.well_for(node.changed_s, at)
                self.measured(at, seconds, self._after_s, text)


def _shown(name: str, thousandths: int) -> str:
    unit, suffix = _UNITS.get(name, (1000, ""))
    return f"{thousandths / unit:g}{suffix}"
