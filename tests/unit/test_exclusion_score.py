"""The scorecard: rows, curves, and what keeps running as samples."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from pytest_knav.exclusion.curves import svg
from pytest_knav.exclusion.lasting import Lasting
from pytest_knav.exclusion.score import Score, score_of, table
from pytest_knav.exclusion.simulation import PARTS, Course, Outcome, simulate


COURSE = Course(nodes=20, lemons=1, pods=800)


def test_a_scorecard_has_a_row_for_each_score() -> None:
    """With a dash where nothing was found."""
    score = Score(
        course="3 lemons, 80 %",
        side="none",
        lemons=3,
        found=0,
        failures=None,
        seconds=None,
        wrong=0,
        goodput=0.96,
        lost_gpu_hours=1_280.0,
    )

    row = table([score]).splitlines()[-1]

    assert row == "| 3 lemons, 80 % | none | 0 of 3 | - | - | 0 | 0.9600 | 1,280 |"


def test_a_score_sums_up_outcomes() -> None:
    """Means of delays, sums of losses, part by part."""
    outcomes = [
        Outcome(
            lemons=frozenset({"a"}),
            failures_until_out={"a": failures, "b": 1},
            seconds_until_out={"a": 10.0 * failures, "b": 0.0},
            lost=[1, failures],
            succeeded=6,
            failed=failures,
        )
        for failures in (2, 4)
    ]

    found = score_of("c", "bayes", outcomes, gpu_hours_per_pod=2.0)

    assert (found.failures, found.seconds, found.wrong) == (3.0, 30.0, 2)
    assert (found.lost_gpu_hours, found.lost) == (12.0, (4.0, 12.0))
    assert found.goodput == pytest.approx((6 / 8 + 6 / 10) / 2)


def test_the_same_seed_loses_less_with_exclusion() -> None:
    """The same until the lemon is out, and then no more there."""
    without, with_it = (simulate(COURSE, 1, name) for name in (None, "bayes"))

    (seconds,) = with_it.seconds_until_out.values()
    assert 0 < seconds < COURSE.pods / COURSE.pods_per_s
    assert len(without.lost) == len(with_it.lost) == PARTS
    assert with_it.lost[0] == without.lost[0]
    assert with_it.lost[-1] == with_it.failed < without.failed


def test_the_curves_have_a_line_for_each_side_of_each_course() -> None:
    """In a picture that is valid XML; names with a sign as well."""
    scores = [
        score_of(course, side, [simulate(COURSE, 1, None)])
        for course in ("a < b", "c")
        for side in ("none", "R&D")
    ]

    root = ET.fromstring(svg(scores))  # noqa: S314 - we wrote it

    space = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in root.iter(f"{space}text")]
    panels = root.findall(f"{space}g")
    assert [len(panel.findall(f"{space}polyline")) for panel in panels] == [2, 2]
    assert "a < b: lost GPU-hours" in texts
    assert "R&D" in texts


def running(restarts: int = 0, **status: Any) -> dict[str, Any]:
    """Return a pod that runs and is ready."""
    ready = {"type": "Ready", "status": status.pop("ready", "True")}
    return {
        "metadata": {"name": "a", "uid": "a", **status.pop("metadata", {})},
        "spec": {"nodeName": "n0"},
        "status": {
            "phase": "Running",
            "conditions": [ready],
            "containerStatuses": [{"restartCount": restarts}],
            **status,
        },
    }


def test_what_keeps_running_is_a_success_each_span() -> None:
    """Not before, and not for a span that a restart has broken off."""
    lasting = Lasting(settled_s=10.0)
    lasting.see(running(), "q", 0.0)

    counts = [len(lasting.samples(at_s)) for at_s in (9.0, 10.0, 19.0, 20.0)]
    lasting.see(running(restarts=1), "q", 25.0)
    counts += [len(lasting.samples(at_s)) for at_s in (31.0, 35.0)]

    assert counts == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    "item",
    [
        running(ready="False"),
        running(phase="Pending"),
        running(metadata={"deletionTimestamp": "1970-01-01T00:00:00Z"}),
    ],
)
def test_what_does_not_work_is_no_success(item: dict[str, Any]) -> None:
    """Of a node that died its pods still say Running, but not Ready."""
    lasting = Lasting(settled_s=10.0)
    lasting.see(running(), "q", 0.0)

    lasting.see(item, "q", 5.0)

    assert lasting.samples(20.0) == []


def test_what_is_no_longer_there_is_no_success() -> None:
    """Deleted, or missing from a new list."""
    lasting = Lasting(settled_s=10.0)
    lasting.see(running(), "q", 0.0)
    lasting.keep([])
    lasting.see(running(), "q", 1.0)
    lasting.gone("a")

    assert lasting.samples(20.0) == []
