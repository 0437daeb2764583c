"""Who hears of what is done to a control plane, and who starts what has died."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Protocol

from pytest_knav.control_plane.supervision import Supervisor


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias

    from pytest_knav.control_plane.components import Component
    from pytest_knav.control_plane.kubelets import Kubelets
    from pytest_knav.control_plane.network.network import Network
    from pytest_knav.control_plane.services.process import Service

    # Told of a component, a verb and details.
    Observer: TypeAlias = Callable[[str, str, Mapping[str, Any]], None]

UNHEARD_MAX = 100


class Companion(Protocol):
    """What works beside the components of a control plane, with a memory of its own."""

    @property
    def services(self) -> Sequence[Service]:
        """Return its processes."""

    def start(self) -> None:
        """Start it afresh and return when it is ready."""

    def end(self) -> None:
        """End it; harmless when it does not run."""


class LookedAfter(ABC):
    """
    The part of a control plane that is watched and kept alive.

    Attributes:
        components: Its components by name.
        companions: What ends before a state is put back and starts after it.
        network: The proxies between the components, if there are any.

    """

    components: dict[str, Component]
    network: Network | None

    def __init__(self) -> None:
        self.companions: list[Companion] = []
        self._observers: list[Observer] = []
        self._telling = threading.RLock()
        self._unheard: deque[tuple[str, str, Mapping[str, Any]]] = deque(
            maxlen=UNHEARD_MAX
        )
        self._supervisor: Supervisor | None = None
        self._kubelets: Kubelets | None = None

    def observe(self, observer: Observer) -> None:
        """
        Tell a function of every kill, pause, resume and restart from now on.

        Also of what a supervisor sees and does, in its thread; what nobody heard of
        that, between two tests, is told first.
        """
        with self._telling:
            self._observers.append(observer)
            while self._unheard:
                observer(*self._unheard.popleft())

    def forget(self, observer: Observer) -> None:
        """Tell a function no more, once this returns; harmless if it never was."""
        with self._telling:
            if observer in self._observers:
                self._observers.remove(observer)

    @property
    def beside(self) -> list[Service]:
        """Return the processes of systems that work beside the components."""
        return [p for companion in self.companions for p in companion.services]

    @property
    def looked_after(self) -> list[Component]:
        """Return components and systems that are started again when they die."""
        return [*self.components.values(), *self.beside]

    def supervise(self) -> None:
        """
        Start components that die by themselves again, until `end_supervision`.

        For the process that the cluster belongs to: one of them at a time.
        """
        if self._supervisor is None:
            all_of_them = self.looked_after
            if self.network is not None:
                all_of_them += self.network.processes
            self._supervisor = Supervisor(all_of_them, self._tell_of)
            self._supervisor.start()
            self._kubelets = self._new_kubelets()
            self._kubelets.start()

    def supervise_companions(self) -> None:
        """Look after the processes of companions too, if after anything at all."""
        if self._supervisor is not None:
            self.end_supervision()
            self.supervise()

    def end_supervision(self) -> None:
        """Leave what dies from now on dead; harmless when repeated."""
        kubelets, self._kubelets = self._kubelets, None
        if kubelets is not None:
            kubelets.close()
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.close()

    def _tell(
        self, component: str, verb: str, details: Mapping[str, Any] | None = None
    ) -> None:
        with self._telling:
            for observer in self._observers:
                observer(component, verb, details or {})

    def _tell_of(self, component: str, verb: str, details: Mapping[str, Any]) -> None:
        """Tell what nobody asked for: who comes later must hear of it too."""
        with self._telling:
            if self._observers:
                self._tell(component, verb, details)
            else:
                self._unheard.append((component, verb, details))

    @abstractmethod
    def _new_kubelets(self) -> Kubelets:
        """Return what looks after the kubelets of this control plane."""
