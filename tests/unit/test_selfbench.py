"""The bench without clusters: figures, targets, files, words and refusals."""

from __future__ import annotations

import io
import os
import platform
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from pytest_knav import cli
from pytest_knav.control_plane.plane import Binaries
from pytest_knav.errors import BadInput
from pytest_knav.selfbench import cases, machine, plot, table
from pytest_knav.selfbench.cases import FAST, OURS_PLAIN, PLAIN, UNRECORDED
from pytest_knav.selfbench.counts import await_nodes, await_pods
from pytest_knav.selfbench.course import Kit
from pytest_knav.selfbench.courses import courses
from pytest_knav.selfbench.measures import OURSELVES, Meter
from pytest_knav.selfbench.progress import Bar
from pytest_knav.selfbench.results import Failure, Report, Result, Sample, pairs
from pytest_knav.selfbench.run import without_paths
from pytest_knav.selfbench.sizes import SIZES, TINY, size_named
from pytest_knav.selfbench.targets import TARGETS, judge


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_knav.selfbench.targets import Verdict

MACHINE = {
    "system": "Linux 6.1",
    "architecture": "x86_64",
    "processor": "a processor",
    "cores": "2",
    "memory": "24 GiB",
}


def sample(number: int, seconds: float, **cpu_s: float) -> Sample:
    """Return a measurement; the names of components have dashes."""
    used = {name.replace("_", "-"): value for name, value in cpu_s.items()}
    return Sample(
        round=number, seconds=seconds, cpu_s=used, peak_mib={"etcd": 40.0 + number}
    )


def result(case: str, side: str, *seconds: float, objects: int = 1) -> Result:
    """Return the measurements of a case, one a round, with half its time as CPU."""
    samples = tuple(
        sample(number, took, kube_apiserver=took / 4, knav=took / 4)
        for number, took in enumerate(seconds, start=1)
    )
    return Result(case=case, side=side, size="small", objects=objects, samples=samples)


def report(*results: Result, failures: tuple[Failure, ...] = ()) -> Report:
    """Return the report of a run in which these cases were wanted."""
    return Report(
        size="small",
        nodes=100,
        pods=1_000,
        reset_nodes=32,
        reset_pods=100,
        rounds=3,
        cases=tuple(dict.fromkeys(r.case for r in results)),
        taken="2026-01-01",
        machine=MACHINE,
        versions={"Kubernetes": "1.36.3"},
        results=results,
        failures=failures,
    )


def verdict(found: Report, case: str) -> Verdict:
    """Return the first verdict about a case."""
    return next(one for one in judge(found) if one.case == case)


class TestResults:
    """Figures of several rounds."""

    def test_the_median_counts(self) -> None:
        """One slow round does not move a figure."""
        found = result("nodes", FAST, 1.0, 9.0, 2.0)

        assert found.seconds == 2.0
        assert found.cpu_s == {"kube-apiserver": 0.5, "knav": 0.5}
        assert found.all_cpu_s == 1.0
        assert found.peak_mib == {"etcd": 42.0}

    def test_rounds_are_compared_with_themselves(self) -> None:
        """A round that failed on one side is left out of the other."""
        both = result("nodes", FAST, 1.0, 2.0, 3.0)
        one = replace(both, samples=(both.samples[0], both.samples[2]))

        assert [(a.round, b.round) for a, b in pairs(both, one)] == [(1, 1), (3, 3)]

    def test_json_gives_back_what_it_was_given(self) -> None:
        """Also with what was added for readers, and with failures."""
        failure = Failure(case="save", side=PLAIN, round=1, error="no")
        written = report(result("nodes", FAST, 1.0, 2.0), failures=(failure,))

        text = written.to_json(verdicts=[])

        assert Report.from_json(text, "it") == written

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("{", "it is not JSON"),
            ("[]", "it is no result of `knav selfbench --json`"),
            ('{"format": "pytest-knav-selfbench", "version": 9}', "format version 9"),
            ('{"format": "pytest-knav-selfbench", "version": 1}', "it is damaged"),
        ],
    )
    def test_json_of_something_else_is_refused(self, text: str, says: str) -> None:
        """With the reason."""
        with pytest.raises(BadInput, match=says):
            Report.from_json(text, "it")

    def test_errors_say_nothing_of_where_things_lie(self) -> None:
        """A report may be shown to others."""
        error = "kwokctl failed: /home/me/state/kwok/a.log: https://127.0.0.1:1/x"

        assert without_paths(error) == (
            "kwokctl failed: …/a.log: https://127.0.0.1:1/x"
        )


