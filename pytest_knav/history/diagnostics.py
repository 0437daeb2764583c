"""Reading Kubernetes Events for the message of a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pytest_knav.history.merge import JsonObject


def events_about(
    events: Iterable[JsonObject], names: Collection[str], limit: int
) -> list[JsonObject]:
    """Return the `limit` newest Events about objects of these names, oldest first."""
    about = [event for event in events if _regards(event) in names]
    about.sort(key=_moment)
    return about[len(about) - min(limit, len(about)) :]


def _regards(event: JsonObject) -> str:
    # core/v1 says involvedObject, events.k8s.io/v1 says regarding.
    regarding = event.get("involvedObject") or event.get("regarding") or {}
    return str(regarding.get("name", ""))


def _moment(event: JsonObject) -> tuple[str, int]:
    metadata = event.get("metadata", {})
    series = event.get("series") or {}
    times = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("deprecatedLastTimestamp"),
        event.get("eventTime"),
        metadata.get("creationTimestamp"),
    )
    # All are RFC 3339 in UTC; cut to the second, because only some have a fraction and
    # "…05Z" would sort after "…05.9Z". The revision decides within a second.
    newest = max((str(time)[:19] for time in times if time), default="")
    return newest, int(metadata.get("resourceVersion", 0))
