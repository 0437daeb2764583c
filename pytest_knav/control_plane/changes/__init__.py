"""Single changes of a cluster as data, so that a journal can keep and replay them."""

from __future__ import annotations

from pytest_knav.control_plane.changes.base import (
    KWOK,
    Change,
    apply,
    change_from_data,
    undo,
)
from pytest_knav.control_plane.changes.etcd import CacheExpired, NoSpace, Stalls
from pytest_knav.control_plane.changes.findings import Findings
from pytest_knav.control_plane.changes.gpu import GpuMetrics
from pytest_knav.control_plane.changes.leader import LeaseFreed, LeaseTaken
from pytest_knav.control_plane.changes.network import (
    NoRequestRule,
    NoToxics,
    RequestRule,
    Toxics,
)
from pytest_knav.control_plane.changes.nic import NicMetrics
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
from pytest_knav.control_plane.changes.replace import Replace
from pytest_knav.control_plane.changes.report import Report
from pytest_knav.control_plane.changes.setup import Expiry, Setup
from pytest_knav.control_plane.changes.slices import Withdraw
from pytest_knav.control_plane.changes.webhook import Refusing


__all__ = [
    "KWOK",
    "START",
    "CacheExpired",
    "Change",
    "ContainersEnd",
    "Create",
    "Delete",
    "Edit",
    "Evict",
    "Expiry",
    "Findings",
    "GpuMetrics",
    "Hold",
    "LeaseFreed",
    "LeaseTaken",
    "NicMetrics",
    "NoRequestRule",
    "NoSpace",
    "NoToxics",
    "ObjectRef",
    "Patch",
    "Process",
    "Refusing",
    "Release",
    "Replace",
    "Report",
    "RequestRule",
    "Setup",
    "Stalls",
    "Toxics",
    "Withdraw",
    "apply",
    "change_from_data",
    "label_node",
    "node",
    "pod",
    "undo",
]
