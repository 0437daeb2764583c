"""
What the ranks of a collective do to each other, as a pure function of what is seen.

A rank that is lost, or that cannot reach the others any more, takes the others with it:
they wait in a collective operation that never ends. What they do then is the workload's
own: `on_member_loss`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from pytest_knav.history.view import BROKEN, OVER, WHOLE


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_knav.workloads.conditions import Members
    from pytest_knav.workloads.pods import PodInfo

OnMemberLoss: TypeAlias = Literal["fail", "hang", "elastic"]
ON_MEMBER_LOSS: Final[tuple[OnMemberLoss, ...]] = ("fail", "hang", "elastic")
#: The watchdog of PyTorch aborts the process (std::terminate): 128 + SIGABRT.
ABORTED: Final = 134


@dataclass(frozen=True, slots=True, kw_only=True)
class Collective:
    """
    How the ranks of a workload hang together.

    Attributes:
        on_loss: What the others do when one cannot take part.
        timeout_s: After how long they notice; None for that of the time profile.
        checkpoint_s: How often progress is made safe.
        gpus: Of each member.

    """

    on_loss: OnMemberLoss
    timeout_s: float | None = None
    checkpoint_s: float
    gpus: int


def out_of_reach(
    nodes: Collection[str], fabric_loss: Mapping[str, str | None]
) -> frozenset[str]:
    """
    Return which of the nodes of one collective cannot take part for their links.

    A node with a NIC without a link is out: NCCL opens its connections over all of them
    and gives up on none. Of nodes that are cut off from each other, the largest part
    goes on. Ranks of one node need no fabric.

    Args:
        nodes: Where the ranks run.
        fabric_loss: As of `View.fabric_loss`.

    """
    used = frozenset(nodes)
    if len(used) < 2:
        return frozenset()
    dead = {n for n in used if n in fabric_loss and fabric_loss[n] is None}
    islands = {n: fabric_loss.get(n) or "" for n in used - dead}
    sizes = Counter(islands.values())
    # Of parts of one size, the one with the rest of the fabric.
    goes_on = min(sizes, key=lambda name: (-sizes[name], name), default="")
    cut_off = {n for n, island in islands.items() if island != goes_on}
    return frozenset(dead | cut_off)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Something that happened to the ranks of a collective; what a history keeps."""

    verb: str
    data: Mapping[str, Any]


@dataclass(slots=True)
class Ranks:
    """
    Follows the ranks of one workload from look to look.

    Ranks that have run together are one generation. When one of it is lost the
    generation is broken for good, also where a link comes back: its connections are in
    error (IBV_WC_RETRY_EXC_ERR). A pod that takes the place of a lost one finds no one
    to talk to until the ranks that wait have ended and were made again. Elastic ranks
    go on with those that are left and take in new ones.

    Attributes:
        broken_at_s: Since when ranks wait for one that cannot take part; None while
            none do, and once they were ended.

    """

    collective: Collective
    broken_at_s: float | None = None
    _generation: frozenset[str] = frozenset()
    _stuck: frozenset[str] = frozenset()
    _missing: int = 0
    _had_owner: bool = False

    def look(self, members: Members, now_s: float) -> Turn | None:
        """Return what has happened to the ranks since the last look, if anything."""
        if self._is_over(members):
            return self._end()
        if any(pod.phase == "Succeeded" for pod in members.pods):
            # Ranks end one after the other; none is lost by that.
            return None
        unable = {pod.uid for pod in members.unable}
        up = frozenset(pod.uid for pod in members.current if pod.up)
        if self.collective.on_loss == "elastic":
            return self._elastic(members, up, up - unable, now_s)
        if not self._generation:
            return self._form(members, up, unable, now_s)
        if self._generation <= up - unable:
            return None
        return self._break(members, self._generation, up - unable, now_s)

    def due(self, now_s: float, timeout_s: float) -> bool:
        """Return whether the time-out of those that wait has passed."""
        return (
            self.collective.on_loss != "hang"
            and self.broken_at_s is not None
            and now_s - self.broken_at_s >= timeout_s
        )

    def to_end(self, members: Members) -> list[PodInfo]:
        """
        Return the pods that the time-out ends.

        On a dead node nothing is left to end them, and nobody to tell of it.
        """
        ends = self._stuck
        if self.collective.on_loss == "elastic":
            ends = frozenset(pod.uid for pod in members.unable)
        return [
            pod
            for pod in members.current
            if pod.uid in ends and pod.up and pod.node not in members.broken_nodes
        ]

    def ended(self) -> None:
        """Take note that the pods of `to_end` were ended."""
        self.broken_at_s = None

    def _is_over(self, members: Members) -> bool:
        """Return whether nobody makes its pods again, since it was deleted."""
        owner = members.owner
        if owner is None:
            return self._had_owner
        self._had_owner = True
        return "deletionTimestamp" in owner["metadata"]

    def _end(self) -> Turn | None:
        was = self._generation or self._stuck
        self._generation = self._stuck = frozenset()
        self.broken_at_s = None
        return Turn(verb=OVER, data={}) if was else None

    def _form(
        self, members: Members, up: frozenset[str], unable: set[str], now_s: float
    ) -> Turn | None:
        """Return whether the members that are up begin together, or cannot."""
        if len(up) < members.expected or up & self._stuck:
            return None
        if up & unable:
            return self._break(members, up, up - unable, now_s)
        self._generation, self._stuck, self.broken_at_s = up, frozenset(), None
        return self._turn(WHOLE, members)

    def _break(
        self,
        members: Members,
        ranks: frozenset[str],
        working: frozenset[str],
        now_s: float,
    ) -> Turn:
        here = {pod.uid for pod in members.current}
        self._generation, self._stuck = frozenset(), frozenset(ranks & here)
        self._missing = len(ranks - working)
        self.broken_at_s = now_s
        return self._turn(BROKEN, members)

    def _elastic(
        self,
        members: Members,
        up: frozenset[str],
        working: frozenset[str],
        now_s: float,
    ) -> Turn | None:
        """Return that an elastic workload has become smaller, or whole again."""
        began = bool(self._generation)
        if not began and len(up) < members.expected:
            return None
        missing = max(0, members.expected - len(working))
        if up - working and self.broken_at_s is None:
            self.broken_at_s = now_s
        # Once begun it stays so, also where none is left for a while.
        self._generation = working or self._generation
        if began and missing == self._missing:
            return None
        self._missing = missing
        if not missing:
            self.broken_at_s = None
        return self._turn(BROKEN if missing else WHOLE, members)

    def _turn(self, verb: str, members: Members) -> Turn:
        data: dict[str, Any] = {"members": members.expected}
        if verb == BROKEN:
            data |= {
                "on_member_loss": self.collective.on_loss,
                "missing": self._missing,
                "unable": sorted(pod.name for pod in members.unable),
                "stuck": sorted(self._stuck),
            }
        return Turn(verb=verb, data=data)
