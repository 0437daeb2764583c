"""No device is given twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_knav.checks.rules.base import Rule
from pytest_knav.checks.rules.placement import devices_of


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.checks.places import Device
    from pytest_knav.checks.world import World
    from pytest_knav.history.record import Record


class DevicesRule(Rule):
    """
    A GPU, or another device of DRA, belongs to one ResourceClaim at a time.

    Order is etcd's, so one claim may give up what the next one gets. Parts of a device
    that count against shared counters are not added up.
    """

    name: ClassVar[str] = "devices"
    kinds: ClassVar[frozenset[str]] = frozenset({"ResourceClaim"})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._claims: dict[str, frozenset[Device]] = {}
        self._holders: dict[Device, dict[str, str]] = {}

    @property
    def title(self) -> str:
        """Return what it asks for."""
        return "devices: none allocated to two claims at once"

    def claim(self, record: Record, after: Mapping[str, Any] | None, at: float) -> None:
        """Follow who has what."""
        devices = frozenset(devices_of(after or {}))
        old = self._claims.pop(record.uid, frozenset())
        for device in old - devices:
            self._holders[device].pop(record.uid, None)
        if devices:
            self._claims[record.uid] = devices
        for device in sorted(devices - old):
            self.looked_at += 1
            holders = self._holders.setdefault(device, {})
            for other in holders.values():
                self.breach(
                    at,
                    f"{'/'.join(device[1:])} was given to claim {record.name} while "
                    f"claim {other} had it",
                )
            holders[record.uid] = f"{record.namespace}/{record.name}"
