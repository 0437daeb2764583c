"""What faults of single objects of the control plane share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pytest_knav.faults.base import Fault


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind


@dataclass(frozen=True, slots=True)
class OfObjects(Fault):
    """A fault of objects that hold rules, not work: no node is lost by it."""

    kind: ClassVar[Kind] = "object"

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: work that runs goes on."""
        del world, targets
        return frozenset()
