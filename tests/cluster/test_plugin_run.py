"""One run with two workers on two real clusters, looked at from all sides."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest


if TYPE_CHECKING:
    from collections.abc import Callable

SUITE = """
import pytest
from pytest_knav import Gang, node_of, percent
from pytest_knav.faults import NodeCrash

pytestmark = pytest.mark.knav(nodes=8)


@pytest.fixture
def gang(cluster):
    gang = cluster.submit(Gang("llama", replicas=2, gpus_per_pod=8))
    cluster.wait_for(gang.running, timeout="60s")
    return gang


def test_recovers(chaos, gang):
    with chaos.inject(NodeCrash(node_of(gang))) as fault:
        recovery = chaos.expect.recovered(gang, since=fault, within="60s")
    assert recovery.nodes.isdisjoint(fault.targets)


def test_late(chaos, gang):
    with chaos.inject(NodeCrash(node_of(gang))) as fault:
        chaos.expect.recovered(gang, since=fault, within="1s")


def test_never_comes(cluster, gang):
    cluster.wait_for(gang.finished, timeout="1s")


def test_unsure(cluster, chaos, gang):
    spare = min({n.name for n in cluster.nodes} - set(gang.nodes))
    with chaos.inject(NodeCrash(spare)) as fault:
        chaos.expect.recovered(gang, since=fault, within="1s")


def test_left_broken(chaos):
    fault = chaos.start(NodeCrash(percent(50)))
    assert not fault.targets, sorted(fault.targets)


def test_harness(chaos):
    with chaos.inject(NodeCrash("no-such-node")):
        pass
"""

HOOKS = """
import json
import os
import threading
from pathlib import Path

import psutil
import pytest


def note(**event):
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with Path(f"events-{worker}.jsonl").open("a") as file:
        file.write(json.dumps(event) + chr(10))


def pytest_knav_cluster_ready(cluster):
    ports = cluster.plane.ports
    pods = len(cluster.history.latest("Pod"))
    note(event="ready", name=cluster.name, ports=sorted(ports.values()), pods=pods)


def pytest_knav_fault_injected(cluster, fault):
    note(event="injected", targets=sorted(fault.targets))


