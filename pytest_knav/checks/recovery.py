"""
Did a workload come back after a fault, when, and what took how long.

Affected is who sat in the blast radius when the fault was injected: a stale "Running"
of a pod on a dead node can therefore never pass for recovery. Pods are followed by
index within their workload, never by "any pod of that name".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pytest_knav.errors import NotRecovered
from pytest_knav.history.view import View, view_at, walk


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.history import History
    from pytest_knav.history.record import Record
    from pytest_knav.history.view import Condition
    from pytest_knav.workloads.pods import PodInfo

Outcome = Literal["recovered", "unaffected", "blind", "lost"]
PHASES = ("detect", "taint", "evict", "recreate", "queue", "bind", "start")
_UNREACHABLE = frozenset(
    {"node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"}
)


class Subject(Protocol):
    """A workload as this check sees it."""

    @property
    def label(self) -> str:
        """What it is called in messages."""
        ...

    def members(self, view: View) -> Any:  # noqa: ANN401
        """Return its pods in a view: `.pods`, `.current`, `.expected`."""
        ...

    def describe(self, view: View) -> str:
        """Return the states of its pods in one line."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpan:
    """
    A fault as a check needs it.

    Attributes:
        started_revision: Revision of its first write.
        started_s: Time of its first write on the monotonic clock; the zero of every
            duration.
        nodes: Names of the nodes in its blast radius.

    """

    name: str
    id: str
    started_revision: int
    started_s: float
    nodes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRecovery:
    """
    What happened to one affected member: moments in seconds since the fault.

    A moment that was never seen is missing.
    """

    index: int | None
    lost_pod: str
    lost_node: str
    replacement: str | None
    node: str | None
    moments: Mapping[str, float]

    @property
    def phases(self) -> dict[str, float]:
        """Return the seconds from each moment seen to the next, by the later's name."""
        found: dict[str, float] = {}
        before = 0.0
        for phase in PHASES:
            if phase in self.moments:
                found[phase] = max(0.0, self.moments[phase] - before)
                before = max(before, self.moments[phase])
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """
    The outcome, and the figures if there was a recovery.

    Attributes:
        outcome: `recovered`; `unaffected`: no member sat in the blast radius; `blind`:
            some did and nothing reacted; `lost`: it reacted and did not come back.
        within_s: The limit it was measured against.
        last_state: The pods as last seen.
        members: Each affected member.

    """

    outcome: Outcome
    subject: str
    fault: str
    within_s: float
    last_state: str
    members: tuple[MemberRecovery, ...] = ()
    figures: tuple[float, frozenset[str]] | None = field(default=None, repr=False)

    @property
    def seconds(self) -> float:
        """Return the seconds from the fault's first write until it was whole again."""
        return self._figures()[0]

    @property
    def nodes(self) -> frozenset[str]:
        """Return the names of the nodes it ran on when it was whole again."""
        return self._figures()[1]

    @property
    def phases(self) -> dict[str, float]:
        """Return the seconds of each phase of the member that came back last."""
        self._figures()
        slowest = max(self.members, key=lambda m: max(m.moments.values(), default=0.0))
        return slowest.phases

    @property
    def in_time(self) -> bool:
        """Return whether it recovered within the limit."""
        return self.outcome == "recovered" and self.seconds <= self.within_s

    def __str__(self) -> str:
        """Return the outcome in one line."""
        head = f"{self.subject} after {self.fault}: {self.outcome}"
        if self.outcome != "recovered":
            return f"{head}; last seen: {self.last_state}"
        phases = ", ".join(f"{name} {s:.1f}s" for name, s in self.phases.items())
        return f"{head} in {self.seconds:.1f}s of {self.within_s:g}s ({phases})"

    def _figures(self) -> tuple[float, frozenset[str]]:
        if self.figures is None:
            raise NotRecovered(f"there are no figures: {self}")
        return self.figures


def judge_recovery(  # noqa: PLR0913 - three of them are limits
    history: History,
    subject: Subject,
    running: Condition,
    fault: FaultSpan,
    *,
    within_s: float,
    stable_for_s: float = 1.0,
    now_s: float,
) -> Recovery:
    """
    Return what became of a workload after a fault, as far as the history tells.

    Recovered means: from that moment on it runs with no member on anything broken, for
    `stable_for_s`. A later break does not undo it.

    Args:
        history: What was recorded.
        subject: The workload.
        running: Its condition of being up.
        fault: The fault.
        within_s: The limit.
        stable_for_s: How long it must hold.
        now_s: Until when the history is known to be complete, on the monotonic clock.

    Raises:
        Inconclusive: The history does not reach back to the fault.

    """
    follower = _Follower(history, subject, running, fault)
    whole_since = follower.follow(stable_for_s, now_s)
    outcome: Outcome
    if not follower.affected:
        outcome = "unaffected"
    elif not follower.reacted:
        outcome = "blind"
    else:
        outcome = "lost" if whole_since is None else "recovered"
    figures = None
    if outcome == "recovered" and whole_since is not None:
        figures = (whole_since - fault.started_s, follower.nodes)
    return Recovery(
        outcome=outcome,
        subject=subject.label,
        fault=fault.name,
        within_s=within_s,
        last_state=follower.last_state,
        members=follower.members(),
        figures=figures,
    )


