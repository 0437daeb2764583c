"""What a timeline shows: lanes, spans on them, faults, moments, sums; times in ms."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Sequence

# The numbers are those of the page, page/states.js: what is changed here is there too.
READY, NOT_READY, UNKNOWN, GONE = range(4)
CORDONED, TAINTED = 4, 8
PENDING, BOUND, UNREADY, RUNNING, TERMINATING, SUCCEEDED, FAILED = range(7)
NODE_STATES: Final = ("Ready", "not Ready", "unknown", "gone")
POD_STATES: Final = (
    "Pending", "bound", "Running, not ready", "Running", "Terminating", "Succeeded",
    "Failed",
)  # fmt: skip
FAULT, CHECK, STEP, WARNING, GAP = "fault", "check", "step", "warning", "gap"
NOBODY: Final = -1


@dataclass(slots=True)
class Columns:
    """Rows of whole numbers, kept as one array a column."""

    names: tuple[str, ...]
    columns: tuple[array[int], ...] = ()

    def __post_init__(self) -> None:
        """Make the columns, where none were given."""
        if not self.columns:
            self.columns = tuple(array("i") for _ in self.names)

    def add(self, *row: int) -> None:
        """Add a row: as many numbers as there are columns."""
        # Not strict: that alone is a third of it, and there are millions.
        for column, value in zip(self.columns, row, strict=False):
            column.append(value)

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.columns[0])

    def rows(self) -> Sequence[tuple[int, ...]]:
        """Return the rows."""
        return list(zip(*self.columns, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault in force: from its first write until it was taken back, if it was."""

    name: str
    start: int
    end: int | None
    targets: tuple[str, ...]
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """
    Something worth a link.

    Attributes:
        kind: `fault`, `check`, `step`, `warning` or `gap`.
        bad: Whether it is of a check that failed, or of something else that went wrong.
        about: The lane that it is about, if there is one.

    """

    at: int
    kind: str
    text: str
    bad: bool = False
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """
    One run.

    Attributes:
        title: Its test.
        facts: What else is known of it, as pairs of name and value.
        length: How long it was.
        nodes: The names of its nodes, and in which group of the network each is.
        gpus: The names of its GPUs, `node/gpu-0`.
        workloads: Its workloads, with how many members each had at most at a time.
        pods: The names of its pods.
        node_spans: Node, start, end, state.
        gpu_spans: GPU, start, end, workload, pod.
        pod_spans: Workload, member, start, end, state, pod, node.
        sums: Counts over time, by name: moment and value.
        left_out: How many moments there were too many.

    """

    title: str
    facts: tuple[tuple[str, str], ...]
    length: int
    nodes: tuple[str, ...]
    groups: tuple[str, ...]
    gpus: tuple[str, ...]
    workloads: tuple[str, ...]
    members: tuple[int, ...]
    pods: tuple[str, ...]
    node_spans: Columns
    gpu_spans: Columns
    pod_spans: Columns
    sums: dict[str, Columns] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    moments: tuple[Moment, ...] = ()
    left_out: int = 0

    def failed(self) -> list[Moment]:
        """Return the moments that failed checks are about, earliest first."""
        return [m for m in self.moments if m.bad and m.kind == CHECK]


def node_state(number: int) -> str:
    """Return the state of a node in words."""
    marks = [(CORDONED, "cordoned"), (TAINTED, "tainted")]
    return ", ".join(
        [NODE_STATES[number % 4], *(word for bit, word in marks if number & bit)]
    )


def thinned(points: Columns, length: int, buckets: int = 2_000) -> Columns:
    """
    Return a sum with a bounded number of points: of each bucket the least, the greatest
    and the last, so that no peak is lost.
    """
    if len(points) <= 3 * buckets:
        return points
    width = max(1, -(-length // buckets))
    kept = Columns(points.names)
    bucket: list[tuple[int, ...]] = []
    for row in points.rows():
        if bucket and row[0] // width != bucket[0][0] // width:
            _keep(kept, bucket)
            bucket = []
        bucket.append(row)
    _keep(kept, bucket)
    return kept


def _keep(kept: Columns, bucket: list[tuple[int, ...]]) -> None:
    extremes = {min(bucket, key=_value), max(bucket, key=_value), bucket[-1]}
    for row in bucket:
        if row in extremes:
            kept.add(*row)
            extremes.remove(row)


def _value(row: tuple[int, ...]) -> int:
    return row[1]
