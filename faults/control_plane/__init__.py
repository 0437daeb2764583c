"""Faults of the control plane: its processes, its store, and changes in flight."""

from pytest_knav.faults.control_plane.certificate import CertificateExpired
from pytest_knav.faults.control_plane.components import (
    ComponentKill,
    ComponentPause,
    ComponentRestart,
    CrashLoop,
)
from pytest_knav.faults.control_plane.etcd import (
    EtcdOutOfSpace,
    SlowEtcd,
    WatchCacheExpired,
)
from pytest_knav.faults.control_plane.leader import LeaderLost
from pytest_knav.faults.control_plane.policies import PriorityChanged, QuotaChanged
from pytest_knav.faults.control_plane.replaced import ComponentReplaced
from pytest_knav.faults.control_plane.webhook import WebhookDown


__all__ = [
    "CertificateExpired",
    "ComponentKill",
    "ComponentPause",
    "ComponentReplaced",
    "ComponentRestart",
    "CrashLoop",
    "EtcdOutOfSpace",
    "LeaderLost",
    "PriorityChanged",
    "QuotaChanged",
    "SlowEtcd",
    "WatchCacheExpired",
    "WebhookDown",
]
