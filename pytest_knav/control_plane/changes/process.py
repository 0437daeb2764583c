"""Changes of the processes of a control plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pytest_knav.control_plane.changes.base import Change, known
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History

Verb = Literal["kill", "pause", "resume", "start"]
_INVERSE: dict[Verb, Verb] = {"kill": "start", "pause": "resume"}


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Process(Change):
    """A component that is killed, held by a signal, let go on, or started."""

    op: ClassVar[str] = "process"

    component: str
    verb: Verb

    @property
    def lane(self) -> str:
        """Return the component."""
        return self.component

    def describe(self) -> str:
        """Return the component and the verb."""
        return f"{self.verb} {self.component}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Do it; harmless where it is so already."""
        component = plane.component(self.component)
        if self.verb == "start":
            component.release()
            if not component.running:
                component.restart()
            component.wait_healthy()
        elif self.verb == "resume":
            component.resume()
            component.wait_healthy()
        elif self.verb == "kill":
            component.kill()
        else:
            component.pause()
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """
        Return what brings the component back.

        Raises:
            BadInput: It does not run, so there is nothing to break.

        """
        if not plane.component(self.component).running:
            raise BadInput(
                f"{self.component} does not run, so a fault cannot break it: clear "
                "what holds it first"
            )
        verb = _INVERSE[self.verb]
        return [Process(component=self.component, verb=verb, signal=self.signal)]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the process is as the verb says."""
        del history
        running = plane.component(self.component).running
        return running if self.verb in {"start", "resume"} else not running

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it runs again and says that it is healthy."""
        del history
        component = plane.component(self.component)
        return component.running and component.healthy()
