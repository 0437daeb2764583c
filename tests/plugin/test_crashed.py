"""A test whose worker died is in every report, with what it left on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from pytest_knav.history import HistoryWriter
from pytest_knav.reports.crashed import record_of
from pytest_knav.reports.record import TestRecord, write_record
from pytest_knav.selfbench.histories import TEST, make_records


if TYPE_CHECKING:
    import pytest

# What a worker has written of a test with a cluster when it dies in it.
DIES = """
import os
from pytest_knav.history import HistoryWriter, Record
from pytest_knav.reports import record
from pytest_knav.session import KEY

def own(verb, kind, name, **data):
    return Record(
        revision=1, monotonic=5.0, wall=1.0, verb=verb, kind=kind, namespace="",
        name=name, uid="", data=data,
    )

def test_dies(request):
    home = request.config.stash[KEY].run_directory / "test_dies-1"
    home.mkdir(parents=True)
    record.write_record(home, record.TestRecord(
        test=request.node.nodeid, topology="dgx-h100", nodes=8, seed=7,
        time_profile="fast", cluster_s=1.0, artifacts=str(home),
        replay="pytest test_dies --knav-seed 7", severity="blocker",
    ))
    writer = HistoryWriter(home / "history")
    writer.append(own("BEGIN", "knav/Step", request.node.nodeid))
    writer.append(own("SUBMIT", "knav/Step", "Gang llama"))
    fault = {"fault": "NodeCrash", "target": "node_of(llama)"}
    writer.append(own("INJECTING", "knav/Fault", "f1", fault=fault, targets=["n1"]))
    writer.flush()
    os._exit(1)
"""
GATE = "broken: 0\nmust_cover: [node.crash]"


def _left(run: Path, test: str) -> Path:
    """Write what a test leaves when it begins, and return where."""
    home = run / "one"
    home.mkdir()
    record = TestRecord(
        test=test, topology="dgx-h100", nodes=8, seed=7, time_profile="fast",
        cluster_s=1.0, artifacts=str(home), replay="pytest x",
    )  # fmt: skip
    write_record(home, record)
    return home


def test_the_record_tells_what_was_broken(tmp_path: Path) -> None:
    """Faults and workloads are those of the history; a page shows it until its end."""
    home = _left(tmp_path, TEST)
    writer = HistoryWriter(home / "history")
    for one in make_records(20_000, nodes=8, pods=64):
        writer.append(one)
    writer.close()

    found = record_of(tmp_path, TEST)

    assert found is not None
    assert found.verdict == "broken"
    assert found.faults[0].startswith("NodeCrash(node-0")
    assert Path(found.timeline.partition("#t=")[0]).read_text().startswith("<!doctype")


def test_a_test_that_left_nothing(tmp_path: Path) -> None:
    """Before it had a cluster there is nothing to tell; another's is not its own."""
    _left(tmp_path, "other")

    assert record_of(tmp_path, TEST) is None
    assert record_of(tmp_path / "none", TEST) is None


def test_it_died_before_anything_was_recorded(tmp_path: Path) -> None:
    """An empty history, or none, hides neither the test nor how to run it again."""
    home = _left(tmp_path, TEST)
    without = record_of(tmp_path, TEST)
    HistoryWriter(home / "history").close()

    empty = record_of(tmp_path, TEST)

    assert without is not None
    assert empty is not None
    assert (without.replay, without.faults) == (empty.replay, empty.faults)


def test_half_a_record_is_none(tmp_path: Path) -> None:
    """What a process was writing when it died hides nobody else's."""
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "record.json").write_text('{"test": "x')
    _left(tmp_path, TEST)

    found = record_of(tmp_path, TEST)

    assert found is not None
    assert found.verdict == "broken"


def test_every_report_has_it(inner: pytest.Pytester) -> None:
    """The table, JUnit, the gate and Allure tell the fault and how to run it again."""
    inner.makefile(".yaml", gate=GATE)
    inner.makepyfile(DIES)

    result = inner.runpytest_subprocess(
        "-n1", "--knav-gate=gate.yaml", "--junitxml=junit.xml", "--alluredir=results"
    )

    result.stdout.fnmatch_lines_random(
        ["RERUN: 1 test (test_dies) broken*", "test_dies * broken", "timeline: *#t=*",
         "  NodeCrash(node_of(llama)) on n1", "again: pytest test_dies --knav-seed 7"]
    )  # fmt: skip
    assert _properties(inner.path / "junit.xml")["knav.verdict"] == "broken"
    assert _properties(inner.path / "junit.xml")["knav.workloads"] == "Gang"
    (told,) = map(_read, (inner.path / "results").glob("*-result.json"))
    labels = {(label["name"], label["value"]) for label in told["labels"]}
    assert {("feature", "node"), ("severity", "blocker")} <= labels
    assert ("knav.verdict", "broken") in labels
    attached = {part["name"] for part in told["attachments"]}
    assert {"timeline.html", "where to look"} <= attached


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _properties(path: Path) -> dict[str, str]:
    test = ET.parse(path).getroot()[0].find("testcase")  # noqa: S314 - our own
    assert test is not None
    return {p.get("name", ""): p.get("value", "") for p in test.iter("property")}
