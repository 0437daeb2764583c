"""
One pass over a history: the cluster as it changes, and the rules that watch it.

Every record is looked at once and changes only what it is about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_knav.checks.crew import Crew, Promise
from pytest_knav.checks.facts import (
    NodeFact,
    PodFact,
    PodSpec,
    is_ready,
    node_fact,
    pod_fact,
    pod_spec,
)
from pytest_knav.checks.places import ALWAYS, Break, Devices, Lags, NodeState, folded
from pytest_knav.checks.requests import requests_of
from pytest_knav.history.record import FAULT, HEARTBEAT, STEP


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_knav.checks.rules.base import Rule
    from pytest_knav.history import History, Record

_STOPPED: Final = {"KILL", "PAUSE", "DIED"}
_BOUND: Final = frozenset({"nodeName"})
_STARTED: Final = {"RESTART", "RESUME", "RESTARTED BY ITSELF"}


class World:
    """
    The cluster as a history tells it, step by step.

    Args:
        promises: The workloads that were submitted.

    Attributes:
        begun_s: When the history begins, on its clock.
        active: The workloads that have pods.
        well_s: Since when the control plane is as it should be; None while one of its
            components is down or held, or a fault of it is in force.
        devices: The devices that have taints.
        lags: How late the recorder was.

    """

    def __init__(self, promises: Iterable[Promise]) -> None:
        self.begun_s = 0.0
        self.now_s = 0.0
        self.pods: dict[str, PodFact] = {}
        self.nodes: dict[str, NodeState] = {}
        self.breaks: dict[str, Break] = {}
        self.crews = [Crew(promise) for promise in promises]
        self.active: dict[Crew, None] = {}
        self.well_s: float | None = ALWAYS
        self.devices = Devices()
        self.lags = Lags()
        self._down: set[str] = set()
        self._hearing: list[Callable[..., None]] = []
        self._binding: list[Callable[[PodFact, float], None]] = []
        self._by_label: dict[tuple[str, str, str], list[Crew]] = {}
        self._by_group: dict[tuple[str, str], Crew] = {}
        self._by_owner: dict[tuple[str, str, str], list[Crew]] = {}
        for crew in self.crews:
            promise = crew.promise
            for key, value in [*promise.labels.items()][-1:]:
                place = (promise.namespace, key, value)
                self._by_label.setdefault(place, []).append(crew)
            owner = (promise.owner_kind, promise.namespace, promise.owner_name)
            self._by_owner.setdefault(owner, []).append(crew)

    @property
    def in_force(self) -> list[Break]:
        """Return the faults that are in force."""
        return [one for one in self.breaks.values() if one.cleared_s is None]

    def well_for(self, since_s: float, at: float) -> float:
        """Return for how long of a span the control plane was well without a break."""
        if self.well_s is None:
            return 0.0
        return max(0.0, at - max(since_s, self.well_s))

    def run(self, history: History, rules: Iterable[Rule]) -> None:
        """Look at every record of a history in order, and tell the rules of it."""
        rules = list(rules)
        heard = {
            name: [getattr(rule, name) for rule in rules if rule.hears(name)]
            for name in ("pod", "node", "claim", "fault")
        }
        self._hearing = heard["pod"]
        self._binding = [rule.bound for rule in rules if rule.hears("bound")]
        handlers: dict[str, Callable[[Record, Any], None]] = {
            "Pod": self._pod,
            "Node": lambda r, after: self._node(r, after, heard["node"]),
            "Job": lambda r, after: self._owner(r, after, heard["pod"]),
            "Deployment": lambda r, after: self._owner(r, after, heard["pod"]),
            "PodGroup": self._podgroup,
            "ResourceClaim": lambda r, after: self._claim(r, after, heard["claim"]),
            "ResourceSlice": lambda r, s: self.devices.change(r.uid, s, self.now_s),
            FAULT: lambda r, _: self._fault(r, heard["fault"]),
            STEP: lambda r, _: self._step(r),
            HEARTBEAT: lambda r, _: self.lags.hear(r),
        }
        first = not history.truncated_before
        if not first:
            self._begin_late(history, handlers)
        for record, after in history.replay(history.truncated_before, handlers):
            if first:
                self.begun_s, first = record.monotonic, False
            # A filled gap stands at old revisions with the time of the filling.
            self.now_s = max(self.now_s, record.monotonic)
            handlers[record.kind](record, after)

    def _begin_late(
        self, history: History, handlers: Mapping[str, Callable[[Record, Any], None]]
    ) -> None:
        """Begin with the states that the oldest records were folded into."""
        boundary = history.truncated_before
        self.begun_s = self.now_s = history.monotonic_of(boundary)
        known = history.known_since
        for kind in handlers.keys() & known.keys():
            if known[kind] > boundary:
                continue
            for record, after in folded(history, kind, self.now_s):
                handlers[kind](record, after)

    def _pod(self, record: Record, after: Mapping[str, Any] | None) -> None:
        before = self.pods.get(record.uid)
        if after is None:
            if before is None:
                return
            del self.pods[record.uid]
            new, spec = None, before.spec
        else:
            spec = before.spec if before else self._spec(after)
            if before and "spec" in (record.patch or ()):
                self._resized(record, before, after)
            new = pod_fact(spec, after)
            if new == before:
                return
            self.pods[record.uid] = new
        self._use(before, new)
        crew = spec.crew
        if crew is not None:
            crew.change(before, new)
            if before is None:
                self.active[crew] = None
            elif not crew.members:
                self.active.pop(crew, None)
        self._tell(before, new)

    def _tell(self, before: PodFact | None, new: PodFact | None) -> None:
        for hear in self._hearing:
            hear(before, new, self.now_s)
        if new and new.node and before is not None and before.node is None:
            for bound in self._binding:
                bound(new, self.now_s)

    def _spec(self, pod: Mapping[str, Any]) -> PodSpec:
        spec = pod_spec(pod, placed=bool((pod.get("spec") or {}).get("nodeName")))
        spec.crew = self._crew_of(spec)
        return spec

    def _crew_of(self, spec: PodSpec) -> Crew | None:
        for item in spec.labels.items():
            for crew in reversed(self._by_label.get((spec.namespace, *item), ())):
                wanted = crew.promise.labels.items()
                if all(spec.labels.get(key) == value for key, value in wanted):
                    return crew
        return self._by_group.get((spec.namespace, spec.group))

    def _resized(
        self, record: Record, before: PodFact, after: Mapping[str, Any]
    ) -> None:
        changed = (record.patch or {})["spec"] or {}
        if changed.keys() <= _BOUND:
            return
        spec, amounts_now = before.spec, requests_of(after)
        if amounts_now != spec.requests:
            self._use(before, None)
            spec.requests = amounts_now
            self._use(None, before)
            if before.node in self.nodes:
                self.nodes[before.node].changed_s = self.now_s

    def _use(self, before: PodFact | None, after: PodFact | None) -> None:
        """Count a pod against its node, or no longer."""
        fact = after if after is not None and after.node else before
        if fact is None or fact.node is None:
            return
        node = self.nodes.get(fact.node)
        if node is None:
            # Bound to what was never seen: known by its name alone.
            node = NodeState(NodeFact(fact.node, False, False, (), {}, {}))
            node.gone_s = ALWAYS
            self.nodes[fact.node] = node
        node.use(before, after, self.now_s)

    def _node(
        self, record: Record, after: Mapping[str, Any] | None, heard: list[Any]
    ) -> None:
        state = self.nodes.get(record.name)
        if after is None:
            if state is not None and state.gone_s is None:
                state.gone_s = self.now_s
                for hear in heard:
                    hear(state, state.fact, self.now_s)
            return
        if state is not None and state.gone_s is None and record.patch:
            patch = record.patch.keys()
            status = record.patch.get("status") or {}
            if patch <= {"status", "metadata"} and status.keys() <= {"conditions"}:
                labels = "labels" in (record.patch.get("metadata") or {})
                if not labels and is_ready(after["status"]) == state.fact.ready:
                    return
        fact = node_fact(after)
        if state is None:
            state = self.nodes[record.name] = NodeState(fact)
            before = None
        else:
            before = None if state.gone_s is not None else state.fact
        if before == fact:
            return
        state.become(fact, self.now_s, new=before is None)
        for hear in heard:
            hear(state, before, self.now_s)

    def _owner(
        self, record: Record, after: Mapping[str, Any] | None, heard: list[Any]
    ) -> None:
        place = (record.kind, record.namespace, record.name)
        for crew in self._by_owner.get(place, ()):
            if after is not None and crew.owner_uid not in {"", record.uid}:
                # Made again under the same name: what its forerunner did is not its.
                crew.done.clear()
            crew.owner_uid = record.uid
            crew.owner = after
            crew.owned = True
            some = next(iter(crew.members.values()), None)
            if some is not None:
                # How many pods it needs may be others now.
                for hear in heard:
                    hear(some, some, self.now_s)

    def _podgroup(self, record: Record, after: Mapping[str, Any] | None) -> None:
        place = (record.namespace, record.name)
        if after is None or place in self._by_group:
            return
        promise = Promise.of_group(after)
        if promise is not None:
            crew = self._by_group[place] = Crew(promise)
            self.crews.append(crew)

    def _claim(
        self, record: Record, after: Mapping[str, Any] | None, heard: list[Any]
    ) -> None:
        for hear in heard:
            hear(record, after, self.now_s)

    def _fault(self, record: Record, heard: list[Any]) -> None:
        data = record.data or {}
        if record.verb == "INJECTING" or (
            record.verb == "INJECTED" and record.name not in self.breaks
        ):
            fault = Break(
                id=record.name,
                name=str((data.get("fault") or {}).get("fault", record.name)),
                nodes=frozenset(data.get("nodes") or ()),
                pods=frozenset(data.get("pods") or ()),
                started_s=float(data.get("started_s", record.monotonic)),
                kind=str(data.get("kind", "")),
            )
            self.breaks[record.name] = fault
        elif record.verb == "CLEARED" and record.name in self.breaks:
            fault = self.breaks[record.name]
            fault.cleared_s = self.now_s
        else:
            return
        if fault.of_control_plane:
            self._note_well(fault.id, well=fault.cleared_s is not None)
        for hear in heard:
            hear(fault, self.now_s)

    def _step(self, record: Record) -> None:
        if record.verb in _STOPPED or record.verb in _STARTED:
            self._note_well(record.name, well=record.verb in _STARTED)

    def _note_well(self, what: str, *, well: bool) -> None:
        if well:
            self._down.discard(what)
        else:
            self._down.add(what)
        self.well_s = None if self._down else self.now_s
