"""Who makes the faults of a plan, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from pytest_knav.faults.base import Fault
    from pytest_knav.plans.active import ActiveFault
    from pytest_knav.plans.chaos import AtMost, Injector


class Hands:
    """
    Makes the faults of one plan.

    Args:
        injector: Who does it.
        draw: What its choices are drawn from, with the number of the injection; empty
            to number it among those of the test.
        at_most: As for `Injector.inject`.

    """

    def __init__(self, injector: Injector, draw: str, at_most: AtMost) -> None:
        self._injector = injector
        self._draw = draw
        self._at_most = at_most

    def begin(self, fault: Fault, number: int) -> ActiveFault:
        """Inject the fault of a plan's injection of a number."""
        draw = f"{self._injector.seed}:{self._draw}{number}" if self._draw else ""
        return self._injector.start_drawn(fault, draw, "signal", self._at_most)

    def clear(self, active: ActiveFault) -> None:
        """Take a fault back."""
        self._injector.clear(active)
