"""What is printed and written of a run, from records alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_knav.reports import allure_report, console
from pytest_knav.reports.record import RecoveryRow, TestRecord


if TYPE_CHECKING:
    from pathlib import Path

PHASES = {
    "detect": 101.04, "taint": 0.02, "evict": 5.5, "recreate": 10.1,
    "queue": 0.1, "bind": 0.04, "start": 12.0,
}  # fmt: skip


def record(**changes: object) -> TestRecord:
    """Return the record of a test that recovered."""
    recovery = RecoveryRow(
        fault="NodeCrash(node_of(llama)) on dgx-h100-0001",
        workload="Gang llama",
        outcome="recovered",
        within_s=200,
        seconds=128.8,
        phases=PHASES,
    )
    values: dict[str, object] = {
        "test": "suites/test_gang.py::test_gang_survives_a_node_crash",
        "topology": "dgx-h100",
        "nodes": 32,
        "seed": 7,
        "time_profile": "fast",
        "cluster_s": 4.5,
        "artifacts": "runs/1",
        "replay": "pytest 'x'",
        "versions": {"Kubernetes": "1.36.3", "etcd": "3.6.12"},
        "verdict": "pass",
        "recoveries": (recovery,),
    }
    return TestRecord(**{**values, **changes})  # type: ignore[arg-type]


def test_table() -> None:
    """One line of figures for each recovery, and the fault below it."""
    lines = [line for line, _ in console.table([record()])]

    assert lines == [
        (
            "test                            detect  taint  evict  recreate  queue  "
            "bind  start  total  limit  verdict"
        ),
        (
            "test_gang_survives_a_node_cra…   101.0    0.0    5.5      10.1    0.1  "
            " 0.0   12.0  128.8    200  pass"
        ),
        "  NodeCrash(node_of(llama)) on dgx-h100-0001",
    ]


def test_table_is_narrow() -> None:
    """No line is wider than 110 columns, whatever the names are."""
    long = record(
        test=f"x::test_{'x' * 200}",
        verdict="inconclusive",
        recoveries=(),
        faults=("NodeCrash(" + "y" * 200,),
    )

    lines = [line for line, _ in console.table([record(), long])]

    assert max(map(len, lines)) <= console.WIDTH_MAX


def test_record_survives_json() -> None:
    """A record goes through xdist and files unchanged."""
    original = record(faults=("NodeCrash(a) on a",))

    restored = TestRecord.from_data(json.loads(json.dumps(original.as_data())))

    assert original == restored


def test_environment(tmp_path: Path) -> None:
    """Allure's first page says what the run was made on."""
    allure_report.write_environment(tmp_path, [record(), record(nodes=4)])

    lines = (tmp_path / "environment.properties").read_text().splitlines()
    assert lines[0].startswith("pytest-knav=")
    assert lines[1:] == [
        "Kubernetes=1.36.3",
        "etcd=3.6.12",
        "seed=7",
        "time.profile=fast",
        "topology=dgx-h100, 32 nodes; dgx-h100, 4 nodes",
    ]


@pytest.mark.parametrize(
    ("nodeid", "full_name"),
    [
        ("a/test_x.py::test_y", "a.test_x#test_y"),
        ("test_x.py::TestZ::test_y[1-::]", "test_x.TestZ#test_y"),
    ],
)
def test_crash_result_continues_the_history(nodeid: str, full_name: str) -> None:
    """A crashed test has the full name that allure-pytest gives it."""
    assert allure_report.full_name_of(nodeid) == full_name
