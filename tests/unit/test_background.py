"""Plans that run while the test goes on."""

from __future__ import annotations

from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_knav import after, for_, sequence, together
from pytest_knav.errors import HarnessError, InjectionNotObserved
from pytest_knav.faults import NodeCordon, NodeCrash
from pytest_knav.plans.background import RunningPlan


A, B = NodeCrash("a"), NodeCordon("b")


class Hands:
    """Injects nothing, and keeps a list of what it was asked for."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.done: list[str] = []
        self.begun = Event()
        self._fails = fails

    def begin(self, fault: Any, number: int) -> Any:
        """Note a fault that begins."""
        self.done.append(f"begin {number} {type(fault).__name__}")
        self.begun.set()
        if self._fails is not None and number == 1:
            raise self._fails
        return SimpleNamespace(fault=fault, number=number)

    def clear(self, active: Any) -> None:
        """Note a fault that ends."""
        self.done.append(f"clear {active.number}")


def test_it_does_what_the_plan_says() -> None:
    """And returns the faults in the order of the plan."""
    hands = Hands()

    faults = RunningPlan(sequence(for_("10ms", A), B), hands).wait()

    assert hands.done == ["begin 0 NodeCrash", "clear 0", "begin 1 NodeCordon"]
    assert [f.number for f in faults] == [0, 1]  # type: ignore[attr-defined]


def test_stop_ends_it_and_takes_back_what_it_broke() -> None:
    """What was to come does not."""
    hands = Hands()
    plan = RunningPlan(sequence(A, after("1h", B)), hands)
    assert hands.begun.wait(10)

    plan.stop()
    plan.stop()

    assert hands.done[:2] == ["begin 0 NodeCrash", "clear 0"]
    assert "begin 1 NodeCordon" not in hands.done
    assert not plan.running


@pytest.mark.parametrize("ask", [RunningPlan.wait, RunningPlan.stop])
def test_an_error_in_it_is_raised_to_whoever_asks(ask: Any) -> None:
    """As it is, and once."""
    plan = RunningPlan(together(A, B), Hands(InjectionNotObserved("nothing was seen")))

    with pytest.raises(InjectionNotObserved, match="nothing was seen"):
        ask(plan)
    ask(plan)


def test_an_error_of_another_kind_names_the_plan() -> None:
    """Nobody may take it for one of the test."""
    plan = RunningPlan(together(A, B), Hands(KeyError("x")))

    with pytest.raises(HarnessError, match=r"KeyError.*together\(NodeCrash\(a\)"):
        plan.wait()


def test_it_says_that_it_has_not_ended() -> None:
    """With how long was waited."""
    plan = RunningPlan(after("1h", A), Hands())

    with pytest.raises(HarnessError, match=r"not ended after 0\.01s"):
        plan.wait(timeout=0.01)
    plan.stop()
