"""
What keeps running: a success now and then of pods that are not made to end.

A service or a long job on a healthy node would else say nothing, so that nobody could
tell a node on which containers fail and are restarted from a queue that does so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.exclusion.estimators import Sample


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: What a kubelet takes for a container that has got over its failures
#: (Kubernetes documentation, pod lifecycle: "if a container executes for 10 minutes").
SETTLED_S: Final = 600.0
FOLLOWED_MAX: Final = 100_000
# How exactly a span is kept.
_LOOKS: Final = 20


@dataclass(slots=True, kw_only=True)
class _Stay:
    node: str
    queue: str
    restarts: int
    since_s: float


@dataclass(slots=True)
class Lasting:
    """
    Follows pods that may restart, and says which of them have run for a while.

    Args:
        settled_s: For how long without a restart; each further one counts again.

    """

    settled_s: float = SETTLED_S
    _stays: dict[str, _Stay] = field(default_factory=dict)
    _look_s: float = 0.0

    def see(self, pod: Mapping[str, Any], queue: str, now_s: float) -> None:
        """Take note of a pod as it is."""
        uid, node = pod["metadata"]["uid"], pod.get("spec", {}).get("nodeName", "")
        if not _runs(pod):
            self.gone(uid)
            return
        statuses = pod["status"].get("containerStatuses") or ()
        restarts = sum(c.get("restartCount", 0) for c in statuses)
        stay = self._stays.get(uid)
        if stay is None and len(self._stays) >= FOLLOWED_MAX:
            return
        if stay is None or restarts != stay.restarts:
            self._stays[uid] = _Stay(
                node=node, queue=queue, restarts=restarts, since_s=now_s
            )

    def gone(self, uid: str) -> None:
        """Forget a pod that is no longer there, or no longer runs."""
        self._stays.pop(uid, None)

    def keep(self, uids: Collection[str]) -> None:
        """Forget all pods but these."""
        for uid in self._stays.keys() - set(uids):
            del self._stays[uid]

    def samples(self, now_s: float) -> list[Sample]:
        """Return a success of each pod whose span is over; it begins anew."""
        if now_s < self._look_s:
            return []
        self._look_s = now_s + self.settled_s / _LOOKS
        found = []
        for stay in self._stays.values():
            if now_s - stay.since_s >= self.settled_s:
                stay.since_s = now_s
                found.append(
                    Sample(node=stay.node, queue=stay.queue, success=True, at_s=now_s)
                )
        return found


def _runs(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod works: of a node that died it still says Running."""
    status = pod.get("status", {})
    return (
        status.get("phase") == "Running"
        and "deletionTimestamp" not in pod["metadata"]
        and any(
            c.get("type") == "Ready" and c.get("status") == "True"
            for c in status.get("conditions") or ()
        )
    )
