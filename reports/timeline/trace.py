"""
A timeline as trace events: what Perfetto and `chrome://tracing` open.

The format is described in "Trace Event Format" by Duffin and Nelson (Google, 2016),
which the Perfetto UI reads as JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.reports.timeline.model import NOBODY, POD_STATES, node_state


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_knav.reports.timeline.model import Timeline

_RUN, _NODES, _GPUS, _WORKLOADS = 1, 2, 3, 4
_ROOMS: Final = {_RUN: "run", _NODES: "nodes", _GPUS: "GPUs", _WORKLOADS: "workloads"}


def trace(timeline: Timeline) -> str:
    """Return the timeline as JSON of trace events, one on a line."""
    lines = ",\n".join(
        json.dumps(event, separators=(",", ":")) for event in _events(timeline)
    )
    facts = json.dumps({"test": timeline.title, **dict(timeline.facts)})
    head = f'"displayTimeUnit":"ms","otherData":{facts}'
    return f'{{{head},"traceEvents":[\n{lines}\n]}}\n'


def _events(timeline: Timeline) -> Iterator[dict[str, Any]]:
    for room, name in _ROOMS.items():
        yield _named("process_name", room, 0, name)
    yield from _lanes(_NODES, timeline.nodes)
    yield from _lanes(_GPUS, timeline.gpus)
    yield from _run(timeline)
    for node, start, end, state in timeline.node_spans.rows():
        yield _span(_NODES, node + 1, start, end, node_state(state))
    for gpu, start, end, workload, pod in timeline.gpu_spans.rows():
        name = timeline.workloads[workload]
        args = {"pod": timeline.pods[pod]}
        yield _span(_GPUS, gpu + 1, start, end, name, args=args)
    yield from _pods(timeline)


def _run(timeline: Timeline) -> Iterator[dict[str, Any]]:
    # Faults overlap, and spans of one thread must not: each has its own.
    for number, fault in enumerate(timeline.faults, start=1):
        end = timeline.length if fault.end is None else fault.end
        yield _named("thread_name", _RUN, number, "faults")
        args = {"targets": fault.targets[:100]}
        yield _span(_RUN, number, fault.start, end, fault.name, args=args)
    for moment in timeline.moments:
        yield {
            "ph": "i", "s": "g" if moment.bad else "p", "pid": _RUN, "tid": 0,
            "ts": moment.at * 1000, "name": moment.text, "cat": moment.kind,
        }  # fmt: skip
    for name, points in timeline.sums.items():
        for at, value in points.rows():
            yield {
                "ph": "C", "pid": _RUN, "ts": at * 1000, "name": name,
                "args": {"count": value},
            }  # fmt: skip


def _pods(timeline: Timeline) -> Iterator[dict[str, Any]]:
    threads: dict[tuple[int, int], int] = {}
    for workload, member, start, end, state, pod, node in timeline.pod_spans.rows():
        thread = threads.setdefault((workload, member), len(threads) + 1)
        if thread == len(threads):
            name = f"{timeline.workloads[workload]} {member}"
            yield _named("thread_name", _WORKLOADS, thread, name)
        where = "" if node == NOBODY else timeline.nodes[node]
        args = {"pod": timeline.pods[pod], "node": where}
        yield _span(_WORKLOADS, thread, start, end, POD_STATES[state], args=args)


def _lanes(room: int, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for number, name in enumerate(names, start=1):
        yield _named("thread_name", room, number, name)


def _named(what: str, room: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": room, "tid": thread, "name": what, "args": {"name": name}}


def _span(  # noqa: PLR0913 - the fields of one event
    room: int,
    thread: int,
    start: int,
    end: int,
    name: str,
    *,
    args: dict[str, Any] | None = None,
) -> dict[str, Any]:
    event: dict[str, Any] = {
        "ph": "X", "pid": room, "tid": thread, "ts": start * 1000,
        "dur": (end - start) * 1000, "name": name,
    }  # fmt: skip
    if args:
        event["args"] = args
    return event
