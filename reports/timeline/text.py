"""A run as plain text: what happened when, in seconds since the test began."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.history.record import COLLECTIVE, FAULT, GAP, HEARTBEAT, STEP


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from pytest_knav.history import History, Record
    from pytest_knav.reports.record import TestRecord

LINES_MAX = 2_000
_SHOWN = frozenset({"Pod", "Node", "Job", COLLECTIVE, FAULT, GAP, HEARTBEAT, STEP})


def render(history: History, record: TestRecord) -> str:
    """Return the timeline of one test."""
    head = [
        f"test      {record.test}",
        (
            f"cluster   {record.nodes} nodes of {record.topology}, "
            f"time profile {record.time_profile}, ready after {record.cluster_s:.1f}s"
        ),
        f"seed      {record.seed}",
        f"again     {record.replay}",
        "",
        "seconds   revision  what",
    ]
    lines = list(_lines(history))
    if len(lines) > LINES_MAX:
        left_out = len(lines) - LINES_MAX
        lines = [*lines[:LINES_MAX], f"… and {left_out} more lines; see history/"]
    return "\n".join([*head, *lines, ""])


def _lines(history: History) -> Iterator[str]:
    begin_s: float | None = None
    before: dict[str, str] = {}
    since = history.truncated_before
    for record, after in history.replay(since, _SHOWN):
        if begin_s is None and record.kind == STEP and record.verb == "BEGIN":
            begin_s = record.monotonic
        text = _text(record, after, before)
        if text and begin_s is not None:
            at = record.monotonic - begin_s
            yield f"{at:8.2f}  {record.revision:8d}  {text}"


def _text(
    record: Record, after: Mapping[str, Any] | None, before: dict[str, str]
) -> str:
    if record.own:
        return _own(record)
    state = "deleted" if after is None else _state(record.kind, after)
    if before.get(record.uid) == state or not state:
        return ""
    before[record.uid] = state
    return f"{record.kind.lower():8s} {record.name}: {state}"


def _own(record: Record) -> str:
    data = record.data or {}
    if record.kind == FAULT:
        fault = data.get("fault")
        if fault and record.verb == "INJECTING":
            names = ", ".join(data.get("targets", ())[:8])
            return f"FAULT    {fault['fault']}({fault['target']}) on {names}"
        detail = data.get("evidence", "")
        return f"FAULT    {record.verb.lower()} {detail}".rstrip()
    if record.kind == GAP:
        return f"GAP      {record.verb.lower()} {record.name}: {data.get('reason', '')}"
    if record.kind == HEARTBEAT:
        return f"LAG      the recorder was {data.get('lag_s')}s late"
    if record.kind == COLLECTIVE:
        return f"RANKS    {record.name} {_ranks(record.verb, data)}"
    last_log = data.get("last_log")
    more = f": {last_log}" if last_log else ""
    return f"STEP     {record.verb.lower()} {record.name}{more}"


def _ranks(verb: str, data: Mapping[str, Any]) -> str:
    if verb == "BROKEN":
        unable = ", ".join(data["unable"][:4])
        lost = f"{data['missing']} of {data['members']} lost"
        return f"{lost} ({unable or 'gone'}), {len(data['stuck'])} wait"
    if verb == "ENDED":
        return f"{len(data['pods'])} ended after the time-out"
    return "all take part" if verb == "WHOLE" else verb.lower()


def _state(kind: str, after: Mapping[str, Any]) -> str:
    status = after.get("status", {})
    conditions = {c["type"]: c["status"] for c in status.get("conditions", ())}
    if kind == "Pod":
        where = after.get("spec", {}).get("nodeName", "")
        phase = status.get("phase", "Pending")
        if "deletionTimestamp" in after["metadata"]:
            phase = "Terminating"
        elif phase == "Running" and conditions.get("Ready") != "True":
            phase = "Running, not ready"
        return f"{phase} on {where}" if where else phase
    if kind == "Node":
        taints = [t["key"].rpartition("/")[2] for t in after["spec"].get("taints", ())]
        text = f"Ready={conditions.get('Ready', 'Unknown')}"
        return text + (f", taints {', '.join(sorted(set(taints)))}" if taints else "")
    ended = [c for c in ("Complete", "Failed") if conditions.get(c) == "True"]
    return ended[0] if ended else f"{status.get('active', 0)} active"