@dataclass(slots=True)
class _Track:
    lost: PodInfo
    moments: dict[str, float] = field(default_factory=dict)
    replacement: PodInfo | None = None

    def note(self, moment: str, at: float) -> None:
        self.moments.setdefault(moment, at)


class _Follower:
    def __init__(
        self, history: History, subject: Subject, running: Condition, fault: FaultSpan
    ) -> None:
        self._history = history
        self._subject = subject
        self._running = running
        self._fault = fault
        self._kinds = {"Pod", "Node", *running.kinds}
        self.nodes: frozenset[str] = frozenset()
        self.last_state = ""
        before = subject.members(
            view_at(history, fault.started_revision, self._kinds)
        ).pods
        self._known = {pod.uid for pod in before}
        self.affected = [
            _Track(pod) for pod in before if pod.live and pod.node in fault.nodes
        ]

    @property
    def reacted(self) -> bool:
        moments = ("evict", "gone", "unready")
        return any(m in track.moments for track in self.affected for m in moments)

    def follow(self, stable_for_s: float, now_s: float) -> float | None:
        whole_since: float | None = None
        revision = self._fault.started_revision
        view = view_at(self._history, revision, self._kinds)
        for record, view in walk(self._history, revision, self._kinds):
            at = record.monotonic
            if whole_since is not None and at - whole_since >= stable_for_s:
                return whole_since
            self._note(record, view, at - self._fault.started_s)
            if not self._whole(view):
                whole_since = None
            elif whole_since is None:
                whole_since = at
                self._freeze(view)
        self.last_state = self._subject.describe(view)
        if whole_since is not None and now_s - whole_since >= stable_for_s:
            return whole_since
        return None

    def members(self) -> tuple[MemberRecovery, ...]:
        return tuple(
            MemberRecovery(
                index=track.lost.index,
                lost_pod=track.lost.name,
                lost_node=track.lost.node or "",
                replacement=track.replacement.name if track.replacement else None,
                node=track.replacement.node if track.replacement else None,
                moments={k: v for k, v in track.moments.items() if k in PHASES},
            )
            for track in self.affected
        )

    def _whole(self, view: View) -> bool:
        if not self._running.holds(view) or not self.reacted:
            return False
        members = self._subject.members(view).current
        return not any(pod.node in view.broken_nodes for pod in members)

    def _freeze(self, view: View) -> None:
        members = self._subject.members(view).current
        self.nodes = frozenset(pod.node for pod in members if pod.node)
        self.last_state = self._subject.describe(view)

    def _note(self, record: Record, view: View, at: float) -> None:
        if record.kind == "Node":
            node = view.of("Node").get(record.uid)
            if node is not None:
                self._note_node(node, at)
        elif record.kind == "Pod":
            self._note_lost(record, self._subject.members(view).pods, at)

    def _note_node(self, node: Mapping[str, Any], at: float) -> None:
        conditions = node.get("status", {}).get("conditions", ())
        ready = next((c for c in conditions if c["type"] == "Ready"), None)
        taints = node.get("spec", {}).get("taints", ())
        for track in self.affected:
            if track.lost.node != node["metadata"]["name"]:
                continue
            if ready is not None and ready["status"] != "True":
                track.note("detect", at)
            if any(
                t["key"] in _UNREACHABLE and t["effect"] == "NoExecute" for t in taints
            ):
                track.note("taint", at)

    def _note_lost(self, record: Record, pods: Sequence[PodInfo], at: float) -> None:
        by_uid = {pod.uid: pod for pod in pods}
        for track in self.affected:
            if record.uid != track.lost.uid:
                continue
            pod = by_uid.get(record.uid)
            if pod is None or pod.phase == "Failed":
                track.note("evict", at)
                track.note("gone", at)
            elif pod.terminating:
                track.note("evict", at)
            elif not pod.ready:
                track.note("unready", at)
        if record.uid in by_uid:
            self._note_replacement(by_uid[record.uid], at)

    def _note_replacement(self, pod: PodInfo, at: float) -> None:
        track = self._track_of(pod)
        if track is None:
            return
        track.replacement = pod
        track.note("recreate", at)
        if pod.unschedulable and pod.node is None:
            track.moments["queue"] = at
        if pod.node is not None:
            track.note("queue", track.moments["recreate"])
            track.note("bind", at)
        if pod.up:
            track.note("start", at)

    def _track_of(self, pod: PodInfo) -> _Track | None:
        if pod.uid in self._known:
            return None
        for track in self.affected:
            if track.replacement is not None and track.replacement.uid == pod.uid:
                return track
        for track in self.affected:
            lost = "evict" in track.moments
            same = pod.index is None or track.lost.index == pod.index
            if same and lost and (track.replacement is None or pod.index is not None):
                if track.replacement is not None:
                    # A second replacement of the index: its moments count instead.
                    for moment in ("recreate", "queue", "bind", "start"):
                        track.moments.pop(moment, None)
                return track
        return None
