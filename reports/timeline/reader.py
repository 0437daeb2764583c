"""From records to a timeline, in one pass, without the states in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_knav.history.collecting import collector_held
from pytest_knav.history.merge import merge_apply
from pytest_knav.history.record import ADDED, DELETED, OWN_PREFIX, STEP
from pytest_knav.reports.gpu_owners import workload_of
from pytest_knav.reports.timeline.gpu_lanes import GpuLanes, natural
from pytest_knav.reports.timeline.model import (
    CORDONED,
    GONE,
    NOT_READY,
    READY,
    TAINTED,
    UNKNOWN,
    Columns,
    Timeline,
    thinned,
)
from pytest_knav.reports.timeline.moments import Moments
from pytest_knav.reports.timeline.pod_lanes import PodLanes


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_knav.history import Record

    Object = Mapping[str, Any]

_READY: Final = {"True": READY, "False": NOT_READY}
# Where a node stands in the network, by the first of these labels that it has.
_GROUPS: Final = (
    "network.topology.nvidia.com/leaf",
    "topology.kubernetes.io/rack",
    "topology.kubernetes.io/zone",
)
# The node controller's own taint says no more than that a node is cordoned.
_CORDON: Final = "node.kubernetes.io/unschedulable"


@collector_held()
def read_timeline(
    records: Iterable[Record],
    *,
    title: str = "",
    facts: Sequence[tuple[str, str]] = (),
) -> Timeline:
    """
    Return the timeline of a run.

    Args:
        records: What was recorded, in order; changes of one object in theirs.
        title: The test; by default what the history says.
        facts: What else is known of the run, as pairs of name and value.

    """
    reader = _Reader()
    for record in records:
        reader.read(record)
    return reader.timeline(title, tuple(facts))


class _Reader:
    """What is known while records go by."""

    def __init__(self) -> None:
        self._begun_s: float | None = None
        self._title = ""
        self._now = 0
        self._waiting: list[Record] = []
        self._nodes: dict[str, _Node] = {}
        self._node_spans = Columns(("node", "start", "end", "state"))
        self._gpus = GpuLanes()
        self._pods = PodLanes(self._gpus)
        self._claims: dict[str, Object] = {}
        self._moments = Moments()
        self._sums = {
            name: Columns(("at", "value"))
            for name in ("GPUs in use", "GPUs on Ready nodes", "pending pods", "pods")
        }
        self._readers: dict[str, Callable[[Record], None]] = {
            "Pod": self._read_pod,
            "Node": self._read_node,
            "ResourceClaim": self._read_claim,
            "ResourceSlice": self._read_slice,
            "Event": self._read_event,
        }

    def read(self, record: Record) -> None:
        """Take in a record; those before the test's begin stand at its begin."""
        kind = record.kind
        if kind == "Lease":
            return
        if self._begun_s is None:
            self._waiting.append(record)
            if kind == STEP and record.verb == "BEGIN":
                self._begin(record.monotonic)
            elif len(self._waiting) > 200_000:
                self._begin(self._waiting[0].monotonic)
            return
        now = int((record.monotonic - self._begun_s) * 1000)
        # Order is that of revisions; two watches need not be equally late.
        self._now = max(self._now, now)
        read = self._readers.get(kind)
        if read is not None:
            read(record)
        elif kind.startswith(OWN_PREFIX):
            self._read_own(record)

    def timeline(self, title: str, facts: tuple[tuple[str, str], ...]) -> Timeline:
        """Return what was read."""
        if self._begun_s is None and self._waiting:
            self._begin(self._waiting[0].monotonic)
        end = self._now
        for node in self._nodes.values():
            self._close(node, end)
        self._pods.finish(end)
        self._gpus.finish(end)
        nodes = list(self._nodes.values())
        by_name = sorted(range(len(nodes)), key=lambda i: natural(nodes[i].name))
        gpus = self._gpus.names
        gpu_order = sorted(range(len(gpus)), key=lambda i: natural(gpus[i]))
        return Timeline(
            title=title or self._title,
            facts=facts,
            length=max(end, 1),
            nodes=tuple(nodes[i].name for i in by_name),
            groups=tuple(nodes[i].group for i in by_name),
            gpus=tuple(gpus[i] for i in gpu_order),
            workloads=tuple(self._pods.workloads),
            members=tuple(self._pods.members()),
            pods=tuple(self._pods.names),
            node_spans=_renumbered(self._node_spans, by_name, 0),
            gpu_spans=_renumbered(self._gpus.spans, gpu_order, 0),
            pod_spans=_renumbered(self._pods.spans, by_name, 6),
            sums={n: thinned(points, end) for n, points in self._sums.items()},
            faults=tuple(self._moments.faults()),
            moments=tuple(self._moments.all()),
            left_out=self._moments.left_out,
        )

    def _begin(self, at_s: float) -> None:
        self._begun_s = at_s
        waiting, self._waiting = self._waiting, []
        for record in waiting:
            self.read(record)

    def _read_own(self, record: Record) -> None:
        if record.kind == STEP and record.verb == "BEGIN" and not self._title:
            self._title = record.name
        self._moments.note(record, self._now, self._begun_s or 0.0)

    def _read_event(self, record: Record) -> None:
        if record.data is not None:
            self._moments.event(record.data, self._now)

    def _read_pod(self, record: Record) -> None:
        before = self._pods.counts, self._gpus.used
        if record.verb == DELETED:
            self._pods.drop(record.uid, self._now)
        elif record.data is not None:
            pod, owner = record.data, workload_of(record.data)
            self._pods.see(record.uid, pod, owner, self._now, self._node_of)
        elif record.patch is not None:
            self._pods.change(record.uid, record.patch, self._now, self._node_of)
        if (self._pods.counts, self._gpus.used) != before:
            pending, there = self._pods.counts
            self._note("pending pods", pending)
            self._note("pods", there)
            self._note("GPUs in use", self._gpus.used)

    def _node_of(self, name: str) -> int:
        node = self._nodes.get(name)
        return -1 if node is None else node.number

    def _read_node(self, record: Record) -> None:
        node = self._nodes.get(record.name)
        if node is None:
            node = _Node(record.name, len(self._nodes))
            self._nodes[record.name] = node
        if record.verb == DELETED:
            state, node.ready = GONE, GONE
        else:
            what = record.data or record.patch or {}
            if record.verb == ADDED or record.data is not None:
                node.ready, node.cordoned, node.tainted = UNKNOWN, False, False
                node.group = _group_of(what)
                node.gpus = self._gpus.add_node(what)
            state = node.follow(what)
        if state != node.state:
            self._close(node, self._now)
            node.state, node.since = state, self._now
            able = [n.gpus for n in self._nodes.values() if n.ready == READY]
            self._note("GPUs on Ready nodes", sum(able))

    def _close(self, node: _Node, at: int) -> None:
        if node.state >= 0 and at > node.since:
            self._node_spans.add(node.number, node.since, at, node.state)

    def _read_claim(self, record: Record) -> None:
        if record.verb == DELETED:
            self._claims.pop(record.uid, None)
            self._gpus.claim(record.uid, None, self._now)
        else:
            before = self._claims.get(record.uid, {})
            after = record.data or merge_apply(before, record.patch or {})
            self._claims[record.uid] = after
            self._gpus.claim(record.uid, after, self._now)
        self._note("GPUs in use", self._gpus.used)

    def _read_slice(self, record: Record) -> None:
        if record.data is not None:
            self._gpus.add_devices(record.data)

    def _note(self, name: str, value: int) -> None:
        at, values = self._sums[name].columns
        if values and values[-1] == value:
            return
        if at and at[-1] == self._now:
            values[-1] = value
        else:
            at.append(self._now)
            values.append(value)