class TestTargets:
    """Promises, kept and broken."""

    def test_more_is_better_where_it_is(self) -> None:
        """Nodes are to be ten times faster."""
        slow = result("nodes", PLAIN, 10.0, 10.0, 10.0)

        met = verdict(report(slow, result("nodes", FAST, 1.0, 1.0, 1.0)), "nodes")
        missed = verdict(report(slow, result("nodes", FAST, 2.0, 2.0, 1.0)), "nodes")

        assert (met.state, met.figure) == ("met", 10.0)
        assert (missed.state, missed.figure) == ("missed", 5.0)
        assert missed.figure_text == "5.00x (5.00 to 10.0)"

    def test_a_ratio_is_that_of_neighbours_in_time(self) -> None:
        """A machine that is slow in one round is so for both sides."""
        plain = result("cluster", PLAIN, 2.0, 20.0, 4.0)
        fast = result("cluster", FAST, 3.0, 24.0, 4.0)

        assert verdict(report(plain, fast), "cluster").figure == 1.2

    def test_a_restore_is_held_against_the_making(self) -> None:
        """Nodes and pods of plain kwokctl together."""
        made = [result("nodes", PLAIN, 4.0), result("pods", PLAIN, 36.0)]

        measured = replace(report(*made, result("restore", FAST, 2.0)), size="1k")
        found = verdict(measured, "restore")

        assert (found.figure_text, found.state) == ("20.0x", "met")

    def test_the_recorder_costs_what_it_and_the_api_server_use_more(self) -> None:
        """As a share of all CPU seconds of the run that was recorded."""
        used = {"kube_apiserver": 50.0, "knav": 5.0, "etcd": 45.0}
        recorded = sample(1, 9.0, **used)
        bare = sample(1, 9.0, kube_apiserver=48.0, knav=1.0, etcd=99.0)
        both = (
            replace(result("pods", FAST), samples=(recorded,)),
            replace(result("recorder", UNRECORDED), samples=(bare,)),
        )

        found = verdict(report(*both), "recorder")

        assert (found.figure_text, found.state) == ("6.00 %", "missed")

    def test_what_was_not_measured_is_neither(self) -> None:
        """Without the plain side there is no ratio, and that is said."""
        found = verdict(report(result("nodes", FAST, 1.0)), "nodes")

        assert (found.state, found.figure_text) == ("not measured", "")

    def test_a_promise_for_one_size_is_not_judged_at_another(self) -> None:
        """A large reset within 8 s is promised for 1,000 nodes; its figure is shown."""
        found = report(result("reset-large", FAST, 60.0))

        (other,) = judge(replace(found, size="5k"))
        (promised,) = judge(replace(found, size="1k"))

        assert (other.state, other.figure) == ("not promised here", 60.0)
        assert promised.state == "missed"

    def test_every_target_is_about_a_case(self) -> None:
        """And every case has a title."""
        assert {target.case for target in TARGETS} <= set(cases.CASES)
        assert set(table.TITLES) == set(cases.CASES)


