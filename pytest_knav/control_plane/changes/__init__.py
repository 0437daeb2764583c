"""Single changes of a cluster as data, so that a journal can keep and replay them."""

from __future__ import annotations

from pytest_knav.control_plane.changes.base import (
    Change,
    apply,
    change_from_data,
    undo,
)
from pytest_knav.control_plane.changes.gpu import GpuMetrics
from pytest_knav.control_plane.changes.objects import (
    Create,
    Delete,
    Edit,
    Evict,
    ObjectRef,
    Patch,
    label_node,
    node,
    pod,
)
from pytest_knav.control_plane.changes.pods import START, ContainersEnd, Hold, Release
from pytest_knav.control_plane.changes.process import Process


__all__ = [
    "START",
    "Change",
    "ContainersEnd",
    "Create",
    "Delete",
    "Edit",
    "Evict",
    "GpuMetrics",
    "Hold",
    "ObjectRef",
    "Patch",
    "Process",
    "Release",
    "apply",
    "change_from_data",
    "label_node",
    "node",
    "pod",
    "undo",
]
