"""Why something that was awaited did not come, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_knav.control_plane.supervision import DIED
from pytest_knav.history.record import STEP


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_knav.control_plane.cluster import Cluster
    from pytest_knav.history import History
    from pytest_knav.history.view import Condition, View

EVENTS_SHOWN = 10
_NODES_SHOWN = 8


def of(
    cluster: Cluster, missing: Iterable[Condition], view: View, timeout_s: float
) -> str:
    """Return what was awaited, for how long, what is, and what happened last."""
    lines = [
        f"not reached within {timeout_s:g}s: {condition.name}: "
        f"{condition.describe(view)}"
        for condition in missing
    ]
    down = [c.name for c in cluster.plane.components.values() if not c.running]
    if down:
        lines.append(f"not running: {', '.join(down)}")
    lines += deaths(cluster.history)
    bad = [f"{n.name} (Ready={n.ready})" for n in cluster.nodes if not n.usable]
    if bad:
        lines.append(f"nodes not usable: {', '.join(bad[:_NODES_SHOWN])}")
    events = last_events(cluster.history)
    return "\n".join([*lines, *events, f"artifacts: {cluster.artifacts}"])


def deaths(history: History) -> list[str]:
    """Return which components died by themselves, how often, with their last words."""
    died: dict[str, list[str]] = {}
    for record in history.records(STEP):
        if record.verb == DIED.upper():
            died.setdefault(record.name, []).append((record.data or {})["last_log"])
    return [
        f"died by itself: {name} ({len(words)}x): {words[-1] or 'its log is empty'}"
        for name, words in sorted(died.items())
    ]


def last_events(history: History) -> list[str]:
    """Return the newest events of the cluster as lines, oldest first."""
    events = sorted(
        history.latest("Event").values(),
        key=lambda e: int(e["metadata"].get("resourceVersion", 0)),
    )
    return [_event_line(event) for event in events[-EVENTS_SHOWN:]]


def _event_line(event: Mapping[str, Any]) -> str:
    about = event.get("involvedObject", {})
    return (
        f"  event {event.get('type', '')} {event.get('reason', '')} "
        f"{about.get('kind', '')}/{about.get('name', '')}: "
        f"{event.get('message', '')}".rstrip()
    )
