"""
Following the members of a workload through a history, from a fault on.

Members are known by index within their workload, never by "any pod of that name".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pytest_knav.history.view import View, view_at, walk


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.history import History
    from pytest_knav.history.record import Record
    from pytest_knav.history.view import Condition
    from pytest_knav.workloads.pods import PodInfo

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

    @property
    def key(self) -> str:
        """What it is called in the records of collectives."""
        ...

    @property
    def collective(self) -> Any:  # noqa: ANN401 - `workloads.collective.Collective`
        """How its members hang together; None where each is on its own."""
        ...

    def members(self, view: View) -> Any:  # noqa: ANN401
        """Return its pods in a view: `.pods`, `.current`, `.expected`."""
        ...

    def pod(self, view: View, uid: str) -> PodInfo | None:
        """Return one of its pods in a view; None when it is gone or not its own."""
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
        nodes: Names of the nodes in its blast radius: all of each of them.
        pods: Uids of the pods that it hit though their node goes on.

    """

    name: str
    id: str
    started_revision: int
    started_s: float
    nodes: frozenset[str]
    pods: frozenset[str] = frozenset()


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


@dataclass(slots=True)
class Track:
    """One affected member and what was seen of it."""

    lost: PodInfo
    moments: dict[str, float] = field(default_factory=dict)
    replacement: PodInfo | None = None

    def note(self, moment: str, at: float) -> None:
        """Keep a moment, unless it was seen before."""
        self.moments.setdefault(moment, at)


class Follower:
    """Follows the affected members of one workload from a fault on."""

    def __init__(
        self, history: History, subject: Subject, running: Condition, fault: FaultSpan
    ) -> None:
        self._history = history
        self._subject = subject
        self._running = running
        self._fault = fault
        self._kinds = {"Pod", "Node", *running.kinds}
        self.nodes: frozenset[str] = frozenset()
        self._view = view_at(history, fault.started_revision, self._kinds)
        self.last_state = subject.describe(self._view)
        before = subject.members(self._view).pods
        self._known = {pod.uid for pod in before}
        self.affected = [
            Track(pod)
            for pod in before
            if pod.live and (pod.node in fault.nodes or pod.uid in fault.pods)
        ]

    @property
    def reacted(self) -> bool:
        """Whether anything at all happened to an affected member."""
        moments = ("evict", "gone", "unready")
        return any(m in track.moments for track in self.affected for m in moments)

    def follow(self, stable_for_s: float, now_s: float) -> float | None:
        """
        Return since when the workload is whole for good, if it is, by `now_s`.

        To be called once.
        """
        whole_since: float | None = None
        if not self.affected:
            return None
        view, revision = self._view, self._fault.started_revision
        for record, _ in walk(self._history, revision, self._kinds, view):
            at = record.monotonic
            if whole_since is not None and at - whole_since >= stable_for_s:
                return whole_since
            self._note(record, view, at - self._fault.started_s)
            if record.kind == "Node":
                # Changes what is known of the fault, not how the workload is.
                continue
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
        """Return what was seen of each affected member."""
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
        if not self.reacted or not self._running.holds(view):
            return False
        members = self._subject.members(view)
        return not (members.unable or members.stuck)

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
            self._note_pod(record.uid, self._subject.pod(view, record.uid), at)

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

    def _note_pod(self, uid: str, pod: PodInfo | None, at: float) -> None:
        for track in self.affected:
            if uid != track.lost.uid:
                continue
            if pod is None or pod.phase == "Failed":
                track.note("evict", at)
                track.note("gone", at)
            elif pod.terminating:
                track.note("evict", at)
            elif not pod.ready:
                track.note("unready", at)
        if pod is not None:
            self._note_replacement(pod, at)

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

    def _track_of(self, pod: PodInfo) -> Track | None:
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
