"""Which setting of which component explains the length of each phase of a recovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.history.record import STEP


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_knav.history import History


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """
    One phase, and what it waits for.

    Attributes:
        phase: Its name.
        seconds: How long it took; None: it was not reached.
        component: Who waits.
        setting: By which setting, with its value in this run.
        up_to_s: How long that setting alone may take; None: no bound is known.

    """

    phase: str
    seconds: float | None
    component: str
    setting: str
    up_to_s: float | None

    def __str__(self) -> str:
        took = "not reached" if self.seconds is None else f"{self.seconds:.1f}s"
        bound = "" if self.up_to_s is None else f", up to {self.up_to_s:g}s"
        return f"{self.phase} {took}: {self.component}, {self.setting}{bound}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cause:
    component: str
    setting: Callable[[Mapping[str, Any]], str]
    up_to_s: Callable[[Mapping[str, Any]], float | None] = lambda _profile: None


_KCM: Final = "kube-controller-manager"
# Sources, all of Kubernetes 1.36: pkg/controller/nodelifecycle (grace period, rates),
# plugin/pkg/admission/defaulttolerationseconds, pkg/controller/job/backoff_utils.go,
# podgc/gc_controller.go beside it, pkg/scheduler/backend/queue (back-off) and
# pkg/scheduler/framework/plugins/gangscheduling (permit timeout).
_CAUSES: Final[dict[str, _Cause]] = {
    "detect": _Cause(
        component=_KCM,
        setting=lambda p: (
            f"--node-monitor-grace-period={p['monitor_grace_s']:g}s after the last "
            f"renewal of a lease of {p['lease_s']:g}s"
        ),
        up_to_s=lambda p: float(p["detection_s"]),
    ),
    "taint": _Cause(
        component=_KCM,
        setting=lambda p: (
            f"--node-eviction-rate={p['eviction_rate_per_s']:g} nodes/s a zone; where "
            "55 % of a zone are down "
            f"--secondary-node-eviction-rate={p['secondary_eviction_rate_per_s']:g}, "
            "and none in a zone of up to 50 nodes"
        ),
    ),
    "evict": _Cause(
        component=_KCM,
        setting=lambda p: (
            f"tolerationSeconds={p['toleration_s']} of the pod for unreachable nodes "
            "(kube-apiserver --default-unreachable-toleration-seconds)"
        ),
        up_to_s=lambda p: float(p["toleration_s"]),
    ),
    "recreate": _Cause(
        component=_KCM,
        setting=lambda _: (
            "back-off of a Job's failed pod, 10s and twice as long each time; with a "
            "podFailurePolicy the old pod must end first, which on a lost node needs "
            "pod GC (every 20s, 40s quarantine)"
        ),
    ),
    "queue": _Cause(
        component="kube-scheduler",
        setting=lambda _: "no node fits yet; then podMaxBackoffSeconds=10",
    ),
    "bind": _Cause(
        component="kube-scheduler",
        setting=lambda _: "a gang waits for its last member, permit timeout 5m",
        up_to_s=lambda _: 300.0,
    ),
    "start": _Cause(
        component="kubelet",
        setting=lambda _: "played by KWOK: images are not pulled",
    ),
}


def explain(
    phases: Mapping[str, float], profile: Mapping[str, Any], *, ended: bool
) -> tuple[Explanation, ...]:
    """
    Return each phase that was seen, and the one that was waited for in vain.

    Args:
        phases: The seconds of each phase that was reached.
        profile: The time profile of the run, by the names of its fields.
        ended: Whether the last phase was reached, so that none is missing.

    """
    found = [
        _explained(phase, phases[phase], profile)
        for phase in _CAUSES
        if phase in phases and profile
    ]
    if not ended and profile:
        names = list(_CAUSES)
        last = max((names.index(phase) for phase in phases), default=-1)
        found += [_explained(name, None, profile) for name in names[last + 1 :][:1]]
    return tuple(found)


def profile_of(history: History) -> dict[str, Any]:
    """Return the time profile that a history was recorded with; empty: not known."""
    for record in history.records(STEP):
        found = (record.data or {}).get("profile") if record.verb == "BEGIN" else None
        if found:
            return dict(found)
    return {}


def _explained(
    phase: str, seconds: float | None, profile: Mapping[str, Any]
) -> Explanation:
    cause = _CAUSES[phase]
    return Explanation(
        phase=phase,
        seconds=seconds,
        component=cause.component,
        setting=cause.setting(profile),
        up_to_s=cause.up_to_s(profile),
    )
