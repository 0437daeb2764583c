"""Conditions of a workload: true or false of the cluster at any moment of a history."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_knav.workloads.collective import out_of_reach
from pytest_knav.workloads.pods import current


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from pytest_knav.history.view import View
    from pytest_knav.workloads.collective import Collective
    from pytest_knav.workloads.pods import PodInfo, PodSelector
    from pytest_knav.workloads.status import OwnStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """
    All pods of a workload at one moment, and what they are measured against.

    Attributes:
        broken_nodes: Nodes on which all work is lost.
        fabric_loss: Where it is a collective: nodes whose links are broken, as of
            `View.fabric_loss`.
        waiting: Uids of pods that wait for a rank that cannot take part.
        admitted: Whether the system says that it has let the workload in.
        verdict: What the system says of its end: whether all is done, and why it has
            given up. None where the owner says it.

    """

    pods: Sequence[PodInfo]
    expected: int
    broken_nodes: frozenset[str]
    owner: Mapping[str, Any] | None
    fabric_loss: Mapping[str, str | None] = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()
    admitted: bool = False
    verdict: tuple[bool, str] | None = None

    @property
    def current(self) -> list[PodInfo]:
        """Return the newest live pod of each index."""
        return current(self.pods)

    @property
    def unable(self) -> list[PodInfo]:
        """Return the current members that sit on something broken."""
        pods = self.current
        lost = self.broken_nodes
        if self.fabric_loss:
            nodes = {pod.node for pod in pods if pod.node} - lost
            lost |= out_of_reach(nodes, self.fabric_loss)
        return [pod for pod in pods if pod.node in lost]

    @property
    def stuck(self) -> list[PodInfo]:
        """Return the current members that wait for one that cannot take part."""
        return [pod for pod in self.current if pod.uid in self.waiting]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadCondition:
    """
    A named test of a workload's pods.

    It satisfies `pytest_knav.history.view.Condition`.
    """

    name: str
    subject: Subject
    test: Callable[[Members], bool]

    @property
    def kinds(self) -> Collection[str]:
        """Return the kinds it looks at."""
        subject = self.subject
        own = subject.status.kind if subject.status is not None else None
        return ("Pod", *(kind for kind in (subject.owner_kind, own) if kind))

    def holds(self, view: View) -> bool:
        """Return whether it is true."""
        return self.test(self.subject.members(view))

    def describe(self, view: View) -> str:
        """Return the states of the pods in one line."""
        return self.subject.describe(view)

    def __str__(self) -> str:
        """Return the name."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """
    Which pods and which owner a condition is about.

    Attributes:
        label: What the workload is called in messages, such as `Gang llama`.
        expected: How many pods run at once when it is up.
        owner_kind: `Job`, `Deployment` or None.
        collective: How its members hang together; None where each is on its own.
        status: Where its scheduler or operator says how it stands with it, if it does.

    """

    label: str
    selector: PodSelector
    expected: int
    owner_kind: str | None
    owner_name: str
    collective: Collective | None = None
    status: OwnStatus | None = None

    @property
    def key(self) -> str:
        """Return what it is called in the records of collectives."""
        return f"{self.selector.namespace}/{self.owner_name}"

    def members(self, view: View) -> Members:
        """Return the workload's pods in a view."""
        owner = None
        if self.owner_kind:
            for candidate in view.of(self.owner_kind).values():
                metadata = candidate["metadata"]
                if (metadata["name"], metadata.get("namespace", "default")) == (
                    self.owner_name,
                    self.selector.namespace,
                ):
                    owner = candidate
        together = self.collective is not None
        return Members(
            pods=self.selector.select(view.of("Pod").values()),
            expected=self.expected,
            broken_nodes=view.broken_nodes,
            owner=owner,
            fabric_loss=view.fabric_loss if together else {},
            waiting=view.stuck.get(self.key, frozenset()) if together else frozenset(),
            admitted=self.status is not None and self.status.has_admitted(view),
            verdict=None if self.status is None else self.status.verdict(view),
        )

    def pod(self, view: View, uid: str) -> PodInfo | None:
        """Return one of the workload's pods; None when it is gone or not its own."""
        found = view.of("Pod").get(uid)
        if found is None or not self.selector.matches(found):
            return None
        return self.selector.info(found)

    def describe(self, view: View) -> str:
        """Return how many pods are in which state, and who is missing."""
        members = self.members(view)
        states = Counter(pod.state for pod in members.pods)
        parts = [f"{count} {state}" for state, count in sorted(states.items())]
        up = sum(pod.up for pod in members.current)
        text = f"{up} of {members.expected} up"
        if parts:
            text += f" ({', '.join(parts)})"
        waiting = [pod.name for pod in members.current if pod.node is None][:5]
        if waiting:
            text += f"; without a node: {', '.join(waiting)}"
        if self.collective is not None and (members.unable or members.stuck):
            text += (
                f"; {len(members.unable)} cannot take part, {len(members.stuck)} wait "
                "in a collective that has lost a member"
            )
        own = "" if self.status is None else self.status.describe(view)
        rest = [part for part in (_failure(members), own) if part]
        return "; ".join([text, *rest])


def is_running(members: Members) -> bool:
    """Return whether the expected number of pods is up, one per index."""
    return sum(pod.up for pod in members.current) >= members.expected


def is_finished(members: Members) -> bool:
    """Return whether the work has come to a good end."""
    if members.verdict is not None:
        return members.verdict[0]
    if members.owner is not None:
        conditions = members.owner.get("status", {}).get("conditions", ())
        return any(
            c["type"] == "Complete" and c["status"] == "True" for c in conditions
        )
    return bool(members.pods) and all(p.phase == "Succeeded" for p in members.pods)


def has_failed(members: Members) -> bool:
    """Return whether its controller, or the pod itself, has given up."""
    if members.owner is not None or members.verdict is not None:
        return bool(_failure(members))
    return bool(members.pods) and all(p.phase == "Failed" for p in members.pods)


def is_pending(members: Members) -> bool:
    """Return whether some pod that should be there has no node."""
    bound = [pod for pod in members.current if pod.node]
    return len(bound) < members.expected and not is_finished(members)


def is_partially_bound(members: Members) -> bool:
    """Return whether some members have a node and stay there, but not all."""
    bound = {
        pod.uid if pod.index is None else pod.index
        for pod in members.pods
        if pod.node and not pod.terminating and pod.phase != "Failed"
    }
    return 0 < len(bound) < members.expected


def is_degraded(members: Members) -> bool:
    """
    Return whether a member cannot do its work, whatever the API says.

    It sits on something broken, or waits for a rank that does.
    """
    return bool(members.unable or members.stuck)


def is_admitted(members: Members) -> bool:
    """Return whether its scheduler or operator has let it in."""
    return members.admitted


def _failure(members: Members) -> str:
    if members.verdict is not None:
        return f"it has failed: {members.verdict[1]}" if members.verdict[1] else ""
    conditions = (members.owner or {}).get("status", {}).get("conditions", ())
    for condition in conditions:
        # FailureTarget comes first: Failed has to wait for the last pod, and those on
        # a dead node stay Terminating (Kubernetes 1.31, KEP-3998).
        given_up = condition["type"] in {"Failed", "FailureTarget"}
        if given_up and condition["status"] == "True":
            reason = condition.get("reason", "")
            return f"it has failed: {reason}: {condition.get('message', '')}"
    return ""
