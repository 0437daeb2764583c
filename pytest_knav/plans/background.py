"""Plans that run while the test goes on."""

from __future__ import annotations

import time
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Protocol

from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import HarnessError
from pytest_knav.plans.plan import length_s, schedule


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.faults.base import Fault
    from pytest_knav.plans.chaos import ActiveFault
    from pytest_knav.plans.plan import Part, Step

# A step that is under way waits for its effect, which has limits of its own.
_STEP_S: Final = 240.0


class Hands(Protocol):
    """Who makes the faults of a plan and takes them back."""

    def begin(self, fault: Fault, number: int) -> ActiveFault:
        """Inject the fault of a plan's injection of a number."""
        ...

    def clear(self, active: ActiveFault) -> None:
        """Take a fault back."""
        ...


def perform(
    steps: Sequence[Step], hands: Hands, stop: Event, active: dict[int, ActiveFault]
) -> None:
    """
    Do what a schedule says, when it says, until it is told to stop.

    Args:
        steps: In order.
        hands: Who does it.
        stop: Ends it between two steps.
        active: Filled with the faults by their number.

    """
    begun_s = time.monotonic()
    for step in steps:
        if stop.wait(max(0.0, begun_s + step.at_s - time.monotonic())):
            return
        if step.verb == "inject":
            active[step.number] = hands.begin(step.fault, step.number)
        else:
            hands.clear(active[step.number])


class RunningPlan:
    """
    A plan that runs while the test goes on; `chaos.start(plan)` returns it.

    It ends by itself, by `stop`, or with the test. What goes wrong in it is raised by
    `wait` or `stop`, and at the end of the test where nobody called these.
    """

    def __init__(self, plan: Part, hands: Hands) -> None:
        self._plan = plan
        self._hands = hands
        self._steps = schedule(plan)
        self._active: dict[int, ActiveFault] = {}
        self._stop = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="knav-plan", daemon=True)
        self._thread.start()

    def __str__(self) -> str:
        return str(self._plan)

    @property
    def faults(self) -> list[ActiveFault]:
        """Return the faults it has injected so far, in the order of the plan."""
        return [fault for _, fault in sorted(self._active.copy().items())]

    @property
    def running(self) -> bool:
        """Return whether there is something left to do, and nothing went wrong."""
        return self._thread.is_alive()

    def wait(self, timeout: Duration | None = None) -> list[ActiveFault]:
        """
        Return its faults once it has ended.

        What the plan does not take back itself stays broken, as with `chaos.run`.

        Args:
            timeout: How long to wait; by default as long as the plan takes, and what
                its last steps may need.

        Raises:
            HarnessError: It has not ended by then, or something went wrong in it.

        """
        more_s = _STEP_S + length_s(self._plan)
        limit_s = more_s if timeout is None else seconds(timeout, name="timeout")
        self._thread.join(limit_s)
        if self._thread.is_alive():
            raise HarnessError(
                f"the plan has not ended after {limit_s:g}s, with "
                f"{len(self._active)} faults injected: {self}"
            )
        self._tell()
        return self.faults

    def stop(self) -> list[ActiveFault]:
        """
        End it, take back what it has broken, and return its faults; twice is harmless.

        A step that is under way is finished first.

        Raises:
            HarnessError: It does not end, or something went wrong in it.

        """
        self._stop.set()
        self._thread.join(_STEP_S)
        if self._thread.is_alive():
            raise HarnessError(f"the plan does not end: {self}")
        for active in reversed(self.faults):
            self._hands.clear(active)
        self._tell()
        return self.faults

    def _tell(self) -> None:
        """Raise what went wrong, once: to whoever asks first."""
        error, self._error = self._error, None
        if isinstance(error, HarnessError):
            raise error
        if error is not None:
            raise HarnessError(f"the plan ended with {error!r}: {self}") from error

    def _run(self) -> None:
        try:
            perform(self._steps, self._hands, self._stop, self._active)
        # Whatever it is, whoever asks for the plan must hear of it.
        except BaseException as error:  # noqa: BLE001
            self._error = error
