"""Once the last fault is over, everything settles."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_knav.checks.rules.base import Rule


if TYPE_CHECKING:
    from pytest_knav.checks.crew import Crew
    from pytest_knav.checks.facts import PodFact
    from pytest_knav.checks.places import Break
    from pytest_knav.checks.world import World

# The Job controller waits 10 s after the first failure and twice as long after each
# (pkg/controller/job/backoff_utils.go), ten minutes at most.
_BACK_OFF_S = 10.0
_BACK_OFF_MAX_S = 600.0


class SettledRule(Rule):
    """
    What ran before a fault runs again within a bound after the last one was cleared.

    The liveness half of a chaos test: the cluster is well again, so nothing may starve.
    Excused is who has finished, failed for good or was deleted, whose Job is in its
    back-off, and whose pods fit nowhere because others have taken the place.
    """

    name: ClassVar[str] = "settled"
    kinds: ClassVar[frozenset[str]] = frozenset({"Pod", "Node", "Job", "Deployment"})

    def __init__(self, world: World, *, within_s: float) -> None:
        super().__init__(world)
        self._within_s = within_s
        # Workloads that were whole when a fault began, and since when they are again.
        self._before: set[Crew] = set()
        self._whole_s: dict[Crew, float | None] = {}
        self._healed_s: float | None = None

    @property
    def title(self) -> str:
        """Return what it asks for."""
        return f"settled: all work is whole {self._within_s:g}s after the last fault"

    def fault(self, fault: Break, at: float) -> None:
        """Note who is whole when it begins, and when the last one is over."""
        if fault.cleared_s is None:
            self._before = {crew for crew in self._before if not crew.ended}
            self._before |= {
                crew for crew in self.world.active if crew.whole and _kept(crew)
            }
            self._healed_s = None
        elif not self.world.in_force:
            self._healed_s = at
            self._whole_s = {
                crew: at if crew.whole or crew.ended else None for crew in self._before
            }

    def pod(self, before: PodFact | None, after: PodFact | None, at: float) -> None:
        """Follow who is whole again."""
        fact = after or before
        if self._healed_s is None or fact is None:
            return
        crew = fact.spec.crew
        if crew is None or crew not in self._whole_s:
            return
        if crew.whole or crew.ended:
            if self._whole_s[crew] is None:
                self._whole_s[crew] = at
        elif self._whole_s[crew] is not None and at - self._healed_s <= self._within_s:
            # A later loss is not of these faults, unless it comes at once.
            self._whole_s[crew] = None

    def finish(self, until_s: float) -> None:
        """Judge who is not whole."""
        healed_s = self._healed_s
        if healed_s is None:
            return
        for crew, whole_s in self._whole_s.items():
            if whole_s is None and not crew.ended and _hidden(crew):
                continue
            self.looked_at += 1
            label, bound_s = crew.promise.label, self._bound_s(crew)
            if whole_s is not None:
                text = f"{label} was whole again {whole_s - healed_s:.1f}s after it"
                self.lasted(healed_s, whole_s, bound_s, text)
                continue
            if crew.ended or self._excused(crew):
                continue
            waited_s = self.world.well_for(healed_s, until_s)
            text = (
                f"{label} has {crew.up} of {crew.expected} up, {waited_s:.1f}s after "
                f"the last fault was cleared{_waiting(crew)}"
            )
            if waited_s >= bound_s:
                self.lasted(healed_s, until_s, bound_s, text)
            else:
                self.doubts.append(f"{text}: the history ends before {bound_s:g}s")

    def _bound_s(self, crew: Crew) -> float:
        if crew.promise.owner_kind != "Job":
            return self._within_s
        status = (crew.owner or {}).get("status") or {}
        failed = min(int(status.get("failed") or 0), 10)
        if not failed:
            return self._within_s
        back_off_s: float = _BACK_OFF_S * 2 ** (failed - 1)
        return self._within_s + min(_BACK_OFF_MAX_S, back_off_s)

    def _excused(self, crew: Crew) -> bool:
        """Return whether pods of it wait, and others have their place."""
        waiting = [pod for pod in crew.live if pod.waiting]
        if not waiting:
            return False
        spec = waiting[0].spec
        wanted = len(waiting) if spec.group or crew.promise.gang else 1
        nodes = self.world.nodes.values()
        return sum(node.places(spec) for node in nodes) < wanted


def _kept(crew: Crew) -> bool:
    """Return whether something makes its pods again, and some are wanted."""
    return bool(crew.promise.owner_kind) and not crew.ended and crew.expected > 0


def _hidden(crew: Crew) -> bool:
    """Return whether pods of it wait for what is not seen here: no verdict on them."""
    waiting = [pod for pod in crew.live if pod.waiting]
    if not waiting:
        return any(pod.gated for pod in crew.live)
    # Devices, affinity, one place for all: whether it fits is not known.
    return not waiting[0].spec.plain or bool(crew.promise.topology_key)


def _waiting(crew: Crew) -> str:
    names = [pod.spec.name for pod in crew.live if not pod.up][:3]
    return f"; not up: {', '.join(names)}" if names else "; nothing makes new pods"
