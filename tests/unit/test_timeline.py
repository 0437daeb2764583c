"""Timelines: what is read from records, and what is made of it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from pytest_knav.history.record import FAULT, STEP
from pytest_knav.reports import timeline
from pytest_knav.reports.timeline import model
from pytest_knav.reports.timeline.model import Columns, thinned
from pytest_knav.selfbench.histories import make_records


if TYPE_CHECKING:
    from conftest import HistoryBuilder

    from pytest_knav.history import Record
    from pytest_knav.reports.timeline import Timeline

SVG = "{http://www.w3.org/2000/svg}"


def read(seen: HistoryBuilder) -> Timeline:
    """Return the timeline of a history made by hand."""
    return timeline.read_timeline(seen.history.records(), title="a test")


def own(seen: HistoryBuilder, at: float, kind: str, verb: str, **fields: Any) -> None:
    """Add an entry of ours."""
    seen._add(at, verb, kind, fields.pop("name", ""), "", data=fields or None)


def states(found: Timeline, workload: str) -> list[tuple[int, int, str, str]]:
    """Return begin, end, state and node of each span of a workload's pods."""
    number = found.workloads.index(workload)
    return [
        (start, end, model.POD_STATES[state], found.nodes[node] if node >= 0 else "")
        for owner, _, start, end, state, _, node in found.pod_spans.rows()
        if owner == number
    ]


class TestPods:
    """From what is recorded of a pod to spans."""

    def test_states_follow_each_other(self, seen: HistoryBuilder) -> None:
        """Each span begins where the one before it ended, and the last is not lost."""
        seen.node(0, "n1")
        seen.pod(1, "w-0-a", phase="Pending")
        seen.pod(2, "w-0-a", node="n1", phase="Pending")
        seen.pod(3, "w-0-a", node="n1", ready=False)
        seen.pod(4, "w-0-a", node="n1")
        seen.pod(6, "w-0-a", node="n1", terminating=True)
        seen.gone(7, "w-0-a")
        seen.node(9, "n1", "Unknown")

        assert states(read(seen), "w") == [
            (1000, 2000, "Pending", ""),
            (2000, 3000, "bound", "n1"),
            (3000, 4000, "Running, not ready", "n1"),
            (4000, 6000, "Running", "n1"),
            (6000, 7000, "Terminating", "n1"),
        ]

    def test_a_replacement_has_the_lane_of_its_index(
        self, seen: HistoryBuilder
    ) -> None:
        """A member of a Job is one row, however often it was made again."""
        for index in range(3):
            seen.pod(index, f"w-{index}-a", node="n1")
        seen.gone(4, "w-0-a")
        seen.gone(4, "w-1-a")
        seen.pod(5, "w-1-b", node="n1")
        seen.pod(9, "other", workload="v")

        found = read(seen)

        assert found.members == (3, 1)
        rows = [(row[1], found.pods[row[5]]) for row in found.pod_spans.rows()]
        assert (1, "w-1-a") in rows
        assert (1, "w-1-b") in rows

    def test_pending_pods_are_counted(self, seen: HistoryBuilder) -> None:
        """The sum rises with each pod that waits and falls with each that is bound."""
        seen.pod(1, "a", phase="Pending")
        seen.pod(2, "b", phase="Pending")
        seen.pod(3, "a", node="n1")
        seen.gone(4, "b")

        pending = read(seen).sums["pending pods"].rows()

        assert pending == [(1000, 1), (2000, 2), (3000, 1), (4000, 0)]


class TestNodes:
    """From what is recorded of a node to spans."""

    def test_states(self, seen: HistoryBuilder) -> None:
        """Ready, lost and tainted, gone: in words."""
        seen.node(0, "n1")
        seen.node(2, "n1", "Unknown", "node.kubernetes.io/unreachable")
        seen.gone(5, "n1", "Node")
        seen.pod(6, "a")

        found = read(seen)

        assert [
            (start, end, model.node_state(state))
            for _, start, end, state in found.node_spans.rows()
        ] == [
            (0, 2000, "Ready"),
            (2000, 5000, "unknown, tainted"),
            (5000, 6000, "gone"),
        ]

    def test_order_is_that_of_people(self, seen: HistoryBuilder) -> None:
        """Node 9 comes before node 10, and spans follow their node."""
        seen.node(0, "n10", "False")
        seen.node(0, "n9")
        seen.pod(3, "a", node="n10")
        seen.gone(4, "a")

        found = read(seen)

        assert found.nodes == ("n9", "n10")
        assert {(r[0], r[3]) for r in found.node_spans.rows()} == {
            (0, model.READY),
            (1, model.NOT_READY),
        }
        assert states(found, "w")[0][3] == "n10"