class TestPage:
    """The tables."""

    def test_targets_show_whether_they_are_met(self) -> None:
        """What is missed stands out, and is never left away."""
        text = table.page(
            [
                report(
                    result("cluster", PLAIN, 2.0),
                    result("cluster", FAST, 2.0),
                    result("crash", FAST, 3.5),
                )
            ]
        )

        assert "--wait` | ≤ 1.3x | met |" in text
        assert "≤ 1 s | **missed** |" in text
        assert "≤ 1.3x | **not measured** |" in text

    def test_both_sides_stand_together(self) -> None:
        """In the order of the cases, whatever was measured first."""
        lines = table.page(
            [
                report(
                    result("pods", FAST, 1.0),
                    result("nodes", FAST, 1.0, 2.0, 4.0, objects=100),
                    result("nodes", PLAIN, 8.0),
                )
            ]
        ).splitlines()

        nodes = [line for line in lines if "until all are Ready" in line]
        assert [line.split(" | ")[2] for line in nodes] == [
            "plain kwokctl", "pytest-knav",
        ]  # fmt: skip
        assert "100 nodes, until all are Ready" in nodes[0]
        assert nodes[1].endswith("| 2.00 | 1.00 | 4.00 |")

    def test_failures_are_listed(self) -> None:
        """On one line each."""
        failure = Failure(case="save", side=PLAIN, round=2, error="it\nfailed")

        text = table.page([report(failures=(failure,))])

        assert "- save, plain kwokctl, round 2: it failed" in text


class TestPlot:
    """The picture."""

    def test_is_well_formed(self) -> None:
        """A line for each case and side, a point for each size."""
        small = report(
            result("nodes", FAST, 1.0, objects=100),
            result("nodes", PLAIN, 2.0, objects=100),
        )
        large = report(result("nodes", FAST, 3.0, objects=1_000))

        root = ET.fromstring(plot.svg([small, large]))  # noqa: S314 - our own

        space = "{http://www.w3.org/2000/svg}"
        assert len(root.findall(f"{space}circle")) == 3
        labels = [text.text for text in root.findall(f"{space}text")]
        assert "nodes, pytest-knav" in labels
        assert "nodes, plain kwokctl" in labels

    def test_cost_is_for_each_object(self) -> None:
        """Two seconds for 100 objects are 20 ms each."""
        found = plot.series([report(result("pods", FAST, 2.0, objects=100))])

        assert found[0].points == ((100, 20.0),)

    def test_says_when_there_is_nothing(self) -> None:
        """A run of other cases has no such cost."""
        text = plot.svg([report(result("crash", FAST, 1.0))])

        ET.fromstring(text)  # noqa: S314 - our own
        assert "Nothing was measured" in text


class TestChoice:
    """Which cases a run has."""

    def test_a_case_brings_what_it_needs(self) -> None:
        """In the order in which they are measured."""
        assert cases.chosen(["save"], TINY) == ("cluster", "nodes", "pods", "save")

    def test_all_but_the_large_reset_by_default(self) -> None:
        """That one needs a size that has it."""
        every = set(cases.CASES)

        assert set(cases.chosen((), size_named("small"))) == every - {"reset-large"}
        assert set(cases.chosen((), size_named("1k"))) == every

    @pytest.mark.parametrize(
        ("plain", "sides"),
        [
            (True, {PLAIN, OURS_PLAIN, FAST}),
            (False, {FAST}),
        ],
    )
    def test_without_plain_nothing_is_made_for_comparison_alone(
        self, tmp_path: Path, *, plain: bool, sides: set[str]
    ) -> None:
        """Not even our own plain control plane."""
        kit = Kit(
            name="bench",
            binaries=Binaries(paths={}, versions={}),
            folder=tmp_path,
            size=TINY,
            tick=lambda _done, _total: None,
        )

        found = list(courses(kit, ["cluster"], plain=plain))

        assert {course.side for course in found} == sides
        assert {step.case for course in found for step in course.steps} == {"cluster"}

    def test_plain_kwokctl_takes_too_long_at_5k(self) -> None:
        """So it is measured there only when it is asked for."""
        assert [name for name, size in SIZES.items() if size.plain] == ["small", "1k"]


