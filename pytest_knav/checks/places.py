"""A node as the rules see it, and a fault as it was injected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pytest_knav.checks.facts import HARD_EFFECTS, taints_of
from pytest_knav.history.record import ADDED, Record


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from pytest_knav.checks.facts import NodeFact, PodFact, PodSpec, Taint
    from pytest_knav.history import History

ALWAYS: Final = float("-inf")
Device = tuple[str, str, str]
# Kinds of targets; with none said, a fault that hits nothing is taken for one of these.
_CONTROL_PLANE: Final = frozenset({"component", "connection", "object", ""})


@dataclass(slots=True)
class NodeState:
    """
    A node and what is bound to it.

    Attributes:
        since: When each of its taints was first seen, without a break.
        cordoned_s: Since when it is cordoned; None: it is not.
        unready_s: Since when it is not Ready; None: it is.
        gone_s: Since when it is deleted; None: it is there.
        changed_s: When its amounts, or what counts against them, changed otherwise
            than by a scheduler.
        freed_s: When it last became better: amounts freed, a taint taken away.
        used: What its pods take, in thousandths.

    """

    fact: NodeFact
    since: dict[Taint, float] = field(default_factory=dict)
    cordoned_s: float | None = None
    unready_s: float | None = None
    gone_s: float | None = None
    changed_s: float = ALWAYS
    freed_s: float = ALWAYS
    used: dict[str, int] = field(default_factory=dict)
    pods: dict[str, PodFact] = field(default_factory=dict)

    def fits(self, spec: PodSpec, *, beside: Mapping[str, int] | None = None) -> bool:
        """
        Return whether a plain pod fits, by amounts, taints and node selector.

        Args:
            spec: The pod.
            beside: Amounts that are counted as used and are not.

        """
        fact = self.fact
        if self.gone_s is not None or fact.cordoned or not fact.ready:
            return False
        if any(fact.labels.get(k) != v for k, v in spec.selector.items()):
            return False
        hard = (t for t in fact.taints if t.effect in HARD_EFFECTS)
        if not all(spec.tolerates(taint) for taint in hard):
            return False
        beside = beside or {}
        return all(
            self.used.get(n, 0) - beside.get(n, 0) + value <= fact.room.get(n, 0)
            for n, value in spec.requests.items()
        )

    def places(self, spec: PodSpec) -> int:
        """Return for how many pods like this one there is room."""
        if not self.fits(spec):
            return 0
        return min(
            (self.fact.room.get(name, 0) - self.used.get(name, 0)) // value
            for name, value in spec.requests.items()
        )

    def become(self, fact: NodeFact, now_s: float, *, new: bool) -> None:
        """Take a change of the node into account; `new`: it was not there before."""
        before, self.fact = self.fact, fact
        if new:
            self.gone_s, self.since = None, {}
        elif before.room != fact.room:
            self.changed_s = self.freed_s = now_s
        better = bool(set(before.taints) - set(fact.taints))
        if new or better or _health(before) != _health(fact):
            self.freed_s = now_s
        self.since = {taint: self.since.get(taint, now_s) for taint in fact.taints}
        self.cordoned_s = (self.cordoned_s or now_s) if fact.cordoned else None
        self.unready_s = None if fact.ready else (self.unready_s or now_s)

    def use(self, before: PodFact | None, after: PodFact | None, now_s: float) -> None:
        """Count a pod against its amounts, or no longer."""
        held = before is not None and before.holds
        holds = after is not None and after.holds
        fact = after if holds else before
        if fact is None:
            return
        if holds:
            self.pods[fact.spec.uid] = fact
        elif held:
            self.pods.pop(fact.spec.uid, None)
        if holds == held:
            return
        sign = 1 if holds else -1
        for name, value in fact.spec.requests.items():
            self.used[name] = self.used.get(name, 0) + sign * value
        if not holds:
            self.freed_s = now_s
        elif before is None:
            # Nobody chose this place: what is too much now is no scheduler's doing.
            self.changed_s = now_s


@dataclass(slots=True, kw_only=True)
class Break:
    """
    A fault as it was injected: where it is, and until when.

    Attributes:
        kind: Of what its targets are, such as `node`; empty in histories that do not
            say it.

    """

    id: str
    name: str
    nodes: frozenset[str]
    pods: frozenset[str]
    started_s: float
    kind: str = ""
    cleared_s: float | None = None

    @property
    def of_control_plane(self) -> bool:
        """
        Return whether it slows or stops the control plane itself.

        Not so for a cordon, a taint or a throttled GPU: they hit nothing that runs,
        but whoever binds to them meanwhile has no excuse.
        """
        return not self.nodes and not self.pods and self.kind in _CONTROL_PLANE


class Devices:
    """
    Which devices of DRA are tainted, as their ResourceSlices say.

    Attributes:
        tainted: Since when each device (driver, pool, name) has each of its taints.

    """

    def __init__(self) -> None:
        self.tainted: dict[Device, dict[Taint, float]] = {}
        self._slices: dict[str, list[Device]] = {}

    def change(self, uid: str, after: Mapping[str, Any] | None, now_s: float) -> None:
        """Take a change of a slice into account."""
        found: dict[Device, dict[Taint, float]] = {}
        spec = (after or {}).get("spec") or {}
        pool = (spec.get("pool") or {}).get("name", "")
        for device in spec.get("devices") or ():
            place = (spec.get("driver", ""), pool, device["name"])
            taints = taints_of(device)
            if taints:
                was = self.tainted.get(place, {})
                found[place] = {taint: was.get(taint, now_s) for taint in taints}
        for place in self._slices.pop(uid, ()):
            self.tainted.pop(place, None)
        self.tainted.update(found)
        if found:
            self._slices[uid] = list(found)


class Lags:
    """How late the recorder was, and when."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []

    def hear(self, heartbeat: Record) -> None:
        """Note how late it was, as a heartbeat tells it."""
        lag_s = float((heartbeat.data or {}).get("lag_s", 0))
        self._seen.append((heartbeat.monotonic, lag_s))

    def within(self, since_s: float, until_s: float) -> float:
        """Return how late it was at worst within a span; what came late is later."""
        lags = (
            lag_s
            for at, lag_s in self._seen
            if at >= since_s and at - lag_s <= until_s + lag_s
        )
        return max(lags, default=0.0)


def folded(
    history: History, kind: str, now_s: float
) -> Iterator[tuple[Record, Mapping[str, Any]]]:
    """Yield the objects of a kind at the begin of a folded history, as if just seen."""
    boundary = history.truncated_before
    for uid, found in history.state_at(boundary, kind).items():
        metadata = found["metadata"]
        record = Record(
            revision=boundary,
            monotonic=now_s,
            wall=0.0,
            verb=ADDED,
            kind=kind,
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            uid=uid,
        )
        yield record, found


def _health(fact: NodeFact) -> tuple[bool, bool]:
    return fact.cordoned, fact.ready
