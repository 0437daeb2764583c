"""What the history keeps of a workload, so that a stored run can be judged again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_knav.workloads.model import Gang


if TYPE_CHECKING:
    from pytest_knav.workloads.handle import Handle


def promise_of(handle: Handle) -> dict[str, Any]:
    """Return which pods a workload has, how many it needs, and what binds them."""
    workload, subject = handle.workload, handle.subject
    gang = isinstance(workload, Gang)
    return {
        "namespace": subject.selector.namespace,
        "labels": dict(subject.selector.labels),
        "expected": subject.expected,
        "owner_kind": subject.owner_kind or "",
        "owner_name": subject.owner_name,
        "gang": gang,
        "topology_key": getattr(workload, "topology_key", None) or "",
    }
