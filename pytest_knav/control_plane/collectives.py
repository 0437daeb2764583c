"""
The ranks of collectives, played on a cluster: they wait, end, or go on without others.

KWOK's containers know nothing of each other. One thread watches the workloads that say
what their members do when one is lost, and does that: see `workloads.collective`.
"""

from __future__ import annotations

import time
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane.changes import ContainersEnd, pod
from pytest_knav.errors import ClusterError, HarnessError, Inconclusive
from pytest_knav.history.record import COLLECTIVE, FAULT
from pytest_knav.history.view import ENDED, latest_view
from pytest_knav.metrics.current import Current
from pytest_knav.workloads.collective import ABORTED, Ranks


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History
    from pytest_knav.history.recorder import Recorder
    from pytest_knav.history.view import View
    from pytest_knav.workloads.collective import Turn
    from pytest_knav.workloads.conditions import Members, Subject
    from pytest_knav.workloads.pods import PodInfo

# How often to look at the clock when nothing is recorded.
_LOOK_S: Final = 0.1
# An API server that a fault has broken is asked again after so long.
_AGAIN_S: Final = 0.5
_END_S: Final = 20.0


class Collectives:
    """
    Plays the ranks of every workload that it is told to follow, until it is closed.

    What happens to them is in the history as records of the kind `knav/Collective`.

    Args:
        plane: The control plane that they run on.
        recorder: What is watched.

    """

    def __init__(self, plane: ControlPlane, recorder: Recorder) -> None:
        self._plane = plane
        self._recorder = recorder
        self._followed: dict[str, _Followed] = {}
        self._lock = Lock()
        self._stop = Event()
        self._error: BaseException | None = None
        self._thread: Thread | None = None

    def follow(self, subject: Subject) -> None:
        """Follow a workload from now on; one that is no collective is left alone."""
        if subject.collective is None:
            return
        limit_s = subject.collective.timeout_s
        if limit_s is None:
            limit_s = self._plane.profile.collective_timeout_s
        with self._lock:
            self._followed[subject.key] = _Followed(subject, limit_s)
        if self._thread is None:
            self._thread = Thread(
                target=self._run, name="knav-collectives", daemon=True
            )
            self._thread.start()

    def catch_up(self) -> None:
        """
        Return once the ranks have seen all that is recorded now, and it is noted.

        Raises:
            HarnessError: They are no longer played.
            Inconclusive: They have not in time: the machine is too busy.

        """
        if self._thread is None:
            return
        history = self._recorder.history
        wanted = [(one, one.news(history)) for one in self._all()]

        def noted(_: History) -> bool:
            return self._error is not None or all(
                one.has_noted(news) for one, news in wanted
            )

        if not self._recorder.wait(noted, _END_S, poll_s=_LOOK_S):
            raise Inconclusive("the ranks of collectives are late: a busy machine")
        self._check()

    def close(self) -> None:
        """
        End it and return when it has ended.

        Raises:
            HarnessError: It ended by itself with an error, or does not end.

        """
        self._stop.set()
        if self._thread is None:
            return
        self._thread.join(_END_S)
        if self._thread.is_alive():
            raise HarnessError("the collectives of the cluster do not end")
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise HarnessError(
                f"collectives were no longer played: {self._error}"
            ) from self._error

    def _all(self) -> list[_Followed]:
        with self._lock:
            return list(self._followed.values())

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._recorder.wait(self._something, _LOOK_S)
                self._act()
        # Whatever it is, whoever closes it must hear of it.
        except BaseException as error:  # noqa: BLE001
            self._error = error

    def _something(self, history: History) -> bool:
        """Look at each workload; return whether there is something to do."""
        # All of them look: what a fault breaks, it breaks for all at once.
        looks = [one.look(history) for one in self._all()]
        return any(looks)

    def _act(self) -> None:
        for one in self._all():
            while one.turns:
                turn = one.turns[0]
                self._recorder.note(COLLECTIVE, turn.verb, one.name, dict(turn.data))
                del one.turns[0]
            pods = one.to_end()
            if pods is not None and self._end(pods):
                one.ended()
                names = [pod.name for pod in pods]
                self._recorder.note(COLLECTIVE, ENDED, one.name, {"pods": names})

    def _end(self, pods: Sequence[PodInfo]) -> bool:
        """End the containers of pods; return whether the API server took all of it."""
        for found in pods:
            change = ContainersEnd(
                ref=pod(found.namespace, found.name),
                uid=found.uid,
                exit_code=ABORTED,
                signal="pod status",
            )
            try:
                change.apply(self._plane)
            except ClusterError:
                # The processes end all the same, and kubelets report it when they can.
                self._stop.wait(_AGAIN_S)
                return False
        return True


class _Followed:
    """One workload, its ranks, and what is to be told of them."""

    def __init__(self, subject: Subject, timeout_s: float) -> None:
        self._subject = subject
        self._kinds = tuple(sorted({"Pod", subject.owner_kind or "Pod"}))
        self._timeout_s = timeout_s
        self._ranks = Ranks(subject.collective) if subject.collective else None
        # At most one for each look; none is kept once it is noted.
        self.turns: list[Turn] = []
        self._members: Members | None = None
        self._pods = Current("Pod")
        self._own: dict[str, Mapping[str, Any]] = {}
        self._seen: list[int] = []

    @property
    def name(self) -> str:
        return self._subject.key

    def news(self, history: History) -> list[int]:
        """Return how many records there are of what matters here; they only grow."""
        return [history.count(kind) for kind in (*self._kinds, FAULT)]

    def has_noted(self, news: list[int]) -> bool:
        """Return whether what was recorded then has been seen, and is noted."""
        seen = zip(self._seen, news, strict=True)
        return bool(self._seen) and all(a >= b for a, b in seen) and not self.turns

    def look(self, history: History) -> bool:
        """Take in what was recorded; return whether there is something to do."""
        if self._ranks is None:
            return False
        # Leases are renewed all the time; what matters here changes seldom.
        news, now_s = self.news(history), time.monotonic()
        if news != self._seen:
            self._members = self._subject.members(self._view(history))
            turn = self._ranks.look(self._members, now_s)
            if turn is not None:
                self.turns.append(turn)
            self._seen = news
        return bool(self.turns) or self._ranks.due(now_s, self._timeout_s)

    def _view(self, history: History) -> View:
        """Return the workload's own objects: of 10,000 pods few have changed."""
        changes = self._pods.look(history)
        for uid, found in changes.changed.items():
            if self._subject.selector.matches(found):
                self._own[uid] = found
        for uid in changes.gone:
            self._own.pop(uid, None)
        view = latest_view(history, set(self._kinds) - {"Pod"})
        view.objects["Pod"] = self._own
        return view

    def to_end(self) -> list[PodInfo] | None:
        """Return the pods to end now; None when none are due."""
        if self._ranks is None or self._members is None:
            return None
        if not self._ranks.due(time.monotonic(), self._timeout_s):
            return None
        return self._ranks.to_end(self._members)

    def ended(self) -> None:
        """Take note that they have ended."""
        if self._ranks is not None:
            self._ranks.ended()