def pytest_knav_fault_cleared(cluster, fault):
    note(event="cleared", targets=sorted(fault.targets))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    threads = [t.name for t in threading.enumerate() if t.name != "MainThread"]
    children = [child.name() for child in psutil.Process().children(recursive=True)]
    Path("leaks.json").write_text(json.dumps(threads + children))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a run left."""

    project: Any
    code: int
    output: str

    def events(self, kind: str, worker: str = "gw*") -> list[dict[str, Any]]:
        """Return what the hooks were told."""
        files = self.project.path.glob(f"events-{worker}.jsonl")
        lines = [line for file in files for line in file.read_text().splitlines()]
        return [e for e in map(json.loads, lines) if e["event"] == kind]

    def section(self, test: str) -> str:
        """Return what is printed of one test that did not pass."""
        found = re.search(
            rf"\n_+ (\S+::)?{test} _+\n(.*?)\n(_|=)", self.output, re.DOTALL
        )
        assert found, self.output
        return found.group(2)


@pytest.fixture(scope="module")
def finished(project: Callable[..., Any], once: Callable[..., Any]) -> Finished:
    """Run the suite with two workers, once for all tests here."""

    def run() -> dict[str, Any]:
        made = project(test_all=SUITE, conftest=HOOKS)
        code, output = made.run(
            "-n2", "-ra", "--alluredir=results", "--junitxml=junit.xml"
        )
        return {"path": str(made.path), "code": code, "output": output}

    run_once = once("plugin-run", run)
    made = project(at=Path(run_once["path"]))
    return Finished(project=made, code=run_once["code"], output=run_once["output"])


class TestRun:
    """The run as a whole."""

    def test_ends(self, finished: Finished) -> None:
        """Each verdict is counted where it belongs."""
        assert finished.code == 1
        assert re.search(r"4 failed, 1 passed, 1 inconclusive in", finished.output)

    def test_each_worker_has_a_cluster(self, finished: Finished) -> None:
        """Two names, and no port in common."""
        ready = finished.events("ready")

        names = {event["name"] for event in ready}
        ports = {e["name"]: frozenset(e["ports"]) for e in ready}
        assert {name.rpartition("-")[2] for name in names} == {"gw0", "gw1"}
        assert frozenset.intersection(*ports.values()) == frozenset()

    def test_clusters_are_clean(self, finished: Finished) -> None:
        """No test sees pods of another."""
        ready = finished.events("ready")

        assert [event["pods"] for event in ready] == [0] * 6

    def test_nothing_is_left(self, finished: Finished) -> None:
        """No cluster, no process."""
        assert finished.project.left() == []
        assert finished.project.processes() == []

    def test_one_run_directory(self, finished: Finished) -> None:
        """Both workers put their artifacts into one place; a green test leaves none."""
        runs = finished.project.path / ".knav" / "runs"

        (run,) = [path for path in runs.iterdir() if not path.is_symlink()]
        # A name ends in a digest of the whole node id: no two tests share one.
        folders = [path for path in run.iterdir() if path.is_dir()]
        assert sorted(path.name.rpartition("-")[0] for path in folders) == [
            "test_all-test_harness",
            "test_all-test_late",
            "test_all-test_left_broken",
            "test_all-test_never_comes",
            "test_all-test_unsure",
        ]
        records = (run / "records.jsonl").read_text().splitlines()
        assert len(records) == 6
        assert (runs / "latest").resolve() == run

    def test_table(self, finished: Finished) -> None:
        """The controller prints what became of every fault."""
        table = finished.output.partition("chaos: seconds from the fault")[2]

        hit = r"\ntest_recovers +NodeCrash \S+ +Gang llama"
        assert re.search(hit + r"( +\d+\.\d){4} +60  pass\n", table)
        assert re.search(r"\ntest_late .* fail\n  NodeCrash\(node_of\(llama", table)
        assert re.search(r"\ntest_unsure .* inconclusive\n", table)
        assert re.search(r"\ntest_harness .* broken\n", table)

    def test_every_fault_is_taken_back(self, finished: Finished) -> None:
        """Also the one that a test left, and the one a failure passed through."""
        injected = [event["targets"] for event in finished.events("injected")]
        cleared = [event["targets"] for event in finished.events("cleared")]

        assert len(injected) == 4
        assert injected == cleared

    def test_junit(self, finished: Finished) -> None:
        """Each test that had a cluster carries its verdict."""
        # The file is our own.
        root = ET.parse(finished.project.path / "junit.xml")  # noqa: S314

        verdicts = {
            case.get("name"): {
                str(p.get("name")): p.get("value") for p in case.iter("property")
            }
            for case in root.iter("testcase")
        }
        assert {test: found["knav.verdict"] for test, found in verdicts.items()} == {
            "test_recovers": "pass",
            "test_late": "fail",
            "test_never_comes": "fail",
            "test_left_broken": "fail",
            "test_unsure": "inconclusive",
            "test_harness": "broken",
        }


class TestFailureText:
    """What a person reads first."""

    @pytest.mark.parametrize(
        ("test", "line", "words"),
        [
            (
                "test_late",
                'chaos.expect.recovered(gang, since=fault, within="1s")',
                ("NotRecovered", "within 1s", "2 of 2 up", "event Normal"),
            ),
            (
                "test_never_comes",
                'cluster.wait_for(gang.finished, timeout="1s")',
                ("WaitTimeout", "not reached within 1s", "2 of 2 up", "event Normal"),
            ),
            (
                "test_unsure",
                'chaos.expect.recovered(gang, since=fault, within="1s")',
                ("Inconclusive", "no member sat in the blast radius"),
            ),
            (
                "test_harness",
                'with chaos.inject(NodeCrash("no-such-node")):',
                ("BadInput", "no-such-node"),
            ),
        ],
    )
    def test_own_line_and_message(
        self, finished: Finished, test: str, line: str, words: tuple[str, ...]
    ) -> None:
        """The user's line, the message, where to look, and nothing of our insides."""
        section = finished.section(test)

        assert re.search(rf"\n> +{re.escape(line)}\n", section)
        assert [word for word in words if word not in section] == []
        assert re.search(rf"\nartifacts: .*/test_all-{test}", section)
        assert f"\nagain:     pytest test_all.py::{test} --knav-seed" in section
        assert "pytest_knav/" not in section
        assert len(section.splitlines()) < 40

    def test_again(self, finished: Finished, project: Callable[..., Any]) -> None:
        """The command that is printed breaks the same nodes, and leaks nothing."""
        # In a place of its own: others look at what the first run has left.
        made = project(test_all=SUITE, conftest=HOOKS)
        section = finished.section("test_left_broken")
        found = re.search(r"\nagain: +pytest (.*)", section)
        assert found

        code, output = made.run(*shlex.split(found.group(1)))

        second = Finished(project=made, code=code, output=output)
        (again,) = second.events("injected", worker="main")
        before = [e for e in finished.events("injected") if len(e["targets"]) == 4]
        assert code == 1, output
        assert [again["targets"]] == [event["targets"] for event in before]
        leaks = json.loads((made.path / "leaks.json").read_text())
        assert leaks == []


