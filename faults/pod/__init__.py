"""Faults of pods: containers that end, and pods that do not start or do not stop."""

from __future__ import annotations

from pytest_knav.faults.pod.ends import ContainerExit, OutOfMemoryKill
from pytest_knav.faults.pod.lemon import BadJobs, LemonNode
from pytest_knav.faults.pod.starts import (
    HangBeforeReady,
    ImagePullFailure,
    InitFailure,
    StuckTerminating,
)


__all__ = [
    "BadJobs",
    "ContainerExit",
    "HangBeforeReady",
    "ImagePullFailure",
    "InitFailure",
    "LemonNode",
    "OutOfMemoryKill",
    "StuckTerminating",
]