class TestGpus:
    """Who has which GPU."""

    def test_no_gpu_is_shown_twice_at_a_time(self) -> None:
        """Of a long history with crashes, spans of one GPU never overlap."""
        found = timeline.read_timeline(make_records(6_000, nodes=10, pods=80))

        ends = dict.fromkeys(range(len(found.gpus)), 0)
        for gpu, start, end, _, _ in found.gpu_spans.rows():
            assert start >= ends[gpu]
            ends[gpu] = end
        assert len(found.gpus) == 80
        assert max(v for _, v in found.sums["GPUs in use"].rows()) == 72

    def test_a_claim_says_which(self, seen: HistoryBuilder) -> None:
        """With DRA it is the allocation that counts, until the claim is free again."""
        pod = {"metadata": {"name": "p", "uid": "p"}, "spec": {"nodeName": "n1"}}
        device = {"driver": "gpu.nvidia.com", "pool": "n1", "device": "gpu-5"}
        devices = {"results": [device]}
        status = {"allocation": {"devices": devices}, "reservedFor": [{"uid": "p"}]}
        seen.node(0, "n1")
        seen._add(1, "ADDED", "Pod", "p", "p", data=pod)
        claim: dict[str, Any] = {"metadata": {"name": "c"}, "status": status}
        seen._add(2, "ADDED", "ResourceClaim", "c", "c", data=claim)
        freed = {"status": {"reservedFor": None}}
        seen._add(5, "MODIFIED", "ResourceClaim", "c", "c", patch=freed)
        seen.pod(9, "q")

        found = read(seen)

        assert found.gpus == ("n1/gpu-5",)
        assert [row[:3] for row in found.gpu_spans.rows()] == [(0, 2000, 5000)]


class TestMoments:
    """What has a link."""

    def test_a_fault_lasts_from_its_first_write(self, seen: HistoryBuilder) -> None:
        """What is broken for good lasts to the end."""
        what = {"fault": "GpuXid", "target": "gpu_of(w)"}
        own(
            seen, 2.5, FAULT, "INJECTING", name="f1", fault=what, started_s=2.0,
            targets=["n1/gpu-3"],
        )  # fmt: skip
        own(seen, 3, FAULT, "OBSERVED", name="f1", what="signal", evidence="1 gpus")
        seen.pod(8, "a")

        found = read(seen)

        assert found.faults == (
            model.Fault(
                name="GpuXid(gpu_of(w)) on n1/gpu-3", start=2000, end=None,
                targets=("n1/gpu-3",), nodes=("n1",),
            ),
        )  # fmt: skip
        assert [moment.at for moment in found.moments] == [2000, 3000]

    def test_a_failed_check_stands_where_its_evidence_is(
        self, seen: HistoryBuilder
    ) -> None:
        """Not only where it was judged, which is at the end."""
        own(seen, 1, STEP, "BEGIN", name="a test")
        own(
            seen, 60, STEP, "VERDICT", name="gang: fail\n  partly bound",
            check="gang", status="fail", evidence=["3 of 4 bound"], moments=[13.3],
        )  # fmt: skip

        found = read(seen)

        assert [(m.at, m.text) for m in found.failed()] == [
            (12_300, "gang: 3 of 4 bound"),
            (59_000, "gang: fail"),
        ]
        assert timeline.failed_at(seen.history.records()) == 12.3

    def test_what_passed_is_no_failure(self, seen: HistoryBuilder) -> None:
        """A verdict that passed is a moment, and not a bad one."""
        own(seen, 1, STEP, "BEGIN", name="a test")
        own(seen, 2, STEP, "VERDICT", name="gang: pass", status="pass")
        own(seen, 3, STEP, "RECOVERY", name="Gang w after f: recovered in 1.0s of 9s")

        assert read(seen).failed() == []
        assert timeline.failed_at(seen.history.records()) is None

    def test_warnings_are_bounded_and_counted(self, seen: HistoryBuilder) -> None:
        """A storm of warnings does not fill the page; how many are missing is said."""
        event = {"type": "Warning", "reason": "FailedScheduling", "message": "no room"}
        for number in range(2_050):
            name = f"e{number}"
            seen._add(number, "ADDED", "Event", name, name, data=event)

        found = read(seen)

        assert len(found.moments) == 2_000
        assert found.left_out == 50


class TestReading:
    """The order and the bounds of what is read."""

    def test_time_begins_with_the_test(self, seen: HistoryBuilder) -> None:
        """What was there before stands at its begin."""
        seen.node(-50, "n1")
        own(seen, 10, STEP, "BEGIN", name="t.py::test_x")
        seen.node(14, "n1", "False")

        found = timeline.read_timeline(seen.history.records())

        assert found.title == "t.py::test_x"
        assert found.length == 4_000
        assert found.node_spans.rows() == [(0, 0, 4000, model.READY)]

    def test_nothing_recorded_is_no_error(self) -> None:
        """A test that broke before its cluster was there has a page as well."""
        found = timeline.read_timeline([])

        assert found.length == 1
        assert "<html" in timeline.html(found)
        assert timeline.still(found).endswith("</svg>")

    def test_sums_keep_their_peaks(self) -> None:
        """Of a million points a few thousand stay, the one high one among them."""
        points = Columns(("at", "value"))
        for at in range(50_000):
            points.add(at, 9 if at == 31_234 else at % 2)

        kept = thinned(points, 50_000, buckets=100)

        assert len(kept) <= 300
        assert (31_234, 9) in kept.rows()
        assert kept.rows()[-1] == points.rows()[-1]