class Asked:
    """An API server with so many objects, some of them not yet as they should be."""

    def __init__(self, *lists: tuple[int, int]) -> None:
        self._lists = iter(lists)
        self._now = (0, 0)

    def get(self, _path: str, **params: str) -> dict[str, Any]:
        """Return a list of one object, or of those that do not run."""
        if "fieldSelector" in params:
            return {"items": [{}][: self._now[1]], "metadata": {}}
        self._now = next(self._lists)
        there = self._now[0]
        metadata = {"remainingItemCount": there - 1} if there > 1 else {}
        return {"items": [{}][:there], "metadata": metadata}

    def get_as(self, _path: str, _accept: str) -> dict[str, Any]:
        """Return the status column."""
        there, bad = self._now
        states = ["NotReady"] * bad + ["Ready,SchedulingDisabled"] * (there - bad)
        return {
            "columnDefinitions": [{"name": "Name"}, {"name": "Status"}],
            "rows": [{"cells": ["n", state]} for state in states],
        }


@pytest.mark.parametrize("wait", [await_nodes, await_pods])
def test_counting_ends_when_all_are_there_and_well(wait: Callable[..., None]) -> None:
    """Not when they are only there, and not when some are missing."""
    ticks: list[tuple[int, int]] = []
    server = Asked((0, 0), (2, 0), (3, 1), (3, 0))

    wait(server, 3, lambda done, total: ticks.append((done, total)))

    assert ticks == [(0, 3), (2, 3), (3, 3), (3, 3)]


