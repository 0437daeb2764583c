"""What faults of connections share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.control_plane.changes.network import network_of
from pytest_knav.control_plane.network.links import ETCD, SYSTEM, link_named
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, Signal


if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind

# The API server waits for etcd before it says that it is ready again.
_WHOLE_AGAIN_S: Final = 90.0


@dataclass(frozen=True, slots=True)
class OfConnection(Fault):
    """A fault of connections between components."""

    kind: ClassVar[Kind] = "connection"

    def resolve(self, world: World, choose: random.Random) -> tuple[str, ...]:
        """
        Return the names of the connections.

        Raises:
            BadInput: The cluster has no proxies in them, or no system under test.

        """
        try:
            network_of(world.plane)
        except BadInput as error:
            raise BadInput(f"{self.name}: {error}") from error
        found = Fault.resolve(self, world, choose)
        of_system = any(link_named(name).client == SYSTEM for name in found)
        plane = world.plane
        beside = any(one.client == SYSTEM for one in plane.services.values())
        if of_system and not (plane.companions or beside):
            raise BadInput(
                f"{self.name}: there is no system under test: give knav(system=…), or "
                "start an exclusion controller"
            )
        return found

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: work that runs goes on."""
        del world, targets
        return frozenset()

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return what was measured through the connections."""
        del started_s, now_s
        evidence = network_of(world.plane).evidence
        measured = [evidence.get(name, name) for name in targets]
        return Signal(name="measured", evidence="; ".join(measured))

    def timeouts_s(self, world: World) -> Mapping[str, float]:
        """Return those of every fault, and the time an API server needs."""
        return {**Fault.timeouts_s(self, world), "cleared": _WHOLE_AGAIN_S}


def cuts_off_the_recorder(targets: Sequence[str]) -> bool:
    """Return whether no request is answered any more where these are dead."""
    return any(link_named(name).server == ETCD for name in targets)
