"""What every change can do: be written down, be made, be seen, be taken back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from pytest_knav.control_plane.api import MAX_CONNECTIONS
from pytest_knav.errors import HarnessError


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History

#: A value of a cluster: what it belongs to, and where in it; empty for all of it.
Claim: TypeAlias = tuple[str, str]
#: The component that plays every kubelet.
KWOK: Final = "kwok-controller"
#: Every kind of change by its `op`.
KINDS: dict[str, type[Change]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(ABC):
    """
    One change of a cluster.

    Attributes:
        op: What it is called in the journal.
        signal: Which signal of its fault it is: `lease`, `condition`, `taint` …
        after_s: How long after its fault began it is made: what an agent reports comes
            later than what it reports on.

    """

    op: ClassVar[str]

    signal: str = ""
    after_s: float = 0.0

    @property
    def takes_kubelet(self) -> str:
        """Return the node that loses its kubelet by it, empty when none does."""
        return ""

    @property
    @abstractmethod
    def lane(self) -> str:
        """Return what it changes: changes of one lane are made one after the other."""

    @property
    def claims(self) -> frozenset[Claim]:
        """Return the values that are its alone while its fault lasts."""
        return frozenset({(self.lane, "")})

    @abstractmethod
    def apply(self, plane: ControlPlane) -> int | None:
        """Make it; return the revision it led to, where it has one."""

    @abstractmethod
    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """
        Return what takes it back, by how things are now.

        Asked before anything is changed. What is returned must be harmless when the
        change was never made, when it is repeated, and when its object is gone.
        """

    def recorded(self, history: History) -> bool:
        """Return whether `seen` and `gone` are answered by the history alone."""
        del history
        return False

    @abstractmethod
    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it can be read back from the cluster."""

    @abstractmethod
    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether nothing of it can be read back any more."""

    @abstractmethod
    def describe(self) -> str:
        """Return what should be there, for the message that it was not seen."""

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"op": self.op, **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting(Change):
    """A change that nothing takes back."""

    @property
    def claims(self) -> frozenset[Claim]:
        """Return nothing: what is over is in nobody's way."""
        return frozenset()

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return nothing."""
        del plane
        return []

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return True: there is nothing to take back."""
        del plane, history
        return True


def known(kind: type[Change]) -> type[Change]:
    """Let the journal read this kind of change again; a decorator."""
    KINDS[kind.op] = kind
    return kind


def change_from_data(data: Mapping[str, Any]) -> Change:
    """
    Return what `as_data` made.

    Raises:
        HarnessError: The operation is unknown.

    """
    rest = dict(data)
    kind = KINDS.get(str(rest.pop("op", None)))
    if kind is None:
        raise HarnessError(f"the journal holds an unknown operation: {dict(data)}")
    return kind(**rest)


def apply(plane: ControlPlane, changes: Sequence[Change]) -> list[int]:
    """
    Make changes, several lanes at a time; return their revisions.

    KWOK is held while nodes are taken from it: else it renews leases of the last of a
    hundred while the first are being written, and both take longer.
    """
    if not any(change.takes_kubelet for change in changes):
        return _each_lane(plane, changes)
    kwok = plane.components[KWOK]
    if not kwok.running:
        # A fault holds it already, and will let it go.
        return _each_lane(plane, changes)
    kwok.hold()
    try:
        return _each_lane(plane, changes)
    finally:
        kwok.release()


def undo(plane: ControlPlane, changes: Sequence[Change]) -> None:
    """Take changes back, those that were made last first."""
    _each_lane(plane, list(reversed(changes)))


def _each_lane(plane: ControlPlane, changes: Iterable[Change]) -> list[int]:
    lanes: dict[str, list[Change]] = {}
    for change in changes:
        lanes.setdefault(change.lane, []).append(change)

    def one(lane: list[Change]) -> list[int]:
        made = [change.apply(plane) for change in lane]
        return [revision for revision in made if revision is not None]

    with ThreadPoolExecutor(MAX_CONNECTIONS, "knav-change") as pool:
        return [n for revisions in pool.map(one, lanes.values()) for n in revisions]
