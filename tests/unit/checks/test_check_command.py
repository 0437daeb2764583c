"""``knav check``: a stored run is judged again."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_knav import cli
from pytest_knav.checks.standing import JUDGED
from pytest_knav.history import HistoryWriter
from pytest_knav.history.record import STEP


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OWN = """
from pytest_knav.checks import Verdict

def few_pods(history):
    count = len(history.latest("Pod"))
    status = "pass" if count < 2 else "fail"
    return [Verdict(check="few pods", status=status, reasons=(f"{count} pods",))]

def nothing(history):
    return 7
"""


class Said(NamedTuple):
    """What the command printed and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def knav(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Said]:
    """Return the command, run in this process and in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    # What the command puts there for a user's own check goes with the test.
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["knav", "check", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return run


def stored(story: Any, run: Path, test: str) -> None:
    """Write a story as the history of a test of a run."""
    writer = HistoryWriter(run / test / "history")
    writer.extend(story.history.records())
    writer.close()


def overfull(story: Any) -> None:
    """Tell of nine GPUs on a node of eight."""
    story.node(0, "n1")
    story.start(1, "w-0-a", "n1")
    story.start(6, "v-0-a", "n1", gpus=1)


class TestVerdicts:
    """What it says of a run, and how it ends."""

    def test_good_run(self, knav: Any, story: Any, tmp_path: Path) -> None:
        """Everything that had something to judge is listed; the code is 0."""
        story.node(0, "n1")
        story.start(1, "w-0-a", "n1")
        stored(story, tmp_path, "test_a")

        said = knav(str(tmp_path))

        assert said.code == 0
        assert "test_a\n  pass" in said.out
        assert "capacity: no node" in said.out
        assert "devices" not in said.out

    def test_broken_run(self, knav: Any, story: Any, tmp_path: Path) -> None:
        """What was broken is shown with its evidence; the code is 1."""
        overfull(story)
        stored(story, tmp_path, "test_a")

        said = knav(str(tmp_path / "test_a"))

        assert said.code == 1
        assert "took 9 of 8 nvidia.com/gpu" in said.out

    def test_gap(self, knav: Any, story: Any, tmp_path: Path) -> None:
        """What could not be told gives the code 10."""
        story.node(0, "n1")
        story.start(1, "w-0-a", "n1")
        story.seen.gap(9, "Pod")
        stored(story, tmp_path, "test_a")

        assert knav(str(tmp_path)).code == 10

    def test_limits_of_the_run(self, knav: Any, story: Any, tmp_path: Path) -> None:
        """It is held to what it was held to: capacity was switched off in it."""
        overfull(story)
        asked = {"asked": {"placement": None}, "until_s": 60.0}
        story.seen._add(20, JUDGED, STEP, "", "", data=asked)
        stored(story, tmp_path, "test_a")

        assert knav(str(tmp_path)).code == 0
        assert knav(str(tmp_path), "--check", "capacity").code == 1

    def test_json(self, knav: Any, story: Any, tmp_path: Path) -> None:
        """Verdicts as data, with their moments."""
        overfull(story)
        stored(story, tmp_path, "test_a")

        said = knav(str(tmp_path), "--check=capacity", "--json")

        (row,) = json.loads(said.out)
        assert row["test"] == "test_a"
        assert row["invariant"] == "capacity"
        assert row["status"] == "fail"
        assert row["moments"] == [6.1]

    def test_limit_of_ones_own(self, knav: Any, story: Any, tmp_path: Path) -> None:
        """The same run passes with one limit and fails with another."""
        story.submit(expected=2, gang=True)
        story.start(1, "w-0-a", "n1")
        story.start(5, "w-1-a", "n2")
        stored(story, tmp_path, "test_a")

        assert knav(str(tmp_path), "--check=gang=5s").code == 0
        assert knav(str(tmp_path), "--check=gang=2s").code == 1

    def test_asked_by_name_and_nothing_there(
        self, knav: Any, story: Any, tmp_path: Path
    ) -> None:
        """An invariant that has nothing to judge cannot be told."""
        story.node(0, "n1")
        stored(story, tmp_path, "test_a")

        assert knav(str(tmp_path), "--check=devices").code == 10


class TestOwnCheck:
    """A function of the user's own judges a stored run."""

    @pytest.fixture(autouse=True)
    def module(self, tmp_path: Path, request: pytest.FixtureRequest) -> str:
        """Return the name of a module with checks; another one for each test."""
        name = f"own_{request.node.originalname}"
        (tmp_path / f"{name}.py").write_text(OWN)
        return name

    def test_is_asked(self, knav: Any, story: Any, tmp_path: Path, module: str) -> None:
        """It gets the whole history, and its verdict counts."""
        story.pod(1, "w-0-a")
        story.pod(1, "w-1-a")
        stored(story, tmp_path, "test_a")

        said = knav(str(tmp_path), "--with", f"{module}:few_pods")

        assert said.code == 1
        assert "few pods\n                2 pods" in said.out

    @pytest.mark.parametrize(
        ("own", "message", "code"),
        [
            ("{}", "give MODULE:FUNCTION", 2),
            ("no_such_module:f", "No module named 'no_such_module'", 2),
            ("{}:many_pods", "has no function 'many_pods'", 2),
            ("{}:nothing", "nothing returned 7: it has to return a Verdict", 1),
        ],
    )
    def test_bad_one(
        self,
        story: Any,
        request: pytest.FixtureRequest,
        own: str,
        message: str,
        code: int,
    ) -> None:
        """What is wrong with it is said in one line."""
        knav, run = request.getfixturevalue("knav"), request.getfixturevalue("tmp_path")
        story.pod(1, "w-0-a")
        stored(story, run, "test_a")

        said = knav(str(run), "--with", own.format(f"own_{self.test_bad_one.__name__}"))

        assert said.code == code
        assert message in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is no directory"),
        (["."], ". holds no history: tests that passed leave none by default"),
        ([".", "--check", "gangs"], "there is no invariant 'gangs': use one of gang"),
        ([".", "--check", "gang=soon"], "gang='soon' is not a duration"),
        ([".", "--check", "devices=1s"], "devices='1s': there is no limit"),
    ],
)
def test_bad_input(knav: Any, arguments: list[str], message: str) -> None:
    """It says what is wrong and what is allowed, with exit code 2."""
    said = knav(*arguments)

    assert said.code == 2
    assert message in said.err
