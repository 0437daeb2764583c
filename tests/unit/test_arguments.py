"""Arguments that are something else than a user meant."""

from __future__ import annotations

import pytest

from pytest_knav.arguments import check_has
from pytest_knav.errors import BadInput
from pytest_knav.plans.injection import Injection
from pytest_knav.plans.plan import schedule


class Thing:
    """Something with a name of its own."""

    def __init__(self) -> None:
        self.own = 1

    @property
    def asked(self) -> int:
        """Return what must not be computed to know that it is there."""
        raise RuntimeError


def test_what_is_there_is_let_through() -> None:
    """An attribute of the object or of its class will do."""
    check_has(Thing(), "own", name="x", hint="a thing")
    check_has(Thing(), "asked", name="x", hint="a thing")


def test_what_is_not_is_shown_with_what_to_give() -> None:
    """A message has the value, its type, and what was expected."""
    with pytest.raises(BadInput, match=r"^wait_for's x is 3, int: give a thing$"):
        check_has(3, "holds", name="wait_for's x", hint="a thing")


def test_a_long_value_is_cut() -> None:
    """Nobody reads ten thousand characters."""
    with pytest.raises(BadInput) as caught:
        check_has("x" * 10_000, "holds", name="x", hint="a thing")

    assert len(str(caught.value)) < 200


def test_what_explains_itself_has_nothing() -> None:
    """A fault that was not entered is no fault, though it answers to any name."""
    injection = Injection("NodeCrash(n1)", lambda: None, lambda *_: None)  # type: ignore[arg-type,return-value]

    with pytest.raises(BadInput, match="give the fault"):
        check_has(injection, "span", name="since", hint="the fault")


def test_a_plan_of_something_else_is_refused() -> None:
    """`chaos.start(5)` says what a plan is made of."""
    with pytest.raises(BadInput, match="5"):
        schedule(5)  # type: ignore[arg-type]
