"""
The few series of kube-state-metrics that checks need, made from the history.

Names, labels and values are those of kube-state-metrics 2 (internal/store/pod.go,
node.go, job.go; docs/metrics). Each state of a condition is a series of its own whose
value is 1 or 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_knav.metrics.current import Current
from pytest_knav.metrics.text import Family, labels, page


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_knav.history import History

_PHASES: Final = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
_STATUSES: Final = ("true", "false", "unknown")
# Of job.go, jobFailureReasons.
_REASONS: Final = ("BackoffLimitExceeded", "DeadlineExceeded", "Evicted")

POD: Final = (
    Family("kube_pod_info", "gauge", "Information about pod."),
    Family("kube_pod_status_phase", "gauge", "The pods current phase."),
    Family(
        "kube_pod_status_ready",
        "gauge",
        "Describes whether the pod is ready to serve requests.",
    ),
    Family(
        "kube_pod_status_scheduled",
        "gauge",
        "Describes the status of the scheduling process for the pod.",
    ),
)
NODE: Final = (
    Family("kube_node_status_condition", "gauge", "The condition of a cluster node."),
    Family(
        "kube_node_spec_unschedulable",
        "gauge",
        "Whether a node can schedule new pods.",
    ),
    Family("kube_node_spec_taint", "gauge", "The taint of a cluster node."),
)
JOB: Final = (
    Family("kube_job_status_active", "gauge", "The number of actively running pods."),
    Family(
        "kube_job_status_succeeded",
        "gauge",
        "The number of pods which reached Phase Succeeded.",
    ),
    Family(
        "kube_job_status_failed",
        "gauge",
        "The number of pods which reached Phase Failed and the reason for failure.",
    ),
    Family("kube_job_complete", "gauge", "The job has completed its execution."),
    Family("kube_job_failed", "gauge", "The job has failed its execution."),
)


class KubeSeries:
    """Writes the page; the lines of an object are made once for each state of it."""

    def __init__(self) -> None:
        self._kinds = (
            _Kind("Pod", POD, _pod),
            _Kind("Node", NODE, _node),
            _Kind("Job", JOB, _job),
        )

    def text(self, history: History) -> str:
        """Return all series as they are now."""
        return "".join(kind.text(history) for kind in self._kinds)


class _Kind:
    """The lines of the objects of one kind."""

    def __init__(
        self,
        kind: str,
        families: tuple[Family, ...],
        lines: Callable[[Mapping[str, Any]], tuple[str, ...]],
    ) -> None:
        self._current = Current(kind)
        self._families = families
        self._lines = lines
        self._parts: dict[str, tuple[str, ...]] = {}

    def text(self, history: History) -> str:
        changes = self._current.look(history)
        for uid, found in changes.changed.items():
            self._parts[uid] = self._lines(found)
        for uid in changes.gone:
            self._parts.pop(uid, None)
        return page(self._families, self._parts.values())


def _pod(pod: Mapping[str, Any]) -> tuple[str, ...]:
    meta, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    own = labels(
        ("namespace", meta["namespace"]), ("pod", meta["name"]), ("uid", meta["uid"])
    )
    owners = [o for o in meta.get("ownerReferences", ()) if o.get("controller")]
    owner = owners[0] if owners else {}
    info = labels(
        ("node", spec.get("nodeName", "")),
        ("created_by_kind", owner.get("kind", "")),
        ("created_by_name", owner.get("name", "")),
        ("priority_class", spec.get("priorityClassName", "")),
    )
    conditions = {c["type"]: c["status"] for c in status.get("conditions", ())}
    phase = status.get("phase", "Unknown")
    return (
        f"kube_pod_info{{{own},{info}}} 1\n",
        "".join(
            f'kube_pod_status_phase{{{own},phase="{name}"}} {int(name == phase)}\n'
            for name in _PHASES
        ),
        _states("kube_pod_status_ready", own, conditions.get("Ready")),
        _states("kube_pod_status_scheduled", own, conditions.get("PodScheduled")),
    )


def _node(node: Mapping[str, Any]) -> tuple[str, ...]:
    spec, status = node.get("spec", {}), node.get("status", {})
    own = labels(("node", node["metadata"]["name"]))
    conditions = "".join(
        f'kube_node_status_condition{{{own},condition="{found["type"]}",'
        f'status="{name}"}} {int(found["status"].lower() == name)}\n'
        for found in status.get("conditions", ())
        for name in _STATUSES
    )
    taints = "".join(
        f"kube_node_spec_taint{{{own},{labels(*_taint(taint))}}} 1\n"
        for taint in spec.get("taints", ())
    )
    cordoned = int(bool(spec.get("unschedulable")))
    return (conditions, f"kube_node_spec_unschedulable{{{own}}} {cordoned}\n", taints)


def _taint(taint: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((part, taint.get(part, "")) for part in ("key", "value", "effect"))


def _job(job: Mapping[str, Any]) -> tuple[str, ...]:
    meta, status = job["metadata"], job.get("status", {})
    own = labels(("namespace", meta["namespace"]), ("job_name", meta["name"]))
    conditions = {c["type"]: c for c in status.get("conditions", ())}
    return (
        f"kube_job_status_active{{{own}}} {status.get('active', 0)}\n",
        f"kube_job_status_succeeded{{{own}}} {status.get('succeeded', 0)}\n",
        _failures(own, status.get("failed", 0), conditions.get("Failed")),
        _states("kube_job_complete", own, _status(conditions.get("Complete"))),
        _states("kube_job_failed", own, _status(conditions.get("Failed"))),
    )


def _failures(own: str, count: int, failed: Mapping[str, str] | None) -> str:
    name = "kube_job_status_failed"
    if not count:
        return f"{name}{{{own}}} 0\n"
    reason = None if failed is None else failed.get("reason")
    lines = ""
    if failed is not None:
        lines = "".join(
            f'{name}{{{own},reason="{known}"}} {int(known == reason)}\n'
            for known in _REASONS
        )
    if reason not in _REASONS:
        lines += f'{name}{{{own},reason=""}} {count}\n'
    return lines


def _status(condition: Mapping[str, str] | None) -> str | None:
    return None if condition is None else condition["status"]


def _states(name: str, own: str, status: str | None) -> str:
    if status is None:
        return ""
    found = status.lower()
    return "".join(
        f'{name}{{{own},condition="{state}"}} {int(found == state)}\n'
        for state in _STATUSES
    )
