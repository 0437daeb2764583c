"""A fault that was injected, and the moment at which that was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_knav.checks.following import FaultSpan


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.control_plane.changes.base import Claim
    from pytest_knav.faults.base import Fault
    from pytest_knav.plans.actor import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point of a run: monotonic clock and wall clock in seconds, revision."""

    monotonic_s: float
    wall_s: float
    revision: int


@dataclass(slots=True, kw_only=True)
class ActiveFault:
    """
    A fault that was injected.

    Attributes:
        id: Unique within the cluster.
        fault: What it is.
        targets: The names that its target came to.
        nodes: The nodes in its blast radius: all of each of them.
        pods: Uids of the pods that it hits though their node goes on.
        touched: The nodes that it does anything to.
        claims: What no other fault may break while it lasts.
        draw: What its choices are drawn from.
        started_at: Time and revision of its first write: the zero of every duration.
        signals: What was observed of it, by name, in seconds since the start.
        left_out: Whether nothing was broken: the test runs without its faults.

    """

    id: str
    fault: Fault
    targets: frozenset[str]
    nodes: frozenset[str]
    pods: frozenset[str]
    changes: Sequence[Change]
    undo: Sequence[Change]
    started_at: Moment
    touched: frozenset[str] = frozenset()
    claims: frozenset[Claim] = frozenset()
    draw: str = ""
    actor: Actor | None = None
    signals: dict[str, float] = field(default_factory=dict)
    left_out: bool = False

    @property
    def name(self) -> str:
        """Return the fault with its target expression and what it came to."""
        names = sorted(self.targets)
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        return f"{self.fault.name} on {shown}"

    @property
    def begun(self) -> Sequence[Change]:
        """Return the changes that are its beginning; all where each comes later."""
        return [c for c in self.changes if not c.after_s] or self.changes

    @property
    def late(self) -> Sequence[Change]:
        """Return the changes that come some time after its beginning."""
        return [change for change in self.changes if change.after_s]

    @property
    def late_s(self) -> float:
        """Return how long after its beginning its last change comes."""
        return max((change.after_s for change in self.changes), default=0.0)

    @property
    def span(self) -> FaultSpan:
        """Return what checks need of it."""
        return FaultSpan(
            name=self.name,
            id=self.id,
            started_revision=self.started_at.revision,
            started_s=self.started_at.monotonic_s,
            nodes=frozenset() if self.left_out else self.nodes,
            pods=frozenset() if self.left_out else self.pods,
        )
