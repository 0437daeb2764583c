"""The gate: its file, its answer, its summary."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from pytest_knav.cli import app
from pytest_knav.errors import BadInput
from pytest_knav.gate import Gate, Other, RecoveryRule, Run, judge, load_gate
from pytest_knav.gate.cover import Injected, check_name, coverage, covers, families
from pytest_knav.gate.judge import percentile
from pytest_knav.gate.summary import markdown
from pytest_knav.reports.record import RecoveryRow, TestRecord, write_records


if TYPE_CHECKING:
    from pathlib import Path

CRASH = "NodeCrash(node_of(llama)) on dgx-h100-0001"


def row(seconds: float | None, *, fault: str = CRASH) -> RecoveryRow:
    """Return a recovery; None: it never came back."""
    return RecoveryRow(
        fault=fault, workload="Gang llama", within_s=60, seconds=seconds, phases={},
        outcome="lost" if seconds is None else "recovered",
    )  # fmt: skip


def record(
    test: str = "t.py::test_a", verdict: str = "pass", **more: Any
) -> TestRecord:
    """Return the record of a test."""
    values: dict[str, Any] = {
        "test": test, "verdict": verdict, "topology": "dgx-h100", "nodes": 8,
        "seed": 7, "time_profile": "fast", "cluster_s": 1.0, "artifacts": "runs/1",
        "replay": f"pytest '{test}'", "faults": (CRASH,), "workloads": ("Gang",),
    }  # fmt: skip
    return TestRecord(**{**values, **more})


def answer(gate: Gate, *records: TestRecord, others: tuple[Other, ...] = ()) -> str:
    """Return the one line of an answer."""
    return str(judge(gate, Run(records=records, others=others)))


def times(*seconds: float | None) -> tuple[TestRecord, ...]:
    """Return a record for each of these recoveries."""
    return tuple(
        record(f"t.py::test_{at}", recoveries=(row(s),)) for at, s in enumerate(seconds)
    )


class TestAnswer:
    """BLOCK, SHIP or RERUN, and why."""

    def test_all_passed(self) -> None:
        """What passed ships, though nothing was asked for by name."""
        assert answer(Gate(), record()) == "SHIP: 1 test holds to 4 rules"

    def test_a_failure_blocks_unless_it_is_allowed(self) -> None:
        """By default none may; a severity that is not bounded does not block."""
        failed = record("t.py::test_b", "fail", severity="minor")

        assert answer(Gate(), failed) == "BLOCK: 1 test (test_b) failed newly"
        assert answer(Gate(new_failures={"critical": 0}), failed).startswith("SHIP")
        assert answer(Gate(new_failures={"minor": 1}), failed).startswith("SHIP")

    def test_a_bound_is_for_what_is_worse_too(self) -> None:
        """A blocker is no way around `critical: 0`."""
        gate = Gate(new_failures={"critical": 0})

        assert answer(gate, record(verdict="fail", severity="blocker")) == (
            "BLOCK: 1 test (test_a) failed newly"
        )

    @pytest.mark.parametrize("verdict", ["inconclusive", "broken"])
    def test_who_cannot_tell_is_asked_again(self, verdict: str) -> None:
        """Neither red nor green: the run has to be repeated."""
        unsure = record("t.py::test_b", verdict)

        assert answer(Gate(), record(), unsure) == f"RERUN: 1 test (test_b) {verdict}"
        assert answer(Gate(**{verdict: 1}), record(), unsure).startswith("SHIP")

    def test_a_failure_is_worse_than_not_to_know(self) -> None:
        """BLOCK wins, and says only what blocks."""
        records = (record("a::x", "fail"), record("a::y", "inconclusive"))

        assert answer(Gate(), *records) == "BLOCK: 1 test (x) failed newly"

    def test_nothing_judged_is_not_shipped(self) -> None:
        """An empty run proves nothing."""
        assert answer(Gate()).startswith("RERUN: no test with a cluster has ended")

    def test_tests_without_a_record_count(self) -> None:
        """A worker that died and a test that had no cluster are not forgotten."""
        died = Other(test="t.py::test_c", verdict="broken")
        red = Other(test="t.py::test_d", verdict="fail")

        assert answer(Gate(), record(), others=(died,)).startswith(
            "RERUN: 1 test (test_c"
        )
        assert answer(Gate(), record(), others=(red,)).startswith(
            "BLOCK: 1 test (test_d"
        )

    def test_known_new_and_flaky_are_apart(self) -> None:
        """A known bug blocks nothing; what fails now and then is no new failure."""
        turns = [
            record(f"t.py::test_f[run{at}of2]", verdict)
            for at, verdict in ((1, "pass"), (2, "fail"))
        ]
        known = record("t.py::test_k", "known bug")

        found = judge(Gate(), Run(records=(*turns, known, record("t.py::n", "fail"))))

        assert list(found.failures.flaky) == ["t.py::test_f"]
        assert list(found.failures.known) == ["t.py::test_k"]
        assert list(found.failures.new) == ["t.py::n"]
        assert str(found) == ("BLOCK: 1 test (n) failed newly; 1 test (test_f) flaky")

    def test_what_failed_in_the_baseline_is_known(self) -> None:
        """Main is red already: the change is not to blame."""
        failed = record(verdict="fail")

        found = judge(Gate(), Run(records=(failed,)), baseline=[failed])

        assert found.word == "SHIP"
        assert list(found.failures.known) == ["t.py::test_a"]


class TestCover:
    """What must have been tested."""

    def test_what_was_not_tested_blocks(self) -> None:
        """Green that proves nothing is worthless."""
        gate = Gate(must_cover=("node.crash", "gpu.xid"))

        assert answer(gate, record()) == "BLOCK: gpu.xid was not tested"

    def test_what_could_not_be_judged_is_asked_again(self) -> None:
        """It was injected, and nobody knows what came of it."""
        gate = Gate(must_cover=("node.crash",), inconclusive=1)

        assert answer(gate, record(verdict="inconclusive")).startswith(
            "RERUN: node.crash was injected"
        )

    @pytest.mark.parametrize(
        ("name", "fault"),
        [
            ("node", CRASH),
            ("node.crash", CRASH),
            ("gpu.xid", "GpuXid(gpu_of(w), xid=79) on n/gpu-1"),
            ("link.switch", "SwitchDown(leaf_of(w)) on leaf-1"),
            ("link.leaf", "SwitchDown(leaf_of(w)) on leaf-1"),
            ("link.leaf", "SwitchDown(leaf('su-000')) on leaf-1"),
        ],
    )
    def test_names(self, name: str, fault: str) -> None:
        """Family and what it is, a word of it, or what it hit."""
        check_name(name)

        assert covers(name, Injected.of(fault), families())

    def test_another_fault_does_not_cover(self) -> None:
        """A spine is no leaf, a reboot is no crash."""
        spine = Injected.of("SwitchDown(spine_of(w)) on spine-1")

        assert not covers("link.leaf", spine, families())
        assert not covers("node.reboot", Injected.of(CRASH), families())

    @pytest.mark.parametrize(
        ("name", "message"),
        [("disk.full", "no family 'disk': use"), ("node.melt", "use .*node.crash")],
    )
    def test_unknown_names(self, name: str, message: str) -> None:
        """The message shows what there is."""
        with pytest.raises(BadInput, match=message):
            check_name(name)

    def test_the_table_shows_what_was_not_tested(self) -> None:
        """By fault and workload, the worst of each invariant; the rest is empty."""
        gang = record(checks={"gang": "pass", "once": "pass"}, recoveries=(row(3),))
        late = record("t::b", "fail", checks={"gang": "fail"}, recoveries=(row(None),))
        lost = record("t::c", "broken", faults=("GpuXid(gpu_of(w)) on n/gpu-1",))

        found = coverage([gang, late, lost])

        cells = found.rows["node.crash", "Gang"]
        assert cells == {
            "test": "fail", "gang": "fail", "once": "pass", "recovered": "fail"
        }  # fmt: skip
        assert found.invariants[0] == "test"
        assert found.unjudged == ("gpu.xid",)
        assert "node.reboot" in found.faults
        assert "node.crash" not in found.faults
        assert "devices" in found.unseen
        assert "gang" not in found.unseen


class TestRecovery:
    """The 95th percentile of recoveries."""

    def test_percentile(self) -> None:
        """Of twenty it is the nineteenth; of one, that one."""
        assert percentile(range(1, 21), 0.95) == 19
        assert percentile([4], 0.95) == 4

    def test_too_few_are_inconclusive(self) -> None:
        """Nineteen good ones are no evidence where twenty were asked for."""
        gate = Gate(recovery_p95=RecoveryRule(at_most_s=60))

        assert answer(gate, *times(*[5.0] * 19)) == (
            "RERUN: recovery_p95: 19 recoveries, 20 are needed"
        )
        assert answer(gate, *times(*[5.0] * 20)).startswith("SHIP")

    def test_too_slow_blocks(self) -> None:
        """One of twenty may be slow, two may not."""
        gate = Gate(recovery_p95=RecoveryRule(at_most_s=60))

        assert answer(gate, *times(*[5.0] * 19, 99.0)).startswith("SHIP")
        assert answer(gate, *times(*[5.0] * 18, 99.0, 99.0)) == (
            "BLOCK: recovery_p95 is 99.0s of 20 recoveries, at most 60s"
        )

    def test_what_never_came_back_is_slowest(self) -> None:
        """Losses do not make the rest look fast."""
        gate = Gate(recovery_p95=RecoveryRule(at_most_s=60))

        assert answer(gate, *times(*[5.0] * 18, None, None)).startswith(
            "BLOCK: recovery_p95: 2 of 20 never came back, at most 60s"
        )

    @pytest.mark.parametrize(
        ("now", "word"),
        [
            ([10.0 + at / 10 for at in range(20)], "SHIP"),
            ([15.0 + at / 10 for at in range(20)], "BLOCK"),
            ([10.0 + at / 10 for at in range(18)] + [20.0, 21.0], "RERUN"),
        ],
    )
    def test_against_a_baseline(self, now: list[float], word: str) -> None:
        """Slower as a whole blocks; two outliers could be chance: asked again."""
        gate = Gate(recovery_p95=RecoveryRule(vs="main", worse_by=0.1))
        before = times(*[10.0 + at / 10 for at in range(20)])

        assert judge(gate, Run(records=times(*now)), before).word == word

    def test_no_baseline_yet(self) -> None:
        """The first run cannot be compared: it says so and does not pass."""
        gate = Gate(recovery_p95=RecoveryRule(vs="main"))

        assert answer(gate, *times(*[5.0] * 20)) == (
            "RERUN: recovery_p95 vs main: there is none; "
            "knav gate RUN --save main keeps one"
        )

    def test_losses_are_infinite(self) -> None:
        """Also as a value: never is not a large number of seconds."""
        assert math.isinf(percentile([1.0, math.inf], 0.95))


class TestFile:
    """What users write."""

    def test_the_example_of_the_docs(self, tmp_path: Path) -> None:
        """Everything that there is, read as it is meant."""
        path = tmp_path / "gate.yaml"
        path.write_text(
            "inconclusive: 0\n"
            "new_failures: {critical: 0}\n"
            "must_cover: [node.crash, gpu.xid, link.leaf]\n"
            "recovery_p95: {at_most: 60s, vs: main, worse_by: 10%, samples: 20}\n"
        )

        assert load_gate(path) == Gate(
            new_failures={"critical": 0},
            must_cover=("node.crash", "gpu.xid", "link.leaf"),
            recovery_p95=RecoveryRule(at_most_s=60, vs="main", worse_by=0.1),
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("inconclusive: -1", "line 1: inconclusive: input should be greater"),
            ("flaky: 1\nfail: 0", "line 2: fail: there is no such field: use"),
            ("new_failures:\n  bad: 0", "line 2: new_failures.bad: "),
            ("must_cover:\n- node.crash\n- disk.full", "line 3: .*no family 'disk'"),
            ("recovery_p95:\n  at_most: soon", "line 2: recovery_p95.at_most: .*soon"),
            ("recovery_p95:\n  vs: main\n  worse_by: x", "line 3: .*10% or 0.1"),
            (
                "recovery_p95:\n  vs: main\n  worse_by: 10",
                "line 3: .*10.*: give a share",
            ),
            ("recovery_p95:\n  atmost: 3", "line 2: .*no such field: use at_most, vs"),
            ("recovery_p95: 60s", "'60s': give what it is held to, such as {at_most"),
            ("new_failures: 0", "0: give how many of which severity"),
            ("must_cover: node", "'node': give a list of faults"),
            ("recovery_p95: {samples: 3}", "line 1: recovery_p95: give at_most, or vs"),
            ("[]", "holds no fields: write `must_cover:"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, text: str, message: str) -> None:
        """Each with its line, its field, and what is allowed."""
        path = tmp_path / "gate.yaml"
        path.write_text(text)

        with pytest.raises(BadInput, match=message):
            load_gate(path)

    def test_no_such_file(self, tmp_path: Path) -> None:
        """The path is in the message."""
        with pytest.raises(BadInput, match=r"no\.yaml: No such file"):
            load_gate(tmp_path / "no.yaml")


def test_summary() -> None:
    """The answer first; failures with the command that replays them; the table."""
    failed = record(
        "t.py::test_b[run1of2]", "fail", checks={"gang": "fail"}, reason="too <late>"
    )
    run = Run(records=(record(checks={"gang": "pass"}), failed))

    text = markdown(judge(Gate(), run), run)

    assert text.startswith("## BLOCK: 1 test (test_b) failed newly\n")
    assert "- critical: t.py::test_b: `pytest 't.py::test_b[run1of2]'`" in text
    assert "<br>too &lt;late>" in text
    assert "Invariants that had nothing to judge: capacity, " in text
    assert "| node.crash | Gang | ✗ | ✗ |" in text
    assert "faults were not injected" in text


class TestCommand:
    """`knav gate`."""

    @pytest.fixture
    def gate(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Return a gate's file, in the current directory."""
        monkeypatch.chdir(tmp_path)
        path = tmp_path / "gate.yaml"
        path.write_text("recovery_p95: {vs: main, samples: 5}\n")
        return path

    def run(self, directory: Path, *seconds: float) -> Path:
        """Return a stored run with these recoveries."""
        directory.mkdir()
        write_records(directory, times(*seconds))
        return directory

    def test_a_baseline_is_saved_and_used(self, tmp_path: Path, gate: Path) -> None:
        """The first run has none and is saved; the next is held against it."""
        first = self.run(tmp_path / "1", *[5.0] * 8)
        second = self.run(tmp_path / "2", *[9.0] * 8)

        saved = CliRunner().invoke(app, ["gate", str(first), "--save", "main"])
        told = CliRunner().invoke(
            app, ["gate", str(second), "--summary", "out.md", "--file", str(gate)]
        )

        assert saved.exit_code == 10
        assert told.exit_code == 1
        assert told.stdout.startswith("BLOCK: recovery_p95 vs main is 9.0s after 5.0s")
        assert (tmp_path / "out.md").read_text().startswith("## BLOCK")

    def test_json(self, tmp_path: Path, gate: Path) -> None:
        """For machines: the word, why, and each rule."""
        gate.write_text("must_cover: [node.crash]\n")
        run = self.run(tmp_path / "1", 5.0)

        told = CliRunner().invoke(app, ["gate", str(run), "--json"])

        data = json.loads(told.stdout)
        assert told.exit_code == 0
        assert data["answer"] == "SHIP"
        assert data["findings"][-1]["rule"] == "must_cover node.crash"
