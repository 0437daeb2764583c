"""Conditions of nodes that a health agent makes of several findings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane.changes.base import known
from pytest_knav.control_plane.changes.objects import OfObject, retry_conflicts
from pytest_knav.control_plane.changes.ways import value_at, way_text, with_value
from pytest_knav.history.merge import merge_diff


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes.base import Change, Claim
    from pytest_knav.control_plane.changes.ways import Way
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History

_BETWEEN: Final = "; "


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Findings(OfObject):
    """
    Findings in the message of a node's condition; those of others stay as they are.

    NVSentinel writes one condition for each of its checks and lists what it has found
    in the message (platform-connectors, Kubernetes connector). The condition is True as
    long as there is a finding.

    Attributes:
        check: The condition's type.
        findings: What is added to it, or taken away.
        present: Whether they are there.
        sound: The condition without findings, where there was one.

    """

    op: ClassVar[str] = "findings"

    check: str
    findings: tuple[str, ...]
    present: bool = True
    sound: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        OfObject.__post_init__(self)
        # The journal has it as a list.
        object.__setattr__(self, "findings", tuple(self.findings))

    @property
    def way(self) -> Way:
        """Return where the condition is."""
        return ("status", "conditions", {"type": self.check})

    @property
    def claims(self) -> frozenset[Claim]:
        """Return each finding: others may be added by other faults."""
        where = way_text(self.way)
        # What a finding is about comes first: `NIC:mlx5_3 NICPort:1 …`.
        about = [" ".join(finding.split(" ")[:2]) for finding in self.findings]
        return frozenset((self.lane, f"{where} {what}") for what in about)

    def describe(self) -> str:
        """Return the node, the condition and the findings."""
        word = "says" if self.present else "does not say"
        return f"{self.ref} {self.check} {word} {_BETWEEN.join(self.findings)}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make it; nothing is written when it is so already."""
        return retry_conflicts(self._attempt, plane)

    def _attempt(self, plane: ControlPlane) -> int | None:
        found = plane.api.get_or_none(self.ref.path)
        if found is None:
            return None
        before = value_at(found, self.way)
        after = self._after(before)
        if after == before:
            return None
        patch = merge_diff(found, with_value(found, self.way, after))
        # With the version that was read: a write in between is a conflict.
        patch["metadata"] = {"resourceVersion": found["metadata"]["resourceVersion"]}
        made = plane.api.patch(f"{self.ref.path}/status", patch)
        return int(made["metadata"]["resourceVersion"])

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return the opposite, for the findings that are not so already."""
        found = plane.api.get_or_none(self.ref.path)
        before = None if found is None else value_at(found, self.way)
        there = _findings(before)
        new = tuple(f for f in self.findings if (f in there) != self.present)
        if not new:
            return []
        sound = before if before is not None and not there else None
        return [replace(self, findings=new, present=not self.present, sound=sound)]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether all of the findings are there, or none of them."""
        there = self._there(plane, history)
        return all((finding in there) == self.present for finding in self.findings)

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it is the other way round for each of them."""
        there = self._there(plane, history)
        return all((finding in there) != self.present for finding in self.findings)

    def _there(self, plane: ControlPlane, history: History) -> list[str]:
        found = self.ref.now(plane, history)
        return _findings(None if found is None else value_at(found, self.way))

    def _after(self, before: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Return the condition as it shall be."""
        there = _findings(before)
        kept = [f for f in there if self.present or f not in self.findings]
        if self.present:
            kept += [f for f in self.findings if f not in there]
        if kept == there:
            return before
        if not kept:
            return self.sound
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        since = (before or {}).get("lastTransitionTime", now) if there else now
        return {
            "type": self.check,
            "status": "True",
            "reason": f"{self.check}IsNotHealthy",
            "message": _BETWEEN.join(kept),
            "lastTransitionTime": since,
        }


def _findings(condition: Mapping[str, Any] | None) -> list[str]:
    if condition is None or condition.get("status") != "True":
        return []
    message: str = condition.get("message", "")
    return [finding for finding in message.split(_BETWEEN) if finding]
