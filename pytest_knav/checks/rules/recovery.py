"""Every workload that a fault hits comes back in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pytest_knav.checks.rules.base import Rule


if TYPE_CHECKING:
    from pytest_knav.checks.crew import Crew
    from pytest_knav.checks.facts import PodFact
    from pytest_knav.checks.places import Break
    from pytest_knav.checks.world import World

_STABLE_S = 1.0


@dataclass(slots=True, eq=False)
class _Case:
    fault: Break
    crew: Crew
    affected: frozenset[str]
    reacted: bool = False
    whole_s: float | None = None


class RecoveryRule(Rule):
    """
    After each fault every workload with a member in its blast radius is whole in time.

    Whole with no member on anything broken, for a second. A fault that is over before
    anything had to react is no case.
    """

    name: ClassVar[str] = "recovery"
    kinds: ClassVar[frozenset[str]] = frozenset({"Pod", "Node", "Job", "Deployment"})

    def __init__(self, world: World, *, within_s: float) -> None:
        super().__init__(world)
        self._within_s = within_s
        self._open: dict[Crew, list[_Case]] = {}

    @property
    def title(self) -> str:
        """Return what it asks for."""
        return f"recovery: every workload that was hit, within {self._within_s:g}s"

    def fault(self, fault: Break, at: float) -> None:
        """Note whom it hits; when it is over, who never had to react."""
        if fault.cleared_s is not None:
            self._cleared(fault, at)
            return
        for crew in self.world.active:
            affected = frozenset(
                pod.spec.uid
                for pod in crew.live
                if pod.node in fault.nodes or pod.spec.uid in fault.pods
            )
            if affected and crew.promise.owner_kind and not crew.ended:
                case = _Case(fault, crew, affected)
                self._open.setdefault(crew, []).append(case)

    def pod(self, before: PodFact | None, after: PodFact | None, at: float) -> None:
        """Follow a workload that was hit."""
        if not self._open:
            return
        fact = after or before
        crew = fact.spec.crew if fact else None
        if fact is None or crew is None or crew not in self._open:
            return
        broken = {name for one in self.world.in_force for name in one.nodes}
        whole = crew.ended or (
            crew.whole and not any(pod.node in broken for pod in crew.live)
        )
        for case in list(self._open[crew]):
            if case.whole_s is not None and at - case.whole_s >= _STABLE_S:
                self._close(case, case.whole_s)
                continue
            if fact.spec.uid in case.affected and not (after and after.up):
                case.reacted = True
            if not case.reacted or not whole:
                case.whole_s = None
            elif case.whole_s is None:
                case.whole_s = at

    def finish(self, until_s: float) -> None:
        """Judge who is not back."""
        for case in [one for cases in self._open.values() for one in cases]:
            if case.whole_s is not None:
                self._close(case, case.whole_s)
                continue
            waited_s = until_s - case.fault.started_s
            text = f"{_words(case)}: it did not come back for {waited_s:.1f}s"
            self.looked_at += 1
            if waited_s > self._within_s:
                self.measured(until_s, waited_s, self._within_s, text)
            else:
                self.doubts.append(f"{text}, and then the history ends")

    def _cleared(self, fault: Break, at: float) -> None:
        lasted_s = at - fault.started_s
        for crew, cases in list(self._open.items()):
            for case in list(cases):
                if case.fault is not fault or case.reacted:
                    continue
                if lasted_s > self._within_s:
                    text = f"{_words(case)}: nothing reacted for {lasted_s:.1f}s"
                    self.looked_at += 1
                    self.measured(at, lasted_s, self._within_s, text)
                self._open[crew].remove(case)

    def _close(self, case: _Case, whole_s: float) -> None:
        self.looked_at += 1
        self._open[case.crew].remove(case)
        seconds = whole_s - case.fault.started_s
        text = f"{_words(case)}: it was whole again after {seconds:.1f}s"
        self.measured(whole_s, seconds, self._within_s, text)


def _words(case: _Case) -> str:
    return f"{case.crew.promise.label} after {case.fault.name}"
