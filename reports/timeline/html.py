"""A timeline as one HTML file that needs no network: page, data and scripts."""

from __future__ import annotations

import base64
import gzip
import html as escaping
import json
import sys
from array import array
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.history.collecting import collector_held
from pytest_knav.reports.timeline.model import (
    NODE_STATES,
    POD_STATES,
    Columns,
    node_state,
)
from pytest_knav.reports.timeline.still import still


if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_knav.reports.timeline.model import Timeline

_SCRIPTS: Final = ("data.js", "draw.js", "lanes.js", "app.js", "input.js")
# More takes twice the time and saves a tenth.
_LEVEL: Final = 5
_ALL_STATES: Final = 4 * len(NODE_STATES)


@collector_held()
def html(timeline: Timeline) -> str:
    """Return the page; without scripts it shows the still picture."""
    page = resources.files("pytest_knav.reports.timeline") / "page"
    facts = "".join(
        f"<div><dt>{_escaped(name)}</dt><dd>{_escaped(value)}</dd></div>"
        for name, value in timeline.facts
    )
    return Template((page / "page.html").read_text("utf-8")).substitute(
        title=_escaped(timeline.title or "timeline"),
        style=(page / "style.css").read_text("utf-8"),
        facts=facts,
        still=still(timeline),
        data=_data(timeline),
        script="\n".join((page / name).read_text("utf-8") for name in _SCRIPTS),
    )


def _escaped(text: str) -> str:
    return escaping.escape(text, quote=True)


def _data(timeline: Timeline) -> str:
    """Return base64 of gzip of: size of the header, header, columns of int32."""
    tables = dict(_tables(timeline))
    head = {
        **_head(timeline),
        "sums": {name: f"sum:{name}" for name in timeline.sums},
        "tables": [[name, len(t), list(t.names)] for name, t in tables.items()],
    }
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    # The columns are read in place, so they begin at a multiple of four.
    text += b" " * (-len(text) % 4)
    parts = [len(text).to_bytes(4, "little"), text]
    for table in tables.values():
        parts += map(_bytes, _packed(table))
    packed = gzip.compress(b"".join(parts), _LEVEL, mtime=0)
    return base64.b64encode(packed).decode()


def _head(timeline: Timeline) -> dict[str, Any]:
    return {
        "length": timeline.length,
        "nodes": timeline.nodes,
        "groups": timeline.groups,
        "gpus": timeline.gpus,
        "workloads": timeline.workloads,
        "members": timeline.members,
        "pods": timeline.pods,
        "podStates": POD_STATES,
        "nodeStates": [node_state(number) for number in range(_ALL_STATES)],
        "leftOut": timeline.left_out,
        "faults": [
            {
                "name": fault.name,
                "start": fault.start,
                "end": fault.end,
                "targets": fault.targets,
                "nodes": fault.nodes,
            }
            for fault in timeline.faults
        ],
        "moments": [
            {"at": m.at, "kind": m.kind, "text": m.text, "bad": m.bad}
            for m in timeline.moments
        ],
    }


def _tables(timeline: Timeline) -> Iterator[tuple[str, Columns]]:
    yield "nodes", timeline.node_spans
    yield "gpus", timeline.gpu_spans
    yield "pods", timeline.pod_spans
    for name, points in timeline.sums.items():
        yield f"sum:{name}", points


def _packed(table: Columns) -> Iterator[array[int]]:
    """Yield the columns: begins as differences and ends as lengths compress better."""
    by_name = dict(zip(table.names, table.columns, strict=True))
    for name, column in by_name.items():
        if name in {"start", "at"}:
            earlier = array("i", [0])
            earlier.extend(column)
            yield array("i", map(int.__sub__, column, earlier))
        elif name == "end":
            yield array("i", map(int.__sub__, column, by_name["start"]))
        else:
            yield column


def _bytes(column: array[int]) -> bytes:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()
