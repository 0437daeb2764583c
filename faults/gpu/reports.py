"""What a GPU health agent says of a GPU: conditions and Events of its node, later."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane.changes import Findings, GpuMetrics, Report, node
from pytest_knav.durations import Duration, seconds
from pytest_knav.faults.gpu.holders import split


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

# The monitor of NVSentinel that reads XIDs from the kernel log.
_AGENT: Final = "syslog-health-monitor"


def metrics(name: str, **values: Any) -> Change:  # noqa: ANN401 - fields of GpuSignal
    """Return the change of a GPU's series."""
    owner, index = split(name)
    return GpuMetrics(node=owner, gpu=index, values=values, signal="metric")


def conditions(targets: Sequence[str], kind: str, message: str) -> list[Change]:
    """
    Return the condition on each node of some GPUs, as a health agent writes it.

    A finding for each GPU: those of other GPUs of the node stand beside it.
    """
    return [
        Findings(
            ref=node(owner),
            check=kind,
            findings=tuple(f"{gpu} {message}" for gpu in gpus),
            signal="condition",
        )
        for owner, gpus in _by_node(targets).items()
    ]


def events(
    world: World, targets: Sequence[str], kind: str, message: str
) -> list[Change]:
    """Return the Event about each node of some GPUs, as a health agent writes it."""
    told: list[Change] = []
    for owner, gpus in _by_node(targets).items():
        found = world.history.get("Node", "", owner) or {"metadata": {"uid": owner}}
        told.append(
            Report(
                ref=node(owner),
                uid=found["metadata"]["uid"],
                component=_AGENT,
                reason=f"{kind}IsNotHealthy",
                message=f"{message} {' '.join(gpus)}",
                signal="event",
            )
        )
    return told


def later(
    world: World, changes: Iterable[Change], detect_after: Duration | None
) -> list[Change]:
    """
    Return the changes as an agent makes them: after its time of detection.

    Args:
        world: The cluster.
        changes: What the agent writes.
        detect_after: Its time; by default that of the time profile.

    """
    after_s = (
        world.profile.agent_detection_s
        if detect_after is None
        else seconds(detect_after, name="detect_after")
    )
    return [replace(change, after_s=after_s) for change in changes]


def _by_node(targets: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in targets:
        owner, index = split(name)
        found.setdefault(owner, []).append(f"GPU:{index}")
    return found
