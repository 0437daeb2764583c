"""Changes of what a component is started with: arguments, program, certificate."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.control_plane import certificates, retrying
from pytest_knav.control_plane.changes.base import Change, known
from pytest_knav.control_plane.overrides import Override


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History

# A start on a busy machine; a certificate may expire meanwhile.
_EXPIRES_WITHIN_S: Final = 60.0


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Setup(Change):
    """
    A component is started afresh with other arguments, or another program.

    Attributes:
        component: Its full name.
        binary: Another program; empty for the same one.
        flags: Values by name; they win over what kwokctl gives.
        files: Texts by name; `{dir}` in a flag leads to where they are.

    """

    op: ClassVar[str] = "setup"

    component: str
    binary: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def lane(self) -> str:
        """Return the component."""
        return self.component

    def describe(self) -> str:
        """Return the component and what is other of it."""
        flags = " ".join(f"--{name}={value}" for name, value in self.flags.items())
        return " ".join(p for p in (self.component, self.binary, flags) if p)

    def apply(self, plane: ControlPlane) -> int | None:
        """Start it so and return when it is healthy; nothing is done where it is."""
        component = plane.component(self.component)
        component.configure(self._override)
        component.wait_healthy()
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return what it is started with now."""
        now = plane.component(self.component).override
        return [Setup(component=self.component, signal=self.signal, **asdict(now))]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it runs with these arguments and is healthy."""
        del history
        component = plane.component(self.component)
        if component.override != self._override:
            return False
        return component.running and component.as_commanded and component.healthy()

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it runs with other arguments and is healthy."""
        del history
        component = plane.component(self.component)
        if component.override == self._override:
            return False
        return component.running and component.as_commanded and component.healthy()

    @property
    def _override(self) -> Override:
        return Override(binary=self.binary, flags=self.flags, files=self.files)


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry(Change):
    """
    A component gets a certificate that ends soon, or has ended, and is started with it.

    A client's is for its kubeconfig, the API server's is what it serves. It is signed
    by the cluster's own authority and differs in its time alone.

    Attributes:
        component: Its full name.
        valid_for_s: From the start of the component.

    """

    op: ClassVar[str] = "expiry"

    component: str
    valid_for_s: float

    @property
    def lane(self) -> str:
        """Return the component."""
        return self.component

    def describe(self) -> str:
        """Return whose certificate has expired."""
        return f"the certificate of {self.component} has expired"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make the certificate, start the component with it, await its end."""
        component = plane.component(self.component)
        made = certificates.expiring(plane.workdir, component, self.valid_for_s)
        component.configure(made)
        # It may never be healthy with it; that is an outcome too.
        ends_s = time.monotonic() + self.valid_for_s + 1.0
        retrying.until(
            lambda: component.healthy() or time.monotonic() > ends_s,
            timeout_s=self.valid_for_s + _EXPIRES_WITHIN_S,
        )
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return what it is started with now."""
        return Setup(component=self.component, signal=self.signal).inverse(plane)

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the API server refuses it, or clients refuse the server's."""
        del history
        return certificates.refused(plane, plane.component(self.component))

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it runs with another certificate and is healthy."""
        del history
        component = plane.component(self.component)
        if certificates.FILE in component.override.files:
            return False
        return component.running and component.as_commanded and component.healthy()
