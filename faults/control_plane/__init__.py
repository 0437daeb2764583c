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
from pytest_knav.faults.control_plane.preempting import PreemptingWork
from pytest_knav.faults.control_plane.replaced import ComponentReplaced
from pytest_knav.faults.control_plane.webhook import (
    WebhookCertificateExpired,
    WebhookDown,
)


__all__ = [
    "CertificateExpired",
    "ComponentKill",
    "ComponentPause",
    "ComponentReplaced",
    "ComponentRestart",
    "CrashLoop",
    "EtcdOutOfSpace",
    "LeaderLost",
    "PreemptingWork",
    "PriorityChanged",
    "QuotaChanged",
    "SlowEtcd",
    "WatchCacheExpired",
    "WebhookCertificateExpired",
    "WebhookDown",
]
