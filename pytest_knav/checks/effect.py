"""
What happened to the work of a cluster from a moment on, in figures.

Asked of two runs of one test, one with its faults and one without, the difference is
what the faults have done.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.checks.crew import promises_of
from pytest_knav.checks.rules.base import Rule
from pytest_knav.checks.world import World
from pytest_knav.history.record import FAULT, STEP


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.checks.crew import Crew
    from pytest_knav.checks.facts import PodFact
    from pytest_knav.checks.places import Break
    from pytest_knav.history import History

#: The step of a fault that was left out, where it would have begun.
LEFT_OUT: Final = "LEFT OUT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """
    What became of the workloads that were whole when the first fault began.

    Attributes:
        workloads: How many that were.
        window_s: How long they were followed: until the end of the test.
        back_s: When the last of them was whole again for good, in seconds from the
            fault; 0 where none was ever broken, None where one was not whole at the
            end.
        pods_lost: How many of their pods failed or went, work that had ended aside.
        goodput: The share of the time they should have run in which they did, on
            nothing that was broken in truth, whatever the API said; of a gang, in which
            all its members did. None where there is nothing to share.
        mended: How many were whole again only as a fault was over: they have not come
            back by themselves.

    """

    workloads: int
    window_s: float
    back_s: float | None
    pods_lost: int
    goodput: float | None
    mended: int = 0

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Effect:
        """Return what `as_data` made."""
        return cls(**data)


def effect_of(history: History, until_s: float) -> Effect | None:
    """
    Return what became of the work since the first fault, or since it was left out.

    Args:
        history: What was recorded of one test.
        until_s: Where to stop, on the monotonic clock.

    Returns:
        None where there was no fault, or its beginning has been folded away.

    """
    since_s = _first_s(history)
    if since_s is None or history.truncated_before:
        return None
    world = World(promises_of(history))
    following = _Following(world, since_s)
    world.run(history, [following])
    return following.effect(until_s)


def _first_s(history: History) -> float | None:
    begun = [
        float((record.data or {}).get("started_s", record.monotonic))
        for kind, verb in ((FAULT, "INJECTING"), (STEP, LEFT_OUT))
        for record in history.records(kind)
        if record.verb == verb
    ]
    return min(begun, default=None)


@dataclass(slots=True, eq=False)
class _Course:
    """One workload: how it was since it last changed, and what came together."""

    since_s: float
    whole: bool = False
    ended: bool = False
    share: float = 0.0
    members: int = 0
    # Set when the first fault begins: whether it was whole then.
    followed: bool | None = None
    whole_s: float | None = None
    broken: bool = False
    mended: bool = False
    good_s: float = 0.0
    owed_s: float = 0.0
    lost: int = 0


class _Following(Rule):
    """Adds up what each workload did; it has no verdict."""

    name: ClassVar[str] = "effect"

    def __init__(self, world: World, since_s: float) -> None:
        super().__init__(world)
        self._since_s = since_s
        self._courses: dict[Crew, _Course] = {}

    def pod(self, before: PodFact | None, after: PodFact | None, at: float) -> None:
        """Follow the workload that it belongs to."""
        fact = after or before
        crew = fact.spec.crew if fact else None
        if crew is None:
            return
        course = self._courses.setdefault(crew, _Course(at))
        self._until(course, at)
        if course.followed and not crew.ended and _is_loss(before, after):
            course.lost += 1
        self._change(crew, course, at)

    def fault(self, fault: Break, at: float) -> None:
        """See who stands on what breaks now, or on what is well again."""
        if fault.cleared_s is None:
            # It is written down after its first write.
            at = fault.started_s
        for crew, course in self._courses.items():
            self._until(course, at)
            if course.followed is None:
                self._begin(course)
            was_whole = course.whole
            self._change(crew, course, at)
            if course.followed and course.whole and not was_whole:
                course.mended = True

    def effect(self, until_s: float) -> Effect:
        """Return what came of all that were whole when the fault began."""
        for course in self._courses.values():
            self._until(course, until_s)
        found = [course for course in self._courses.values() if course.followed]
        back = [c.whole_s for c in found if c.broken]
        back_s: float | None = max((s - self._since_s for s in back if s), default=0.0)
        if None in back:
            back_s = None
        owed_s = sum(course.owed_s for course in found)
        return Effect(
            workloads=len(found),
            window_s=max(0.0, until_s - self._since_s),
            back_s=back_s,
            pods_lost=sum(course.lost for course in found),
            goodput=sum(c.good_s for c in found) / owed_s if owed_s else None,
            mended=sum(course.mended for course in found),
        )

    def _change(self, crew: Crew, course: _Course, at: float) -> None:
        """Take down how a workload is from now on."""
        up, wanted = self._up(crew), crew.expected
        course.ended, course.members = crew.ended, wanted
        course.whole = course.ended or up >= wanted
        share = min(1.0, up / max(1, wanted))
        course.share = 0.0 if crew.promise.gang and share < 1 else share
        if not course.followed:
            return
        if not course.whole:
            course.broken, course.mended, course.whole_s = True, False, None
        elif course.whole_s is None:
            course.whole_s = at

    def _up(self, crew: Crew) -> int:
        """Return how many members are up, on nothing that is broken in truth."""
        breaks = self.world.in_force
        if not breaks:
            return crew.up
        nodes = frozenset().union(*(one.nodes for one in breaks))
        pods = frozenset().union(*(one.pods for one in breaks))
        members = crew.members.values()
        return len(
            {
                pod.spec.key
                for pod in members
                if pod.up and pod.node not in nodes and pod.spec.uid not in pods
            }
        )

    def _until(self, course: _Course, at: float) -> None:
        """Count the time until now by how the workload was."""
        if at > self._since_s and course.followed is None:
            self._begin(course)
        from_s = max(course.since_s, self._since_s)
        if course.followed and at > from_s and not course.ended:
            owed_s = (at - from_s) * course.members
            course.owed_s += owed_s
            course.good_s += owed_s * course.share
        course.since_s = max(course.since_s, at)

    def _begin(self, course: _Course) -> None:
        """Note whether a workload was whole when the first fault began."""
        course.followed = course.whole and not course.ended and course.members > 0
        course.whole_s = self._since_s


def _is_loss(before: PodFact | None, after: PodFact | None) -> bool:
    """Return whether a live pod has failed, goes or is gone."""
    if before is None or not before.live:
        return False
    return after is None or (not after.live and after.phase != "Succeeded")