class _Node:
    """One node as it is now."""

    __slots__ = (
        "cordoned", "gpus", "group", "name", "number", "ready", "since", "state",
        "tainted",
    )  # fmt: skip

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.group = ""
        self.gpus = 0
        self.ready = UNKNOWN
        self.cordoned = False
        self.tainted = False
        self.state = -1
        self.since = 0

    def follow(self, what: Object) -> int:
        """Return the state after a change, or after the whole object."""
        spec, status = what.get("spec") or {}, what.get("status") or {}
        for condition in status.get("conditions") or ():
            if condition["type"] == "Ready":
                self.ready = _READY.get(condition["status"], UNKNOWN)
        if "unschedulable" in spec:
            self.cordoned = bool(spec["unschedulable"])
        if "taints" in spec:
            keys = {taint["key"] for taint in spec["taints"] or ()}
            self.tainted = bool(keys - {_CORDON})
        return self.ready + CORDONED * self.cordoned + TAINTED * self.tainted


def _group_of(node: Object) -> str:
    labels = node["metadata"].get("labels") or {}
    return next((str(labels[key]) for key in _GROUPS if key in labels), "")


def _renumbered(rows: Columns, order: list[int], column: int) -> Columns:
    """Return rows whose lanes have the numbers of their places in an order."""
    place = {number: at for at, number in enumerate(order)}
    columns = list(rows.columns)
    columns[column] = type(columns[column])(
        "i", [place.get(number, -1) for number in columns[column]]
    )
    return Columns(rows.names, tuple(columns))
