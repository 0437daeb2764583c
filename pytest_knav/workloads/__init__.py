"""What the scheduler must keep running: Pod, Job, Deployment, Gang, any manifest."""

from __future__ import annotations

from pytest_knav.workloads.model import Deployment, Gang, Job, Manifest, Pod, Workload


__all__ = ["Deployment", "Gang", "Job", "Manifest", "Pod", "Workload"]
