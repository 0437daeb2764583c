"""What every fault is, says of itself, and may ask of the cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol


if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.control_plane.profiles import TimeProfile
    from pytest_knav.faults.targets import Target
    from pytest_knav.history import History
    from pytest_knav.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCard:
    """
    What a fault says of itself, in reports and in `knav faults show`.

    Attributes:
        family: Which module of `pytest_knav.faults` it belongs to.
        layer: What it acts on: `node`, `gpu`, `link`, `pod`, `process`, `network`.
        signals: By what the control plane can see it.
        stands_for: The real failures that look the same to a scheduler.
        certifies: What a green test with it proves.
        does_not_certify: What it leaves unproven.

    """

    family: str
    layer: str
    signals: tuple[str, ...]
    stands_for: str
    certifies: str
    does_not_certify: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Something that was awaited of a fault and seen, in words for the report."""

    name: str
    evidence: str


class World(Protocol):
    """What a fault may ask when it is injected: how things are, and how fast."""

    @property
    def topology(self) -> Topology:
        """The simulated machines."""
        ...

    @property
    def profile(self) -> TimeProfile:
        """How fast the control plane notices."""
        ...

    @property
    def history(self) -> History:
        """Everything recorded so far."""
        ...


@dataclass(frozen=True, slots=True)
class Fault(ABC):
    """
    One fault, before it happens.

    A subclass says which changes make it and undo it, and how each of its three
    moments is recognised in the history. The predicates are asked again after every
    record and at least every tenth of a second; `None` means not yet.
    """

    card: ClassVar[FaultCard]

    target: Target

    @property
    def name(self) -> str:
        """Return the fault's name with its target, for messages."""
        return f"{type(self).__name__}({self.target})"

    def describe(self) -> dict[str, Any]:
        """Return name and parameters as JSON can hold them."""
        rest = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name != "target"
        }
        return {"fault": type(self).__name__, "target": str(self.target), **rest}

    def resolve(self, world: World, choose: random.Random) -> tuple[str, ...]:
        """Return the names of what it will hit, by the cluster as it is now."""
        return self.target.resolve(world, choose)

    def blast_radius(
        self,
        world: World,  # noqa: ARG002 - for subclasses
        targets: Sequence[str],
    ) -> frozenset[str]:
        """Return the names of the nodes on which work is lost."""
        return frozenset(targets)

    @abstractmethod
    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the changes that make it."""

    @abstractmethod
    def undo(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the changes that take it back; each idempotent."""

    @abstractmethod
    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return its first observable effect, once it is there."""

    @abstractmethod
    def detected(self, world: World, targets: Sequence[str]) -> Signal | None:
        """Return how the control plane took note of it, once it has."""

    @abstractmethod
    def cleared(
        self, world: World, targets: Sequence[str], cleared_s: float
    ) -> Signal | None:
        """Return how it is seen that all is well again, once it is."""

    @abstractmethod
    def timeouts_s(self, world: World) -> Mapping[str, float]:
        """Return how long to wait for `signal`, `detected` and `cleared`."""
