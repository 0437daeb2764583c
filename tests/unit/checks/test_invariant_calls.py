"""`chaos.expect.<invariant>()`: the same rules, asked in the middle of a test."""

from __future__ import annotations

import contextlib
import inspect
import time
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.checks.standing import STANDING
from pytest_knav.errors import BadInput, Inconclusive, InvariantViolated
from pytest_knav.fixtures.invariants import Invariants, await_settled


if TYPE_CHECKING:
    from collections.abc import Callable


class Paper:
    """A cluster that has a history and nothing else."""

    def __init__(self, story: Any) -> None:
        self.history = story.history
        self.recorder = self
        self.step = contextlib.nullcontext
        self.notes: list[tuple[str, Any]] = []
        self.waited: list[float] = []
        self.meanwhile: list[Callable[[], None]] = []

    def note(self, _kind: str, verb: str, _name: str, data: Any) -> None:
        """Keep a note."""
        self.notes.append((verb, data))

    def catch_up(self) -> int:
        """Be up to date."""
        return 1

    def wait(self, _predicate: Any, timeout_s: float) -> None:
        """Let what was to happen meanwhile happen at once."""
        self.waited.append(timeout_s)
        if self.meanwhile:
            self.meanwhile.pop()()


@pytest.fixture
def paper(story: Any) -> Paper:
    """Return a cluster of paper."""
    return Paper(story)


@pytest.fixture
def expect(paper: Paper) -> Invariants:
    """Return the calls on it."""
    made = Invariants()
    made._cluster = paper  # type: ignore[assignment]
    return made


@pytest.mark.parametrize("name", sorted(STANDING))
def test_every_invariant_can_be_called(name: str) -> None:
    """By its name, with its limit by the name that the rule has for it."""
    parameters = list(inspect.signature(getattr(Invariants, name)).parameters)

    assert parameters[1:] == [STANDING[name].argument] * bool(STANDING[name].argument)


@pytest.mark.parametrize("name", sorted(STANDING))
def test_nothing_to_judge_is_no_pass(expect: Invariants, name: str) -> None:
    """An empty history answers none of them."""
    arguments = {"within": "1s"} if name == "recovery" else {}

    with pytest.raises(Inconclusive, match="nothing that it could be judged on"):
        getattr(expect, name)(**arguments)


def test_broken_one_raises(expect: Invariants, story: Any, paper: Paper) -> None:
    """With the evidence, and the verdict stands in the history as data."""
    story.claim(1, "a", "gpu-0")
    story.claim(2, "b", "gpu-0")

    with pytest.raises(InvariantViolated, match="n1/gpu-0 was given to claim b"):
        expect.devices()

    ((verb, data),) = paper.notes
    assert verb == "VERDICT"
    assert (data["invariant"], data["status"]) == ("devices", "fail")
    assert data["moments"] == (2.0,)


def test_good_one_returns(expect: Invariants, story: Any) -> None:
    """Nothing is raised."""
    story.claim(1, "a", "gpu-0")

    expect.devices()


def test_wrong_limit(expect: Invariants) -> None:
    """It is refused with the value."""
    with pytest.raises(BadInput, match="gang='soon' is not a duration"):
        expect.gang(longer_than="soon")


def test_settling_is_awaited_after_a_fault_alone(paper: Paper, story: Any) -> None:
    """Without a fault, and long after one, nobody waits."""
    await_settled(paper, 60.0)  # type: ignore[arg-type]
    story.inject(1, "n1")
    story.clear(2)
    await_settled(paper, 60.0)  # type: ignore[arg-type]

    assert paper.waited == []


def test_settling_is_awaited_until_all_is_whole(paper: Paper, story: Any) -> None:
    """The replacement comes while it waits, and then it waits no longer."""
    now_s = time.monotonic()
    story.submit()
    story.job(now_s)
    story.node(now_s, "n1")
    story.start(now_s, "w-0-a", "n1")
    story.inject(now_s, "n1")
    story.gone(now_s, "w-0-a")
    story.clear(now_s)
    paper.meanwhile.append(lambda: story.pod(now_s + 1, "w-0-b", "n1"))

    await_settled(paper, 60.0)  # type: ignore[arg-type]

    assert len(paper.waited) == 1