class TestAllure:
    """What Allure gets, and that it can show it."""

    @staticmethod
    def names(result: dict[str, Any], kind: str) -> list[str]:
        """Return the names of steps or attachments that are on the test itself."""
        return [part["name"] for part in result.get(kind, ())]

    def test_statuses(self, finished: Finished) -> None:
        """A broken promise is failed, what could not be told is broken."""
        results = finished.project.results()

        assert {name: r["status"] for name, r in results.items()} == {
            "test_recovers": "passed",
            "test_late": "failed",
            "test_never_comes": "failed",
            "test_left_broken": "failed",
            "test_unsure": "broken",
            "test_harness": "broken",
        }

    def test_steps(self, finished: Finished) -> None:
        """The steps of a test read as what was done."""
        result = finished.project.results()["test_recovers"]

        words = [name.split()[0] for name in self.names(result, "steps")]
        assert words == ["inject", "expect", "clear", "wait"]

    def test_attachments_of_a_green_test(self, finished: Finished) -> None:
        """A timeline, the phases of the recovery, a picture, and no logs."""
        result = finished.project.results()["test_recovers"]

        assert self.names(result, "attachments") == [
            "time profile",
            "recoveries",
            "timeline",
            "timeline.html",
            "cluster",
        ]

    def test_attachments_of_a_red_test(self, finished: Finished) -> None:
        """The logs of every component too."""
        names = self.names(finished.project.results()["test_late"], "attachments")

        assert "timeline" in names
        assert {"etcd.log", "kube-apiserver.log", "kube-scheduler.log"} <= set(names)

    def test_timeline_is_this_test(self, finished: Finished) -> None:
        """It tells of the fault that this test made."""
        result: Any = finished.project.results()["test_late"]
        (source,) = [
            part["source"]
            for part in result["attachments"]
            if part["name"] == "timeline"
        ]

        text = (finished.project.path / "results" / source).read_text()

        assert "test_all.py::test_late" in text
        assert "FAULT    NodeCrash(node_of(llama)) on dgx-h100-" in text

    def test_picture_shows_the_fault(self, finished: Finished) -> None:
        """The cluster as it was before the fault was taken back, in its colours."""
        result: Any = finished.project.results()["test_late"]
        (part,) = [p for p in result["attachments"] if p["name"] == "cluster"]

        text = (finished.project.path / "results" / part["source"]).read_text()

        assert part["type"] == "image/svg+xml"
        assert "with NodeCrash(node_of(llama)) in force" in text
        assert "hit by a fault" in text
        assert "gpu-0 to gpu-7: llama" in text

    def test_labels_and_parameters(self, finished: Finished) -> None:
        """Scheduler and fault are labels; the seed splits no history."""
        result: Any = finished.project.results()["test_late"]

        labels = {(label["name"], label["value"]) for label in result["labels"]}
        seeds = [p for p in result["parameters"] if p["name"] == "seed"]
        assert {("epic", "kube-scheduler"), ("feature", "node")} <= labels
        assert [p["excluded"] for p in seeds] == [True]

    def test_environment(self, finished: Finished) -> None:
        """The first page says on what the run was made."""
        path = finished.project.path / "results" / "environment.properties"

        facts = dict(line.split("=", 1) for line in path.read_text().splitlines())
        assert set(facts) == {
            "pytest-knav", "Kubernetes", "etcd", "KWOK", "seed", "time.profile",
            "topology",
        }  # fmt: skip
        assert facts["topology"] == "dgx-h100, 8 nodes"

    def test_renders(
        self, finished: Finished, allure_command: Path, pytestconfig: pytest.Config
    ) -> None:
        """Allure 3 makes one file of it, offline, with our categories."""
        rules = pytestconfig.rootpath / "reports" / "allurerc.mjs"
        command = [str(allure_command), "generate", "--config", str(rules)]

        done = subprocess.run(
            [*command, "--output", "report", "results"],
            cwd=finished.project.path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

        report = finished.project.path / "report"
        assert done.returncode == 0, done.stdout + done.stderr
        assert (report / "index.html").stat().st_size > 1_000_000
        stats = json.loads((report / "summary.json").read_text())["stats"]
        assert (stats["passed"], stats["failed"], stats["broken"]) == (1, 3, 2)