def unpacked(page: str) -> tuple[dict[str, Any], bytes]:
    """Return the header and the columns in a page."""
    found = re.search(r'id="data">([^<]*)<', page)
    assert found
    plain = gzip.decompress(base64.b64decode(found[1]))
    size = int.from_bytes(plain[:4], "little")
    return json.loads(plain[4 : 4 + size]), plain[4 + size :]


class TestPage:
    """The HTML file; what it looks like is in tests/browser."""

    @pytest.fixture
    def page(self) -> str:
        """Return the page of a small day."""
        return timeline.html(
            timeline.read_timeline(make_records(6_000, nodes=10, pods=80))
        )

    def test_it_needs_nothing_else(self, page: str) -> None:
        """No script, style or picture comes from elsewhere."""
        assert not re.findall(r'(?:src|href)="(?!#)|@import|url\(', page)

    def test_without_scripts_the_still_picture_is_there(self, page: str) -> None:
        """A report that lets no script run shows something all the same."""
        before = page.partition("<script")[0]

        assert 'class="still"><svg' in before
        assert 'id="main" hidden' in before

    def test_columns_are_as_long_as_said(self, page: str) -> None:
        """The header says how many numbers follow, four bytes each."""
        head, columns = unpacked(page)

        assert sum(rows * len(names) for _, rows, names in head["tables"]) * 4 == len(
            columns
        )
        assert head["nodes"][:2] == ["node-00000", "node-00001"]

    def test_names_cannot_break_out(self, seen: HistoryBuilder) -> None:
        """A name with markup in it stays text."""
        seen.pod(0, "a", workload="</script><script>alert(1)</script>")
        seen.pod(1, "b")
        found = timeline.read_timeline(
            seen.history.records(), title="<img onerror=x>", facts=[("a", "<b>")]
        )

        page = timeline.html(found)

        assert "alert(1)" not in page.replace("&lt;script&gt;alert(1)", "")
        assert "<img" not in page
        assert "<b>" not in page.partition("<nav")[0]


class TestStill:
    """The SVG."""

    def test_what_was_hit_is_shown_first(self) -> None:
        """Of more lanes than fit, those that faults hit are there, the rest is told."""
        found = timeline.read_timeline(make_records(30_000, nodes=100, pods=800))

        root = ET.fromstring(timeline.still(found))  # noqa: S314 - our own

        texts = [text.text or "" for text in root.iter(f"{SVG}text")]
        assert found.faults
        for fault in found.faults:
            assert f"⚡ {fault.nodes[0]}" in texts
        assert any(text.startswith("nodes, 60 more") for text in texts)


def test_trace_events() -> None:
    """Every span has begin and length in microseconds, on a lane that has a name."""
    found = timeline.read_timeline(make_records(6_000, nodes=10, pods=80))

    trace = json.loads(timeline.trace(found))

    events = trace["traceEvents"]
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    spans = [e for e in events if e["ph"] == "X"]
    assert {(e["pid"], e["tid"]) for e in spans} <= named
    assert max(e["ts"] + e["dur"] for e in spans) == found.length * 1000
    assert {e["name"] for e in events if e["ph"] == "C"} == set(found.sums)


class TestMadeHistories:
    """What measures are made with."""

    def test_the_same_each_time(self) -> None:
        """One seed, one history; another, another."""
        first, again = (list(make_records(3_000, nodes=8, pods=64)) for _ in range(2))

        assert first == again
        assert first != list(make_records(3_000, nodes=8, pods=64, seed=6))

    def test_nothing_gets_what_is_taken(self) -> None:
        """Pods bound to a node never ask for more GPUs than it has."""
        asks: dict[str, bool] = {}
        bound: dict[str, str] = {}
        used: dict[str, int] = {}
        for record in make_records(30_000, nodes=10, pods=80):
            if record.kind == "Pod":
                _follow(record, asks, bound, used)

                assert max(used.values(), default=0) <= 8
        assert len(asks) > 500


def _follow(
    record: Record, asks: dict[str, bool], bound: dict[str, str], used: dict[str, int]
) -> None:
    if record.data is not None:
        asks[record.uid] = "nvidia.com/gpu" in str(record.data["spec"])
    node = ((record.patch or {}).get("spec") or {}).get("nodeName")
    if node and asks[record.uid]:
        bound[record.uid] = node
        used[node] = used.get(node, 0) + 1
    phase = ((record.patch or {}).get("status") or {}).get("phase")
    if (phase == "Succeeded" or record.verb == "DELETED") and record.uid in bound:
        used[bound.pop(record.uid)] -= 1
