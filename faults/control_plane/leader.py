"""A component that loses its leadership to another replica."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.control_plane.changes import LeaseTaken, leader
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import FaultCard
from pytest_knav.faults.control_plane.components import OfComponent


if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from threading import Event

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

_ELECTING: Final = ("kube-controller-manager", "kube-scheduler")
_RENEW_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class LeaderLost(OfComponent):
    """
    Another replica leads: a component loses its lease and exits, as it does for real.

    Changes: the component's lease gets another holder, who renews it and does nothing.
    The component gives up within its renew deadline and exits; who looks after the
    cluster starts it, and it waits for the lease. Needs a cluster whose components
    elect a leader: `@pytest.mark.knav(leader_election=True)`.

    Args:
        target: `scheduler` or `kcm`, or both.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="process",
        signals=("lease",),
        stands_for="a leader that was cut off, or too slow to renew; a fail-over",
        source="client-go, tools/leaderelection; kube-scheduler, cmd/.../server.go "
        "(Leaderelection lost)",
        certifies="that work waits while nobody decides, and is decided once after it",
        does_not_certify="two replicas that both decide: the other one does nothing",
        undone="the lease is freed, and the component is elected",
    )

    def resolve(self, world: World, choose: random.Random) -> tuple[str, ...]:
        """Return the full names of the components that elect a leader."""
        found = OfComponent.resolve(self, world, choose)
        for name in found:
            if name not in _ELECTING:
                raise BadInput(
                    f"{self.name}: {name} elects no leader: use one of "
                    f"{', '.join(_ELECTING)}"
                )
        if not world.plane.config.leader_election:
            raise BadInput(
                f"{self.name}: the components of this cluster elect no leader: mark "
                "the test with @pytest.mark.knav(leader_election=True)"
            )
        return found

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the taking of each lease."""
        return [
            LeaseTaken(
                component=name,
                pid=world.plane.component(name).pid or 0,
                signal="lease",
            )
            for name in targets
        ]

    def act(
        self,
        world: World,
        targets: Sequence[str],
        choose: random.Random,
        stop: Event,
    ) -> None:
        """Renew the leases of the other replica."""
        del choose
        while not stop.wait(_RENEW_S):
            for name in targets:
                leader.renew(world.plane, name)