class TestMeter:
    """CPU seconds and memory from /proc."""

    @pytest.fixture
    def workdir(self, tmp_path: Path) -> Path:
        """Return a work directory with a program in it."""
        (tmp_path / "pids").mkdir()
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "etcd").symlink_to(sys.executable)
        return tmp_path

    def busy(self, workdir: Path, seconds: float) -> subprocess.Popen[bytes]:
        """Start a component that uses so much CPU, says so, and waits."""
        code = (
            "import time, sys\n"
            f"while time.process_time() < {seconds}: pass\n"
            "print(flush=True); sys.stdin.read()"
        )
        process = subprocess.Popen(
            [str(workdir / "bin" / "etcd"), "-S", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        (workdir / "pids" / "etcd.pid").write_text(str(process.pid))
        return process

    def test_a_restarted_process_keeps_its_seconds(self, workdir: Path) -> None:
        """Both incarnations count, and what was used before the step does not."""
        first = self.busy(workdir, 0.3)
        assert first.stdout is not None
        first.stdout.readline()
        with Meter(workdir).measure() as usage:
            first.communicate()
            second = self.busy(workdir, 0.2)
            assert second.stdout is not None
            second.stdout.readline()
        second.communicate()

        assert usage.cpu_s["etcd"] == pytest.approx(0.2, abs=0.1)
        assert usage.peak_mib["etcd"] > 1
        assert usage.peak_mib[OURSELVES] > 1

    def test_another_process_of_the_same_pid_is_not_counted(
        self, workdir: Path
    ) -> None:
        """A pid file outlives its process."""
        (workdir / "pids" / "etcd.pid").write_text(str(os.getpid()))

        with Meter(workdir).measure() as usage:
            pass

        assert set(usage.cpu_s) == {OURSELVES}


class TestBar:
    """What is seen of the progress."""

    def test_plain_lines_in_a_log(self) -> None:
        """One at the end of each step, and one a minute while it lasts."""
        out, clock = io.StringIO(), count(0.0, 40.0)
        bar = Bar(out, live=False, clock=lambda: next(clock))

        bar.begin("pods", 2, 5)
        for _ in range(3):
            bar.tick(3, 9)
        bar.end("1.00 s")

        assert out.getvalue() == (
            "[2/5] pods: 3 of 9 there, 1 min 20 s\n[2/5] pods: 1.00 s\n"
        )

    def test_a_bar_on_a_terminal(self) -> None:
        """Redrawn in place, and gone before the line of the step."""
        out = io.StringIO()
        bar = Bar(out, live=True, clock=lambda: 0.0)

        bar.begin("pods", 3, 4)
        bar.end("1.00 s")

        drawn, ended = out.getvalue().split("\x1b[K")[:2]
        assert drawn == f"\r[{'#' * 12}{'.' * 12}] 3/4 pods"
        assert ended == "\r"


class TestCommand:
    """`knav selfbench` without measuring."""

    @pytest.fixture
    def knav(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Callable[..., tuple[int, str, str]]:
        """Return a function that runs it: exit code, output and errors."""
        handler = signal.getsignal(signal.SIGTERM)

        def run(*arguments: str) -> tuple[int, str, str]:
            monkeypatch.setattr(sys, "argv", ["knav", "selfbench", *arguments])
            with pytest.raises(SystemExit) as ended:
                cli.main()
            signal.signal(signal.SIGTERM, handler)
            said = capsys.readouterr()
            return int(ended.value.code or 0), said.out, said.err

        return run

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--size", "huge"], "--size 'huge' is unknown: use one of small, 1k, 5k"),
            (["--rounds", "0"], "--rounds 0: give at least 1"),
            (["--rounds", "few"], "'few' is not a whole number"),
            (["--only", "speed"], "--only 'speed' is unknown: use cluster, nodes"),
            (["--only", "reset-large"], "not part of --size small"),
            (["--json", "no/such/a.json"], "--json no/such/a.json: no/such is no dir"),
            (["--from", "no.json"], "no.json: No such file"),
            (["--from", "a", "--json", "b"], "with --from nothing is"),
        ],
    )
    def test_what_is_wrong_is_said_at_once(
        self,
        knav: Callable[..., tuple[int, str, str]],
        arguments: list[str],
        says: str,
    ) -> None:
        """The message shows the value; the exit code is 2."""
        code, out, err = knav(*arguments)

        assert (code, out) == (2, "")
        assert says in err

    def test_shows_what_was_measured_before(
        self, knav: Callable[..., tuple[int, str, str]], tmp_path: Path
    ) -> None:
        """Several sizes on one page, with one plot, which the page links to."""
        for name in ("small", "1k"):
            found = replace(report(result("nodes", FAST, 1.0)), size=name)
            (tmp_path / f"{name}.json").write_text(found.to_json())
        page, picture = tmp_path / "page.md", tmp_path / "plot.svg"

        code, out, _ = knav(
            "--from", str(tmp_path / "small.json"), "--from", str(tmp_path / "1k.json"),
            "--write", str(page), "--plot", str(picture),
        )  # fmt: skip

        assert code == 0
        assert "## small:" in out
        assert "## 1k:" in page.read_text()
        assert "(plot.svg)" in page.read_text()
        ET.fromstring(picture.read_text())  # noqa: S314 - our own

    @pytest.mark.parametrize(
        ("seconds", "options", "code"),
        [(3.0, [], 0), (3.0, ["--check"], 1), (0.5, ["--check"], 0)],
    )
    def test_missed_targets_fail_when_asked(
        self,
        knav: Callable[..., tuple[int, str, str]],
        tmp_path: Path,
        seconds: float,
        options: list[str],
        code: int,
    ) -> None:
        """A gate has `--check`; others read the table."""
        path = tmp_path / "a.json"
        path.write_text(report(result("crash", FAST, seconds)).to_json())

        assert knav("--from", str(path), *options)[0] == code

    def test_a_failed_case_fails_the_run(
        self, knav: Callable[..., tuple[int, str, str]], tmp_path: Path
    ) -> None:
        """Whatever else was measured."""
        path = tmp_path / "a.json"
        failure = Failure(case="save", side=FAST, round=1, error="no")
        path.write_text(report(failures=(failure,)).to_json())

        assert knav("--from", str(path))[0] == 1


def test_the_machine_has_no_name() -> None:
    """A report may be shown to others."""
    found = machine.facts()

    assert set(found) == set(MACHINE)
    assert platform.node() not in found.values()
