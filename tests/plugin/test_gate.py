"""`--knav-gate`: the answer in the terminal, in JUnit, in files, as exit code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest


# A record as a test with a cluster leaves it, without the cluster.
CONFTEST = """
import pytest
from pytest_knav.reports.record import TestRecord, severity_of
from pytest_knav.session import RECORD

@pytest.fixture
def recorded(request):
    item = request.node
    item.stash[RECORD] = TestRecord(
        test=item.nodeid, topology="dgx-h100", nodes=8, seed=7, time_profile="fast",
        cluster_s=1.0, artifacts="runs/1", replay="pytest x", workloads=("Gang",),
        faults=("NodeCrash(node_of(w)) on n1",), severity=severity_of(item),
    )
"""
GREEN = "def test_green(recorded): pass\n"
RED = "def test_red(recorded): assert False\n"
MINOR = "import allure\n\n@allure.severity(allure.severity_level.MINOR)\n" + RED
UNSURE = (
    "from pytest_knav import Inconclusive\n\n"
    "def test_unsure(recorded): raise Inconclusive('a gap')\n"
)


@pytest.fixture
def gated(inner: pytest.Pytester) -> pytest.Pytester:
    """Return a project with a gate that wants crashes of nodes and no failure."""
    inner.makeconftest(CONFTEST)
    inner.makefile(
        ".yaml", gate="must_cover: [node.crash]\nnew_failures: {critical: 0}"
    )
    return inner


@pytest.mark.parametrize(
    ("tests", "code", "line"),
    [
        (GREEN, 0, "SHIP: 1 test holds to 5 rules"),
        (GREEN + RED, 1, "BLOCK: 1 test (test_red) failed newly"),
        (GREEN + UNSURE, 10, "RERUN: 1 test (test_unsure) inconclusive"),
        (GREEN + MINOR, 0, "SHIP: 2 tests hold to 5 rules"),
        ("def test_plain(): pass", 1, "BLOCK: node.crash was not tested"),
        (GREEN + "def test_x(): assert 0", 1, "BLOCK: 1 test (test_x) failed newly"),
    ],
)
def test_the_answer_is_the_exit_code(
    gated: pytest.Pytester, tests: str, code: int, line: str
) -> None:
    """One line says it, before the table; what the gate allows fails no run."""
    gated.makepyfile(tests)

    result = gated.runpytest_inprocess("--knav-gate=gate.yaml")

    assert result.ret == code
    result.stdout.fnmatch_lines(
        ["*= gate =*", line.replace("(", "[(]"), "summary: *gate.md"]
    )


def test_the_answer_is_in_every_file(gated: pytest.Pytester) -> None:
    """JUnit has it as a property of the suite, Markdown as its title."""
    gated.makepyfile(GREEN)

    gated.runpytest_inprocess("--knav-gate=gate.yaml", "--junitxml=junit.xml")

    suite = ET.parse(gated.path / "junit.xml").getroot()[0]  # noqa: S314 - our own
    found = {
        p.get("name"): p.get("value") for p in suite.iterfind("properties/property")
    }
    assert found["knav.gate"] == "SHIP"
    (summary,) = Path(gated.path).glob(".knav/runs/*-*/gate.md")
    assert summary.read_text().startswith("## SHIP")


def test_a_stored_run_has_the_same_answer(gated: pytest.Pytester) -> None:
    """`knav gate` on what it left says the same, failures without a record too."""
    gated.makepyfile(GREEN + "def test_x(): assert 0")
    gated.runpytest_inprocess()

    told = gated.run(
        sys.executable, "-m", "pytest_knav",
        "gate", ".knav/runs/latest", "--file=gate.yaml",
    )  # fmt: skip

    assert told.ret == 1
    told.stdout.fnmatch_lines(["BLOCK: 1 test [(]test_x) failed newly"])


def test_a_wrong_file_stops_the_run(gated: pytest.Pytester) -> None:
    """Before any test, with line and field."""
    gated.makefile(".yaml", bad="must_cover:\n- disk.full\n")
    gated.makepyfile(GREEN)

    result = gated.runpytest_inprocess("--knav-gate=bad.yaml")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*bad.yaml, line 2: must_cover*'disk'*"])


def test_an_interrupted_run_is_no_answer(gated: pytest.Pytester) -> None:
    """What did not come to its end is neither shipped nor blocked."""
    gated.makepyfile(
        "import pytest\n" + GREEN + "def test_stop(): pytest.exit('enough')"
    )

    result = gated.runpytest_inprocess("--knav-gate=gate.yaml")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.no_fnmatch_line("*SHIP*")


# What Allure does with each rule of a report's quality gate.
JUDGES = """
const { default: config } = await import(process.argv[1]);
const { rules: [wanted], use } = config.qualityGate;
const labels = [{ name: "knav.verdict", value: "fail" }];
const trs = [{ id: "t1", status: "failed", labels }];
const said = await Promise.all(Object.keys(wanted).map(async (name) => {
  const rule = use.find((one) => one.rule === name);
  const found = await rule.validate({ trs });
  return [name, found.success, rule.message(found), found.testResults];
}));
console.log(JSON.stringify(said));
"""


def _allure_judges(results: Path, rules: Path) -> dict[str, list[Any]]:
    """Return what a report's quality gate says, by rule."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not on PATH, and Allure's configuration is read by it")
    done = subprocess.run(
        [node, "--input-type=module", "-e", JUDGES, rules.as_uri(), results],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {name: rest for name, *rest in json.loads(done.stdout)}


def test_the_report_has_the_gate(
    gated: pytest.Pytester, pytestconfig: pytest.Config
) -> None:
    """Each rule of ours is one of Allure's quality gate, with the tests it is about."""
    gated.makepyfile(GREEN + RED)
    gated.runpytest_subprocess("--knav-gate=gate.yaml", "--alluredir=results")

    said = _allure_judges(
        gated.path / "results", pytestconfig.rootpath / "reports" / "allurerc.mjs"
    )

    assert said["gate"] == [False, "BLOCK: 1 test (test_red) failed newly", []]
    assert said["new_failures"] == [False, "1 test (test_red) failed newly", ["t1"]]
    assert said["must_cover node.crash"][0] is True
    (told,) = (gated.path / "results").glob("*-globals.json")
    assert "gate.md" in told.read_text()


def test_a_report_without_a_gate(
    gated: pytest.Pytester, pytestconfig: pytest.Config
) -> None:
    """Then no test may fail, and none may be unable to tell."""
    said = _allure_judges(
        gated.path, pytestconfig.rootpath / "reports" / "allurerc.mjs"
    )

    assert said["failed"] == [False, "1 failed", ["t1"]]
    assert said["broken or inconclusive"][0] is True
