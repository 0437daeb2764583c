"""What was promised once runs once, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_knav.checks.rules.base import Rule


if TYPE_CHECKING:
    from pytest_knav.checks.crew import Crew
    from pytest_knav.checks.facts import PodFact
    from pytest_knav.checks.world import World

USUAL_S = 5.0


class OnceRule(Rule):
    """
    Each index of an Indexed Job succeeds once, and has one live pod at a time.

    A Job that says Complete has seen every index succeed. A pod on its way out does not
    count as live: by default its replacement starts beside it.
    """

    name: ClassVar[str] = "once"
    kinds: ClassVar[frozenset[str]] = frozenset({"Pod", "Job"})

    def __init__(self, world: World, *, overlap_s: float = USUAL_S) -> None:
        super().__init__(world)
        self._overlap_s = overlap_s
        self._succeeded: dict[tuple[str, int], str] = {}
        self._doubled: dict[tuple[Crew, int], float] = {}

    @property
    def title(self) -> str:
        """Return what it asks for."""
        return "once: each index of a Job runs to its end once"

    def pod(self, before: PodFact | None, after: PodFact | None, at: float) -> None:
        """Follow who runs and who has succeeded, index by index."""
        ran = before is not None and _runs(before)
        changed = ran != (after is not None and _runs(after))
        succeeded = after is not None and after.phase == "Succeeded"
        fact = after or before
        if fact is None or not (changed or succeeded):
            return
        crew, index = fact.spec.crew, fact.spec.index
        if index is None or crew is None:
            return
        if after is not None and succeeded:
            self._note_success(crew, index, after, at)
        if changed:
            self._note_running(crew, index, at)

    def finish(self, until_s: float) -> None:
        """Judge what is doubled still, and Jobs that say they are complete."""
        for (crew, index), since in self._doubled.items():
            self._judge(crew, index, since, until_s)
        for crew in self.world.crews:
            owner = crew.owner or {}
            spec = owner.get("spec") or {}
            complete = any(
                c["type"] == "Complete" and c["status"] == "True"
                for c in (owner.get("status") or {}).get("conditions") or ()
            )
            indexed = spec.get("completionMode") == "Indexed"
            if not complete or not indexed or spec.get("successPolicy"):
                continue
            self.looked_at += 1
            wanted = range(int(spec.get("completions") or 0))
            lost = [i for i in wanted if (crew.owner_uid, i) not in self._succeeded]
            if lost:
                names = ", ".join(map(str, lost[:5]))
                self.breach(
                    until_s,
                    f"{crew.promise.label} is Complete, and {len(lost)} of its indexes "
                    f"were never seen to succeed: {names}",
                )

    def _note_success(self, crew: Crew, index: int, pod: PodFact, at: float) -> None:
        place = (pod.spec.owner, index)
        first = self._succeeded.setdefault(place, pod.spec.uid)
        if first == pod.spec.uid:
            return
        self._succeeded[place] = pod.spec.uid
        self.breach(
            at,
            f"index {index} of {crew.promise.label} succeeded again, as pod "
            f"{pod.spec.name}",
        )

    def _note_running(self, crew: Crew, index: int, at: float) -> None:
        self.looked_at += 1
        running = sum(map(_runs, crew.of_key(index)))
        if running > 1:
            self._doubled.setdefault((crew, index), at)
        else:
            since = self._doubled.pop((crew, index), None)
            if since is not None:
                self._judge(crew, index, since, at)

    def _judge(self, crew: Crew, index: int, since: float, until_s: float) -> None:
        text = (
            f"index {index} of {crew.promise.label} had two running pods for "
            f"{until_s - since:.1f}s"
        )
        self.lasted(since, until_s, self._overlap_s, text)


def _runs(pod: PodFact) -> bool:
    return pod.live and pod.phase == "Running"
