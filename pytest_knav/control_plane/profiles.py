"""
Time profiles: how fast the control plane notices a failure, as one declared table.

`real` holds the defaults of Kubernetes 1.36. `fast` compresses what flags can reach, so
that a test does not wait six minutes for an eviction. Every report shows both, together
with the constants that no flag reaches.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_knav.errors import BadInput


# What no flag of Kubernetes 1.36 changes (pkg/controller/podgc/gc_controller.go,
# pkg/controller/job/backoff_utils.go, scheduler framework runtime).
FIXED_CONSTANTS: dict[str, str] = {
    "pod GC period": "20s",
    "pod GC quarantine of orphans": "40s",
    "Job back-off per failed pod": "10s, doubling",
    "scheduler permit timeout of gangs": "5m",
}
# metrics-server refuses less (0.9, cmd/metrics-server/app/options/options.go).
_METRICS_RESOLUTION_MIN_S = 10

# KWOK renews a lease after a quarter of its duration (kwok 0.8,
# pkg/kwok/controllers/node_lease_controller.go); a kubelet does the same
# (pkg/kubelet/kubelet.go, nodeLeaseRenewIntervalFraction = 0.25).
RENEW_FRACTION = 0.25

# PyTorch, torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp:
# kProcessGroupNCCLDefaultTimeout is 10 minutes.
_COLLECTIVE_TIMEOUTS_S = {"real": 600.0, "fast": 10.0}

# How long after a GPU failed its health agent says so. Meta's health checks of GPU
# nodes run every five minutes (Kokolis et al. 2024, arXiv 2410.21680, section II).
_AGENT_DETECTIONS_S = {"real": 300.0, "fast": 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeProfile:
    """
    The settings that decide how long detection and eviction take; all in seconds.

    Sources of the `real` values: kube-controller-manager and kube-apiserver flag
    defaults of 1.36, kubelet's 40 s lease, the resolution in metrics-server's own
    manifests.
    """

    name: str
    lease_s: float
    monitor_period_s: float
    monitor_grace_s: float
    toleration_s: int
    eviction_rate_per_s: float
    secondary_eviction_rate_per_s: float
    autoscaler_sync_s: float
    autoscaler_downscale_s: float
    metrics_resolution_s: float

    @property
    def renew_interval_s(self) -> float:
        """Return the seconds between two renewals of a node's lease."""
        return self.lease_s * RENEW_FRACTION

    @property
    def detection_s(self) -> float:
        """Return the longest time from the last renewal to Ready=Unknown."""
        return self.renew_interval_s + self.monitor_grace_s + self.monitor_period_s

    @property
    def eviction_s(self) -> float:
        """Return the longest time from the last renewal to the eviction of a pod."""
        return self.detection_s + self.toleration_s

    @property
    def collective_timeout_s(self) -> float:
        """Return after how long ranks notice by default that one is lost."""
        return _COLLECTIVE_TIMEOUTS_S.get(self.name, _COLLECTIVE_TIMEOUTS_S["real"])

    @property
    def agent_detection_s(self) -> float:
        """Return how long after a GPU failed its health agent says so by default."""
        return _AGENT_DETECTIONS_S.get(self.name, _AGENT_DETECTIONS_S["real"])

    def table(self) -> list[tuple[str, str, str]]:
        """Return rows of (setting, value in the `real` profile, value here)."""
        real = real_profile()
        rows = [
            ("node lease duration", f"{real.lease_s:g}s", f"{self.lease_s:g}s"),
            (
                "node monitor period",
                f"{real.monitor_period_s:g}s",
                f"{self.monitor_period_s:g}s",
            ),
            (
                "node monitor grace period",
                f"{real.monitor_grace_s:g}s",
                f"{self.monitor_grace_s:g}s",
            ),
            (
                "not-ready and unreachable toleration",
                f"{real.toleration_s}s",
                f"{self.toleration_s}s",
            ),
            (
                "node eviction rate",
                f"{real.eviction_rate_per_s:g}/s",
                f"{self.eviction_rate_per_s:g}/s",
            ),
            (
                "secondary node eviction rate",
                f"{real.secondary_eviction_rate_per_s:g}/s",
                f"{self.secondary_eviction_rate_per_s:g}/s",
            ),
            (
                "HorizontalPodAutoscaler sync period",
                f"{real.autoscaler_sync_s:g}s",
                f"{self.autoscaler_sync_s:g}s",
            ),
            (
                "HorizontalPodAutoscaler downscale stabilization",
                f"{real.autoscaler_downscale_s:g}s",
                f"{self.autoscaler_downscale_s:g}s",
            ),
            (
                "metrics-server resolution",
                f"{real.metrics_resolution_s:g}s",
                f"{self.metrics_resolution_s:g}s",
            ),
            (
                "detection by a GPU health agent",
                f"{real.agent_detection_s:g}s",
                f"{self.agent_detection_s:g}s",
            ),
            (
                "time-out of a collective",
                f"{real.collective_timeout_s:g}s",
                f"{self.collective_timeout_s:g}s",
            ),
        ]
        return rows + [(name, value, value) for name, value in FIXED_CONSTANTS.items()]


PROFILE_NAMES = ("fast", "real")


def real_profile() -> TimeProfile:
    """Return the defaults of Kubernetes 1.36."""
    return TimeProfile(
        name="real",
        lease_s=40,
        monitor_period_s=5,
        monitor_grace_s=50,
        toleration_s=300,
        eviction_rate_per_s=0.1,
        secondary_eviction_rate_per_s=0.01,
        autoscaler_sync_s=15,
        autoscaler_downscale_s=300,
        metrics_resolution_s=15,
    )


def fast_profile(nodes: int) -> TimeProfile:
    """
    Return the compressed profile for a number of nodes.

    A renewal costs the control plane a write; 1,000 nodes at 8 s are 468 writes a
    second and 1.6 of 2 cores (measured), so the lease grows with the cluster to keep
    it at 100 renewals a second. Real clusters have grace = 1.25 x lease (50 s and
    40 s); so has this one. Lease durations are whole seconds.
    """
    lease_s = float(max(8, -(-nodes * 4 // 100)))
    return TimeProfile(
        name="fast",
        lease_s=lease_s,
        monitor_period_s=1,
        monitor_grace_s=lease_s * 1.25,
        toleration_s=5,
        eviction_rate_per_s=100,
        secondary_eviction_rate_per_s=10,
        autoscaler_sync_s=1,
        autoscaler_downscale_s=30,
        metrics_resolution_s=_METRICS_RESOLUTION_MIN_S,
    )


def profile_named(name: str, *, nodes: int) -> TimeProfile:
    """
    Return a profile by name.

    Raises:
        BadInput: There is no profile of that name.

    """
    if name == "real":
        return real_profile()
    if name == "fast":
        return fast_profile(nodes)
    raise BadInput(
        f"time profile {name!r} is unknown: use one of {', '.join(PROFILE_NAMES)}"
    )
