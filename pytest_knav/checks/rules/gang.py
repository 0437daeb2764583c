"""A gang is never partly bound for longer than allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_knav.checks.rules.base import Rule


if TYPE_CHECKING:
    from pytest_knav.checks.crew import Crew
    from pytest_knav.checks.facts import PodFact
    from pytest_knav.checks.world import World

USUAL_S = 10.0


class GangRule(Rule):
    """
    All members of a gang are bound together, or none is.

    By default only the scheduler's part is judged: how long it takes from the first
    member bound to the last. What a gang that has lost a member waits for (eviction,
    back-off, capacity) is not, nor the time in which the control plane is broken.
    With a limit of the user's own every partial moment counts.
    """

    name: ClassVar[str] = "gang"
    kinds: ClassVar[frozenset[str]] = frozenset({"Pod", "Job", "PodGroup"})

    def __init__(self, world: World, *, longer_than_s: float | None = None) -> None:
        super().__init__(world)
        self._strict = longer_than_s is not None
        self._limit_s = USUAL_S if longer_than_s is None else longer_than_s
        self._since: dict[Crew, float] = {}
        # Gangs that were whole, or have lost a member, since they last had no node.
        self._closed: set[Crew] = set()

    @property
    def title(self) -> str:
        """Return what it asks for."""
        return f"gang: none partly bound for longer than {self._limit_s:g}s"

    def pod(self, before: PodFact | None, after: PodFact | None, at: float) -> None:
        """Follow how many members are bound."""
        fact = after or before
        crew = fact.spec.crew if fact else None
        if crew is None or not crew.promise.gang:
            return
        stayed = before is not None and before.stays
        stays = after is not None and after.stays
        if stayed == stays and crew not in self._since:
            return
        bound, expected = crew.bound, crew.promise.expected
        lost = stayed and not stays
        if not bound:
            self._close(crew, at)
            self._closed.discard(crew)
        elif bound >= expected or crew.ended:
            self._close(crew, at)
            self._closed.add(crew)
        elif self._strict:
            self._since.setdefault(crew, at)
        elif lost:
            self._since.pop(crew, None)
            self._closed.add(crew)
        elif crew not in self._closed and crew not in self._since:
            self._since[crew] = at

    def finish(self, until_s: float) -> None:
        """Judge the gangs that are partly bound still."""
        for crew in list(self._since):
            self._close(crew, until_s, still=True)

    def _close(self, crew: Crew, at: float, *, still: bool = False) -> None:
        since = self._since.pop(crew, None)
        if since is None:
            return
        self.looked_at += 1
        seconds = at - since if self._strict else self.world.well_for(since, at)
        missing = [
            pod.spec.name for pod in crew.members.values() if pod.live and not pod.node
        ][:3]
        text = (
            f"{crew.promise.label} had {crew.bound} of {crew.promise.expected} members "
            f"bound; it was partly bound for {seconds:.1f}s{' and still is' * still}"
        )
        if missing:
            text += f"; without a node: {', '.join(missing)}"
        self.measured(at, seconds, self._limit_s, text, since_s=since)
