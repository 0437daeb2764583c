"""
Faults: what breaks in a GPU cluster, as its control plane and schedulers see it.

Each fault is a frozen value that says what it changes, what real failure it stands for,
and what it does not certify. `chaos.inject` makes, observes and undoes it.
"""

from __future__ import annotations


if __name__ != "pytest_knav.faults":
    raise ImportError(
        f"this package is pytest_knav.faults, not {__name__}: "
        "write `import pytest_knav.faults`, and run pytest from the project's root"
    )

from pytest_knav.faults.base import Fault, FaultCard, Signal, World
from pytest_knav.faults.control_plane import (
    CertificateExpired,
    ComponentKill,
    ComponentPause,
    ComponentReplaced,
    ComponentRestart,
    CrashLoop,
    EtcdOutOfSpace,
    LeaderLost,
    PreemptingWork,
    PriorityChanged,
    QuotaChanged,
    SlowEtcd,
    WatchCacheExpired,
    WebhookCertificateExpired,
    WebhookDown,
)
from pytest_knav.faults.gpu import (
    Action,
    GpuEccError,
    GpuLost,
    GpuRowRemap,
    GpuThrottle,
    GpuXid,
)
from pytest_knav.faults.link import (
    DegradedBandwidth,
    LinkFlapping,
    NicDown,
    NvlinkDown,
    SwitchDown,
)
from pytest_knav.faults.network import (
    ApiErrors,
    Bandwidth,
    BlackHole,
    ConnectionReset,
    Latency,
    StaleWatch,
)
from pytest_knav.faults.node import (
    NodeCordon,
    NodeCrash,
    NodeDeletion,
    NodeDrain,
    NodeFlapping,
    NodeNotReady,
    NodePressure,
    NodeReboot,
    SlowHeartbeats,
)
from pytest_knav.faults.pod import (
    BadJobs,
    ContainerExit,
    HangBeforeReady,
    ImagePullFailure,
    InitFailure,
    LemonNode,
    OutOfMemoryKill,
    StuckTerminating,
)
from pytest_knav.faults.power import PlaceLoss, PowerLoss


__all__ = [
    "Action",
    "ApiErrors",
    "BadJobs",
    "Bandwidth",
    "BlackHole",
    "CertificateExpired",
    "ComponentKill",
    "ComponentPause",
    "ComponentReplaced",
    "ComponentRestart",
    "ConnectionReset",
    "ContainerExit",
    "CrashLoop",
    "DegradedBandwidth",
    "EtcdOutOfSpace",
    "Fault",
    "FaultCard",
    "GpuEccError",
    "GpuLost",
    "GpuRowRemap",
    "GpuThrottle",
    "GpuXid",
    "HangBeforeReady",
    "ImagePullFailure",
    "InitFailure",
    "Latency",
    "LeaderLost",
    "LemonNode",
    "LinkFlapping",
    "NicDown",
    "NodeCordon",
    "NodeCrash",
    "NodeDeletion",
    "NodeDrain",
    "NodeFlapping",
    "NodeNotReady",
    "NodePressure",
    "NodeReboot",
    "NvlinkDown",
    "OutOfMemoryKill",
    "PlaceLoss",
    "PowerLoss",
    "PreemptingWork",
    "PriorityChanged",
    "QuotaChanged",
    "Signal",
    "SlowEtcd",
    "SlowHeartbeats",
    "StaleWatch",
    "StuckTerminating",
    "SwitchDown",
    "WatchCacheExpired",
    "WebhookCertificateExpired",
    "WebhookDown",
    "World",
]
