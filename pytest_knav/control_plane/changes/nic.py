"""Changes of what the metrics of a NIC say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from pytest_knav.control_plane.changes.base import Change, known
from pytest_knav.metrics.signals import NicTrouble


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.control_plane.changes.base import Claim
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class NicMetrics(Change):
    """
    One cause of trouble with a NIC, as its series tell of it.

    A NIC may have no link for its own sake and for that of its switch: it has one again
    when both are well. They are this process's own, and gone with it.

    Attributes:
        cause: What is broken, such as the switch.
        down: Whether the NIC has no link for it.
        rate_share: The share of its line rate that is left for it.
        present: Whether there is this cause.

    """

    op: ClassVar[str] = "nic-metrics"

    node: str
    nic: int
    cause: str
    down: bool = False
    rate_share: float = 1.0
    present: bool = True

    @property
    def lane(self) -> str:
        """Return the NIC."""
        return f"metrics of {self.node}/nic-{self.nic}"

    @property
    def claims(self) -> frozenset[Claim]:
        """Return the cause: a NIC may have several."""
        return frozenset({(self.lane, self.cause)})

    def describe(self) -> str:
        """Return the NIC and its trouble."""
        return f"{self.lane}: {self._trouble} for {self.cause}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make it."""
        plane.signals.trouble_nic(self.node, self.nic, self.cause, self._trouble)
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return the end of the cause."""
        del plane
        return [replace(self, present=not self.present)]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the exporter knows of the trouble, or of its end."""
        del history
        causes = plane.signals.nics_of(self.node).get(self.nic)
        return self._trouble == (causes and causes.causes.get(self.cause))

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the exporter knows otherwise."""
        return not self.seen(plane, history)

    @property
    def _trouble(self) -> NicTrouble | None:
        if not self.present:
            return None
        return NicTrouble(down=self.down, rate_share=self.rate_share)
