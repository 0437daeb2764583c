"""
Which nodes to exclude and to take back: decisions alone, without a cluster.

Limits come first: a controller that is wrong must not take a cluster down.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_knav.exclusion.estimators import View

Verb = Literal["exclude", "readmit", "refuse", "clear", "trust"]
#: How much longer each exclusion of the same node lasts than the one before.
RELAPSE_FACTOR: Final = 2.0
_RELAPSES_MAX: Final = 6
#: So many pods with a good end are proof after a probation. What is too little to prove
#: it bad is too little to prove it good: a lemon's first pods say next to nothing.
PROOF: Final = 10
# Older ones count a little less.
_NEARLY: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    What holds a controller back.

    Attributes:
        threshold: From which `sure` of the estimator on; None: the estimator's own.
        least_failures: Fewer failures than this exclude nobody.
        share: The share of nodes that may be excluded at once.
        per_domain: How many nodes of one domain, such as a rack, may be; None: any.
        breaker: How many exclusions within `breaker_s` open the circuit breaker: what
            fails everywhere at once is not the nodes.
        breaker_s: Both the span that is looked at and how long it stays open.
        probation_s: How long a first exclusion lasts; each relapse doubles it.

    """

    threshold: float | None = None
    least_failures: int = 3
    share: float = 0.1
    per_domain: int | None = None
    breaker: int = 10
    breaker_s: float = 300.0
    probation_s: float = 1800.0

    def __post_init__(self) -> None:
        for name in ("threshold", "share"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise BadInput(f"{name}={value!r}: give a number from 0 to 1")
        for name in ("least_failures", "per_domain", "breaker"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BadInput(f"{name}={value!r}: give a whole number of at least 1")
        for name in ("breaker_s", "probation_s"):
            if getattr(self, name) <= 0:
                raise BadInput(f"{name}={getattr(self, name)!r}: give more than 0 s")


@dataclass(slots=True, kw_only=True)
class NodeState:
    """
    What is remembered of a node, on the node itself.

    Attributes:
        machine: Which machine and boot it is; another one is repaired.
        excluded_s: Since when it is excluded, in seconds since 1970; None: it is not.
        relapses: How often it was excluded again after it was taken back.
        probation: Whether it was taken back and has not proved itself since.

    """

    machine: str = ""
    excluded_s: float | None = None
    relapses: int = 0
    probation: bool = False

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "machine": self.machine,
            "excluded": self.excluded_s,
            "relapses": self.relapses,
            "probation": self.probation,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> NodeState:
        """Return what `as_data` made."""
        return cls(
            machine=str(data.get("machine", "")),
            excluded_s=data.get("excluded"),
            relapses=int(data.get("relapses", 0)),
            probation=bool(data.get("probation", False)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    Something to do about a node, and why.

    `refuse` is an exclusion that a limit forbids; `clear` forgets what was known of a
    machine that was repaired; `trust` ends a probation, and its relapses are forgotten.
    """

    node: str
    verb: Verb
    why: str


@dataclass(slots=True)
class Policy:
    """
    Decides by views of nodes, one cycle at a time.

    Args:
        limits: What holds it back.
        threshold: The estimator's own threshold.

    Attributes:
        nodes: What is remembered of each node; to be filled from the cluster.
        domains: The domain of each node.

    """

    limits: Limits
    threshold: float
    nodes: dict[str, NodeState] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=1_000))
    _open_until_s: float = 0.0

    @property
    def excluded(self) -> list[str]:
        """Return the nodes that are excluded, sorted."""
        return sorted(n for n, s in self.nodes.items() if s.excluded_s is not None)

    def breaker_open(self, now_s: float) -> bool:
        """Return whether the circuit breaker keeps nodes from being excluded."""
        return now_s < self._open_until_s

    def decide(
        self, views: Mapping[str, Callable[[], View]], now_s: float
    ) -> list[Decision]:
        """
        Return what is to be done now; what is remembered changes with it.

        Args:
            views: How to see each node that may have changed; asked only if needed.
            now_s: Seconds since 1970.

        """
        made = [
            self._readmit(node, now_s)
            for node, state in self.nodes.items()
            if state.excluded_s is not None and now_s >= self.until_s(state)
        ]
        # What was held against them is forgotten only after this.
        back = {decision.node for decision in made}
        wanted = self.limits.threshold
        least = self.threshold if wanted is None else wanted
        for node, see in views.items():
            state = self.nodes.get(node)
            if state is None or state.excluded_s is not None or node in back:
                continue
            view = see()
            if view.sure >= least and view.failures >= self.limits.least_failures:
                made.append(self._exclude(node, state, view, now_s))
            elif state.probation and view.sure < least / 2 and _good(view) >= PROOF:
                made.append(self._trust(node, state))
        return made

    def until_s(self, state: NodeState) -> float:
        """Return when an excluded node is taken back."""
        doubled = RELAPSE_FACTOR ** min(state.relapses, _RELAPSES_MAX)
        return (state.excluded_s or 0.0) + self.limits.probation_s * doubled

    def seen(self, node: str, machine: str, domain: str) -> list[Decision]:
        """Take note of a node; a machine that was repaired begins anew."""
        self.domains[node] = domain
        state = self.nodes.setdefault(node, NodeState(machine=machine))
        if not state.machine or state.machine == machine:
            state.machine = machine
            return []
        was_excluded = state.excluded_s is not None
        self.nodes[node] = NodeState(machine=machine)
        why = "it is another machine, or was booted again since"
        made = [Decision(node=node, verb="clear", why=why)]
        if was_excluded:
            made.append(Decision(node=node, verb="readmit", why=why))
        return made

    def gone(self, node: str) -> None:
        """Forget a node that is no longer there."""
        self.nodes.pop(node, None)
        self.domains.pop(node, None)

    def _readmit(self, node: str, now_s: float) -> Decision:
        state = self.nodes[node]
        lasted_s = now_s - (state.excluded_s or now_s)
        state.excluded_s, state.probation = None, True
        return Decision(
            node=node,
            verb="readmit",
            why=f"on probation after {lasted_s:.0f}s, exclusion {state.relapses + 1}",
        )

    def _trust(self, node: str, state: NodeState) -> Decision:
        state.relapses, state.probation = 0, False
        why = f"{PROOF} pods came to a good end since it was taken back"
        return Decision(node=node, verb="trust", why=why)

    def _exclude(
        self, node: str, state: NodeState, view: View, now_s: float
    ) -> Decision:
        forbidden = self._forbidden(node, now_s)
        why = (
            f"failure probability {view.failure:.2f} ({view.low:.2f} to "
            f"{view.high:.2f}) after {view.failures:.0f} failures of {view.samples:.0f}"
        )
        if forbidden:
            return Decision(node=node, verb="refuse", why=f"{forbidden}; {why}")
        if state.probation:
            state.relapses += 1
        state.excluded_s, state.probation = now_s, False
        self._recent.append(now_s)
        return Decision(node=node, verb="exclude", why=why)

    def _forbidden(self, node: str, now_s: float) -> str:
        """Return which limit forbids to exclude one more node; empty for none."""
        limits = self.limits
        while self._recent and now_s - self._recent[0] > limits.breaker_s:
            self._recent.popleft()
        if len(self._recent) >= limits.breaker and not self.breaker_open(now_s):
            self._open_until_s = now_s + limits.breaker_s
            self._recent.clear()
        if self.breaker_open(now_s):
            return f"the circuit breaker is open: {limits.breaker} exclusions at once"
        out = self.excluded
        most = int(limits.share * len(self.nodes))
        if len(out) + 1 > most:
            return f"{len(out)} of {len(self.nodes)} are out, {most} may be"
        domain = self.domains.get(node, "")
        if limits.per_domain is not None and domain:
            here = Counter(self.domains.get(name, "") for name in out)[domain]
            if here + 1 > limits.per_domain:
                return f"{here} of {domain} are out, {limits.per_domain} may be"
        return ""


def _good(view: View) -> float:
    """Return how many pods came to a good end."""
    return view.samples - view.failures + _NEARLY
