"""Changes of the processes of a control plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.changes.base import Change, known
from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_knav.control_plane.components import Component
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History

Verb = Literal["kill", "crash", "restart", "pause", "stall", "resume", "start"]
_INVERSE: Final[Mapping[Verb, Verb]] = {
    "kill": "start",
    "crash": "start",
    "restart": "start",
    "pause": "resume",
    # Whoever holds it again and again does that in a thread of its own.
    "stall": "start",
}
_WELL: Final = frozenset({"start", "resume", "stall"})
# While clients watch, etcd needs 7 s to end by itself and the API server more than 30 s
# (measured); the others end at once.
RESTART_GRACE: Final = "1s"
# A supervisor may be starting it at this very moment.
_START_TIMEOUT_S: Final = 60.0


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Process(Change):
    """
    A component, or a service beside them, that is killed, held, let go on, started.

    Attributes:
        verb: What is done. `kill` leaves it dead; `crash` looks as if it had ended by
            itself, so that its supervisor starts it; `stall` does nothing but make
            sure that whatever holds it from then on is taken back.
        pid: Of the process that `crash` and `restart` end.

    """

    op: ClassVar[str] = "process"

    component: str
    verb: Verb
    pid: int = 0

    @property
    def lane(self) -> str:
        """Return the component."""
        return self.component

    def describe(self) -> str:
        """Return the component and the verb."""
        return f"{self.verb} {self.component}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Do it; harmless where it is so already."""
        component = self._component(plane)
        if component is None:
            return None
        doing: dict[Verb, Callable[[], None]] = {
            "kill": component.kill,
            "crash": component.crash,
            "pause": component.pause,
            "restart": lambda: component.restart(grace=RESTART_GRACE),
            "resume": component.resume,
            "start": lambda: make_run(component),
        }
        if self.verb != "stall":
            doing[self.verb]()
        if self.verb in _WELL:
            component.wait_healthy()
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """
        Return what brings the component back.

        Raises:
            BadInput: It does not run, so there is nothing to break.

        """
        if not plane.component(self.component).running:
            if self.component in plane.replaced:
                raise BadInput(
                    f"{self.component} does not run, because a system has taken its "
                    f"place: name a process of the system, one of "
                    f"{', '.join(sorted(process.name for process in plane.beside))}"
                )
            raise BadInput(
                f"{self.component} does not run, so a fault cannot break it: clear "
                "what holds it first"
            )
        verb = _INVERSE[self.verb]
        return [Process(component=self.component, verb=verb, signal=self.signal)]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the process is as the verb says."""
        del history
        component = self._component(plane)
        if component is None:
            return False
        if self.verb == "crash":
            return component.pid != self.pid
        if self.verb == "restart":
            return component.running and component.pid != self.pid
        return component.running == (self.verb in _WELL)

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it runs again and says that it is healthy."""
        del history
        component = self._component(plane)
        return component is not None and component.running and component.healthy()

    def _component(self, plane: ControlPlane) -> Component | None:
        """
        Return what it is about, or None for a service that this process has not made.

        Such a service is what a killed run has left; who needs one makes it afresh.
        """
        known_here = plane.components.keys() | plane.services.keys()
        return plane.component(self.component) if self.component in known_here else None


def make_run(component: Component) -> None:
    """
    Let a component run, whoever else is starting it.

    Raises:
        ClusterError: It does not come up.

    """
    component.release()
    if component.running:
        return
    try:
        component.restart()
    except ClusterError:
        # What it depends on may come back at the same time.
        if not retrying.until(
            lambda: component.running and component.healthy(),
            timeout_s=_START_TIMEOUT_S,
        ):
            raise
