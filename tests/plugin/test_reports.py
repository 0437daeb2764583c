"""What is printed and written of a run, from records alone."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

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
    """One line for each recovery: what broke, and each moment since the fault."""
    lines = [line for line, _ in console.table([record()], width=140)]

    assert lines == [
        (
            "test                             fault                    what broke  "
            "detect  evict  rebind    run  budget  verdict"
        ),
        (
            "test_gang_survives_a_node_crash  NodeCrash dgx-h100-0001  Gang llama  "
            " 101.0  106.6   116.8  128.8     200  pass"
        ),
    ]


def test_table_tells_more_of_what_went_wrong() -> None:
    """Below a row that is not good: the whole fault, the outcome, how far it came."""
    lost = RecoveryRow(
        fault="NodeCrash(node_of(llama)) on n1",
        workload="Gang llama",
        outcome="lost",
        within_s=60,
        seconds=None,
        phases={"detect": 9.0, "taint": 0.1, "evict": 5.0},
        lost_gpu_hours=0.25,
    )

    _, row, detail = console.table([record(recoveries=(lost,), verdict="fail")])

    assert row[0].split()[-6:] == ["llama", "9.0", "14.1", "-", "60", "fail"]
    assert detail[0] == (
        "  NodeCrash(node_of(llama)) on n1: lost; detect 9.0, taint 0.1, evict 5.0; "
        "0.25 GPU-hours lost"
    )


@pytest.mark.parametrize("width", [110, 160])
def test_table_is_narrow(width: int) -> None:
    """No line is wider than there is room, whatever the names are."""
    long = record(
        test=f"x::test_{'x' * 200}",
        verdict="inconclusive",
        recoveries=(),
        faults=(f"NodeCrash({'y' * 200}) on {'y' * 200}", "PodKill(a) on a"),
    )

    lines = [line for line, _ in console.table([record(), long], width)]

    assert max(map(len, lines)) == width
    assert lines[1].endswith("pass")
    assert lines[2].endswith("inconclusive")


@pytest.mark.parametrize(
    ("ci", "tty", "width"), [("", True, 160), ("", False, 110), ("true", True, 110)]
)
def test_table_is_as_wide_as_its_reader(
    monkeypatch: pytest.MonkeyPatch, ci: str, *, tty: bool, width: int
) -> None:
    """A wide terminal is used; where a machine reads along, lines stay short."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.delenv("BUILD_NUMBER", raising=False)
    terminal: Any = SimpleNamespace(isatty=tty, _tw=SimpleNamespace(fullwidth=160))

    assert console.width_for(terminal) == width


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
