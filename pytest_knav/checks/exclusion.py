"""
Was a node excluded, when, after how many failures, and did it hold.

What "excluded" means is a parameter, so that any mechanism can be asked: a taint, a
cordon, a label, a condition, or simply that nothing is placed there any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.checks.unused import Unused
from pytest_knav.errors import BadInput
from pytest_knav.history.view import view_at, walk


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.history import History

#: The taint of `knav exclusion`.
TAINT: Final = "taint:pytest-knav/excluded"
CORDON: Final = "cordon"
#: Nothing is placed there any more, while other nodes get several pods each.
UNUSED: Final = "unused"
_WAYS: Final = (
    "taint:KEY", "label:KEY", "label:KEY=VALUE", "condition:TYPE", CORDON, UNUSED,
)  # fmt: skip
#: A binding that was under way when a node was excluded may arrive so much later.
UNDER_WAY_S: Final = 1.0
_KINDS: Final = frozenset({"Node", "Pod"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """
    One node's exclusion.

    Attributes:
        at_s: When, in seconds since the beginning of what was judged.
        failures: How often pods had failed there by then.
        until_s: When it was taken back; None while it lasts.

    """

    node: str
    at_s: float
    failures: int
    until_s: float | None = None


@dataclass(slots=True)
class _Watch:
    """One node while its history is read."""

    excluded_s: float | None = None
    failures: int = 0
    failures_then: int = 0
    first_failure_s: float | None = None

    def fail(self, at_s: float) -> None:
        """Take note of a pod that has failed there."""
        self.failures += 1
        if self.first_failure_s is None:
            self.first_failure_s = at_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """
    All exclusions of a history, and what happened on the nodes.

    Attributes:
        exclusions: In the order of their beginnings.
        failures: How often pods have failed on each node: those that ended so, and
            each restart of a container.
        first_failure_s: When the first pod of each node failed, where any did.
        late: Pods that were bound to an excluded node, with when.

    """

    exclusions: tuple[Exclusion, ...]
    failures: Mapping[str, int]
    first_failure_s: Mapping[str, float]
    late: tuple[tuple[str, str, float], ...]

    def of(self, node: str) -> list[Exclusion]:
        """Return the exclusions of one node."""
        return [one for one in self.exclusions if one.node == node]


def check_way(by: str) -> None:
    """
    Return when it is a way of exclusion that is known.

    Raises:
        BadInput: It is not.

    """
    kind, _, rest = by.partition(":")
    if by in {CORDON, UNUSED} or (kind in {"taint", "label", "condition"} and rest):
        return
    raise BadInput(f"by={by!r}: use one of {', '.join(_WAYS)}")


def is_excluded(node: Mapping[str, Any], by: str) -> bool:
    """Return whether a Node object is excluded in a way that shows on it."""
    kind, _, rest = by.partition(":")
    if by == CORDON:
        return bool(node.get("spec", {}).get("unschedulable"))
    if kind == "taint":
        taints = node.get("spec", {}).get("taints") or ()
        keeps_out = (t for t in taints if t["effect"] != "PreferNoSchedule")
        return any(t["key"] == rest for t in keeps_out)
    if kind == "label":
        key, equals, value = rest.partition("=")
        found = node["metadata"].get("labels", {}).get(key)
        return found == value if equals else found is not None
    conditions = node.get("status", {}).get("conditions") or ()
    return any(c["type"] == rest and c["status"] == "True" for c in conditions)


def follow(history: History, by: str, since_revision: int, since_s: float) -> Course:
    """Return every exclusion from a revision on, and what was placed despite it."""
    view = view_at(history, since_revision, _KINDS)
    reading = _Reading(by=by)
    reading.bound = {uid for uid, pod in view.of("Pod").items() if _node_of(pod)}
    reading.restarts = {u: _restarts(pod) for u, pod in view.of("Pod").items()}
    reading.failed = {uid for uid, pod in view.of("Pod").items() if _failed(pod)}
    for node in view.of("Node").values():
        reading.see_node(node, 0.0)
    for record, _ in walk(history, since_revision, _KINDS, view):
        at_s = record.monotonic - since_s
        if record.kind == "Node":
            now = view.of("Node").get(record.uid)
            if now is not None:
                reading.see_node(now, at_s)
            continue
        pod = view.of("Pod").get(record.uid)
        if pod is not None:
            reading.see_pod(record.uid, pod, at_s)
    return reading.course()


@dataclass(slots=True)
class _Reading:
    """What is known so far while a history is read."""

    by: str
    unused: Unused = field(default_factory=Unused)
    bound: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    restarts: dict[str, int] = field(default_factory=dict)
    _watches: dict[str, _Watch] = field(default_factory=dict)
    _found: list[Exclusion] = field(default_factory=list)
    _late: list[tuple[str, str, float]] = field(default_factory=list)

    def see_node(self, node: Mapping[str, Any], at_s: float) -> None:
        name = node["metadata"]["name"]
        if self.by == UNUSED:
            self.unused.nodes.add(name)
        else:
            self._mark(name, at_s, out=is_excluded(node, self.by))

    def see_pod(self, uid: str, pod: Mapping[str, Any], at_s: float) -> None:
        name = _node_of(pod)
        if name is None:
            return
        watch = self._watches.setdefault(name, _Watch())
        if uid not in self.bound:
            self.bound.add(uid)
            out_s = watch.excluded_s
            if self.by == UNUSED:
                self._see_bound(name, at_s)
            elif out_s is not None and at_s - out_s > UNDER_WAY_S:
                self._late.append((name, pod["metadata"]["name"], at_s))
        more = _restarts(pod) - self.restarts.get(uid, 0)
        if more > 0:
            self.restarts[uid] = _restarts(pod)
        if _failed(pod) and uid not in self.failed:
            self.failed.add(uid)
            more += 1
        for _ in range(more):
            watch.fail(at_s)

    def course(self) -> Course:
        still = [
            _exclusion(name, watch, None)
            for name, watch in self._watches.items()
            if watch.excluded_s is not None
        ]
        return Course(
            exclusions=tuple(sorted([*self._found, *still], key=lambda one: one.at_s)),
            failures={name: watch.failures for name, watch in self._watches.items()},
            first_failure_s={
                name: watch.first_failure_s
                for name, watch in self._watches.items()
                if watch.first_failure_s is not None
            },
            late=tuple(self._late),
        )

    def _see_bound(self, name: str, at_s: float) -> None:
        back, passed_over = self.unused.bound(name, at_s)
        if back:
            self._mark(name, at_s, out=False)
        for other, last_s in passed_over:
            self._mark(other, last_s, out=True)

    def _mark(self, name: str, at_s: float, *, out: bool) -> None:
        watch = self._watches.setdefault(name, _Watch())
        if out and watch.excluded_s is None:
            watch.excluded_s, watch.failures_then = at_s, watch.failures
        elif not out and watch.excluded_s is not None:
            self._found.append(_exclusion(name, watch, at_s))
            watch.excluded_s = None


def _exclusion(name: str, watch: _Watch, until_s: float | None) -> Exclusion:
    return Exclusion(
        node=name,
        at_s=watch.excluded_s or 0.0,
        failures=watch.failures_then,
        until_s=until_s,
    )


def _node_of(pod: Mapping[str, Any]) -> str | None:
    found: str | None = pod.get("spec", {}).get("nodeName")
    return found


def _failed(pod: Mapping[str, Any]) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Failed")


def _restarts(pod: Mapping[str, Any]) -> int:
    """Return how often containers of a pod failed and were started again."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return sum(
        int(one.get("restartCount", 0))
        for one in statuses
        if ((one.get("lastState") or {}).get("terminated") or {}).get("exitCode")
    )
