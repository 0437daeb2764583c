"""What it costs to judge a long history by all standing invariants; no cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.checks.standing import judge_standing, usual
from pytest_knav.errors import HarnessError
from pytest_knav.history import History
from pytest_knav.history.record import ADDED, STEP, Record
from pytest_knav.selfbench.cases import FAST
from pytest_knav.selfbench.course import Course, Step
from pytest_knav.selfbench.histories import MEMBERS, make_records


if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_knav.selfbench.course import Kit

RECORDS: Final = 1_000_000
_LIMIT_S: Final = 600.0
_BYTES_MAX: Final = 16 * 2**30


class Judging:
    """
    A history of a healthy cluster, made once, and its verdicts.

    Args:
        records: How many records it has.
        nodes: Of how many nodes.
        pods: How many pods there are at a time.

    """

    def __init__(
        self, records: int = RECORDS, *, nodes: int = 1_000, pods: int = 10_000
    ) -> None:
        self._records = records
        self._sizes = {"nodes": nodes, "pods": pods}
        self._history: History | None = None

    def prepare(self) -> None:
        """Make the history; every gang in it was submitted with its promise."""
        # As much again as the records: a promise is one more of them. Nothing of it
        # may be folded away.
        history = History(max_records=2 * self._records, max_bytes=_BYTES_MAX)
        for record in promised(make_records(self._records, **self._sizes)):
            history.add(record)
        self._history = history

    def act(self) -> None:
        """
        Judge it.

        Raises:
            HarnessError: An invariant says that the healthy cluster is broken.

        """
        if self._history is None:
            return
        asked = {**usual(), "recovery": _LIMIT_S, "settled": _LIMIT_S}
        findings = judge_standing(self._history, asked)
        red = [str(f.verdict) for f in findings if f.verdict.status == "fail"]
        if red:
            raise HarnessError(f"a healthy history was judged broken: {red[0]}")

    def close(self) -> None:
        """Let go of the history."""
        self._history = None


def course(kit: Kit) -> Course:
    """Return the course without a cluster."""
    judging = Judging()
    step = Step(
        case="checks", objects=RECORDS, prepare=judging.prepare, act=judging.act
    )
    return Course(side=FAST, workdir=kit.folder, steps=(step,), close=judging.close)


def promised(records: Iterator[Record]) -> Iterator[Record]:
    """Yield records with what `cluster.submit` notes of each Job."""
    for record in records:
        yield record
        if record.kind == "Job" and record.verb == ADDED:
            yield Record(
                revision=record.revision,
                monotonic=record.monotonic,
                wall=record.wall,
                verb="SUBMIT",
                kind=STEP,
                namespace="",
                name=f"Gang {record.name}",
                uid="",
                data={
                    "namespace": "default",
                    "labels": {"pytest-knav/workload": record.name},
                    "expected": MEMBERS,
                    "owner_kind": "Job",
                    "owner_name": record.name,
                    "gang": True,
                },
            )
