"""What every fault is, says of itself, and may ask of the cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pytest_knav.errors import BadInput
from pytest_knav.faults.targets import Kind, Target, target_of


if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence
    from threading import Event

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.control_plane.changes.base import Claim
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.control_plane.profiles import TimeProfile
    from pytest_knav.history import History
    from pytest_knav.history.recorder import Recorder
    from pytest_knav.topology import Topology

# Generous: the machine may be busy, the answer is the same.
SIGNAL_TIMEOUT_S = 30.0
CLEARED_TIMEOUT_S = 60.0
# What is a node, or named after one: `dgx-h100-0003/nic-3`.
_OF_NODES = frozenset({"node", "gpu", "nic"})
_NAMED = frozenset({"fault", "target"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCard:
    """
    What a fault says of itself, in reports and in `knav faults show`.

    Attributes:
        family: Which module of `pytest_knav.faults` it belongs to.
        layer: What it acts on: `node`, `gpu`, `link`, `power`, `pod`, `process`,
            `network`, `api`.
        signals: By what the control plane can see it.
        stands_for: The real failures that look the same to a scheduler.
        source: Where it is known from: a paper, a vendor's document, Kubernetes' code.
        lasts: How long, when nobody clears it.
        undone: How it is taken back.
        certifies: What a green test with it proves.
        does_not_certify: What it leaves unproven.

    """

    family: str
    layer: str
    signals: tuple[str, ...]
    stands_for: str
    certifies: str
    does_not_certify: str
    source: str = ""
    lasts: str = "until it is cleared"
    undone: str = "what was there before is put back, unless others changed it since"


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

    @property
    def recorder(self) -> Recorder:
        """What records, and can be waited on."""
        ...

    @property
    def plane(self) -> ControlPlane:
        """The control plane."""
        ...

    @property
    def handles(self) -> Mapping[str, Any]:
        """What was submitted, by name."""
        ...


@dataclass(frozen=True, slots=True)
class Fault(ABC):
    """
    One fault, before it happens.

    A subclass says what it changes; that each change can be read back, and is taken
    back again, is looked after here and by the injector. Where the effect is more than
    what is written, such as a lease that is no longer renewed, it says how its moments
    are recognised in the history. These predicates are asked again after every record
    and at least every tenth of a second; `None` means not yet.

    Attributes:
        target: What it hits: a name, several, or an expression such as
            `node_of(handle)`.
        signals: Which of its signals are given; empty for all of them. Schedulers
            react to different ones.

    """

    card: ClassVar[FaultCard]
    #: What its targets are.
    kind: ClassVar[Kind] = "node"

    target: Target | str | Sequence[str]
    _: KW_ONLY
    signals: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", target_of(self.target))
        given = self.signals
        if isinstance(given, str) or not isinstance(given, list | tuple):
            raise BadInput(f"signals={given!r}: give a tuple, such as ('taint',)")
        for signal in given:
            if signal not in self.card.signals:
                raise BadInput(
                    f"{type(self).__name__}(signals={tuple(given)!r}): it has no "
                    f"signal {signal!r}: use {', '.join(self.card.signals)}"
                )
        object.__setattr__(self, "signals", tuple(given))

    @property
    def aim(self) -> Target:
        """Return the target as the expression that it is."""
        return target_of(self.target)

    @property
    def name(self) -> str:
        """Return the fault with its target and parameters, for messages."""
        return str(self)

    def __str__(self) -> str:
        rest = {k: v for k, v in self.describe().items() if k not in _NAMED}
        given = "".join(f", {key}={value!r}" for key, value in rest.items())
        return f"{type(self).__name__}({self.target}{given})"

    def describe(self) -> dict[str, Any]:
        """Return name and parameters as JSON can hold them."""
        rest = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name != "target" and getattr(self, field.name) != field.default
        }
        return {"fault": type(self).__name__, "target": str(self.target), **rest}

    def resolve(self, world: World, choose: random.Random) -> tuple[str, ...]:
        """Return the names of what it will hit, by the cluster as it is now."""
        return self.aim.resolve(world, choose, self.kind)

    def blast_radius(
        self,
        world: World,  # noqa: ARG002 - for subclasses
        targets: Sequence[str],
    ) -> frozenset[str]:
        """Return the names of the nodes on which all work is lost."""
        return frozenset(targets)

    def pods_hit(
        self,
        world: World,  # noqa: ARG002 - for subclasses
        targets: Sequence[str],  # noqa: ARG002 - likewise
    ) -> frozenset[str]:
        """Return the uids of the pods that it hits though their node goes on."""
        return frozenset()

    def fabric_loss(
        self,
        world: World,  # noqa: ARG002 - for subclasses
        targets: Sequence[str],  # noqa: ARG002 - likewise
    ) -> Mapping[str, str | None]:
        """
        Return the nodes that run but whose links are broken: what collectives feel.

        The value is None where a NIC has no link; where a node is cut off from the rest
        of the fabric, a name of what it still reaches.
        """
        return {}

    def reach(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """
        Return the names of the nodes that it does anything to: what a limit counts.

        By default the nodes on which work is lost, those of the GPUs, NICs and pods it
        hits, and those whose links are broken.
        """
        found = set(self.blast_radius(world, targets))
        found.update(self.fabric_loss(world, targets))
        if self.kind == "node":
            found.update(targets)
        elif self.kind in {"gpu", "nic"}:
            found.update(target.partition("/")[0] for target in targets)
        elif self.kind == "pod":
            for target in targets:
                namespace, _, name = target.rpartition("/")
                pod = world.history.get("Pod", namespace or "default", name) or {}
                found.add(pod.get("spec", {}).get("nodeName", ""))
        return frozenset(found - {""})

    def claims(self, world: World, targets: Sequence[str]) -> frozenset[Claim]:
        """
        Return what no other fault may break while it lasts, beside the values it sets.

        By default its targets, and the nodes on which all work is lost.
        """
        nodes = self.blast_radius(world, targets)
        named = {(f"{self.kind} {target}", "") for target in targets}
        return frozenset(named | {(f"node {node}", "") for node in nodes})

    def check(self, world: World, targets: Sequence[str]) -> None:
        """
        Return when it can hit its targets as they are now; nothing is changed yet.

        By default it can when the nodes that they are, or belong to, are there.

        Raises:
            BadInput: A target has failed already, or this cluster cannot express it.

        """
        if self.kind not in _OF_NODES:
            return
        for target in targets:
            node = target.partition("/")[0]
            if world.history.get("Node", "", node) is None:
                raise BadInput(
                    f"{self.name}: {node} is not in the cluster: nothing is left of it "
                    "to break"
                )

    @abstractmethod
    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the changes that make it, each with the signal that it is."""

    def act(
        self,
        world: World,
        targets: Sequence[str],
        choose: random.Random,
        stop: Event,
    ) -> None:
        """
        Do what the fault does while it lasts, until it is told to stop.

        Called in a thread of its own, once the changes are made; most faults do nothing
        more. Whatever it changes must need no undo, or be in `changes` as well.
        """
        del world, targets, choose, stop

    def aftermath(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """
        Return what it leaves behind on purpose, changed when it is cleared.

        Not part of what a journal takes back.
        """
        del world, targets
        return ()

    def blinds(self, targets: Sequence[str]) -> bool:
        """Return whether nothing can be recorded while it lasts."""
        del targets
        return False

    def chosen(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the changes of the signals that are given."""
        found = list(self.changes(world, targets))
        given = {change.signal for change in found}
        missing = [signal for signal in self.signals if signal not in given]
        if missing:
            raise BadInput(
                f"{self.name}, signals={self.signals}: {missing[0]!r} follows from "
                f"the others or cannot be given here; it gives {', '.join(given)}"
            )
        return [c for c in found if not self.signals or c.signal in self.signals]

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return its first effect beyond what is written, once it is there."""
        del world, started_s, now_s
        return Signal(name="read back", evidence=f"{len(targets)} {self.kind}s")

    def detected(self, world: World, targets: Sequence[str]) -> Signal | None:
        """Return how the control plane took note of it, once it has."""
        return self.signal(world, targets, 0.0, 0.0)

    def unseen(
        self,
        world: World,  # noqa: ARG002 - for subclasses
        targets: Sequence[str],  # noqa: ARG002 - likewise
    ) -> str:
        """Return how things stand, for the message that its signal was not seen."""
        return ""

    def cleared(
        self, world: World, targets: Sequence[str], cleared_s: float
    ) -> Signal | None:
        """Return how it is seen, beyond what is written, that all is well again."""
        del world, cleared_s
        return Signal(name="undone", evidence=f"{len(targets)} {self.kind}s")

    def timeouts_s(self, world: World) -> Mapping[str, float]:
        """Return how long to wait for `signal`, `detected` and `cleared`."""
        return {
            "signal": SIGNAL_TIMEOUT_S,
            "detected": SIGNAL_TIMEOUT_S + 4 * world.profile.detection_s,
            "cleared": CLEARED_TIMEOUT_S,
        }
