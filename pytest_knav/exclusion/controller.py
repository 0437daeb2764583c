"""
The controller: follows pods and nodes, decides each cycle, makes the cluster so.

What is to be and what is are compared: a write that fails is tried again, a restart
goes on with what the nodes carry, and a taint that somebody took away stays away. One
instance for a cluster.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.exclusion import node_state
from pytest_knav.exclusion.api import STRATEGIC_PATCH, Follower, RefusedError
from pytest_knav.exclusion.estimators import make_estimator
from pytest_knav.exclusion.policy import Decision, Limits, NodeState, Policy
from pytest_knav.exclusion.samples import QUEUE_LABEL, Pods, finished_s


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_knav.exclusion.api import AnyCluster
    from pytest_knav.exclusion.estimators import Estimator

NODES: Final = "/api/v1/nodes"
PODS: Final = "/api/v1/pods"
_EVENTS: Final = "/api/v1/namespaces/default/events"
_ACCESS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
# Only pods that have ended: the server sends a fraction of all changes.
_ENDED: Final = "status.phase!=Pending,status.phase!=Running,status.phase!=Unknown"
_EVENTS_MAX: Final = 20_000
# Evidence is written down at most so often for one node.
_REMEMBER_EVERY_S: Final = 10.0
_TRIES: Final = 5
_CONFLICT: Final = 409
_NOT_FOUND: Final = 404
_HALF_WRITTEN: Final = "as decided before"
_NEEDED: Final = (
    ("list", "pods", ""),
    ("watch", "pods", ""),
    ("list", "nodes", ""),
    ("watch", "nodes", ""),
    ("patch", "nodes", ""),
    ("patch", "nodes", "status"),
    ("create", "events", ""),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    How a controller works.

    Attributes:
        estimator: Which one.
        limits: What holds it back.
        selector: Labels of the nodes that it looks after; empty for all.
        domain_label: The label whose value is a node's domain.
        queue_label: The label that names a pod's queue.
        cycle_s: Seconds between two decisions.
        dry_run: Whether it only says what it would do.

    """

    estimator: str = "bayes"
    limits: Limits = field(default_factory=Limits)
    selector: str = ""
    domain_label: str = "topology.kubernetes.io/rack"
    queue_label: str = QUEUE_LABEL
    cycle_s: float = 1.0
    dry_run: bool = False


class Controller:
    """
    Keeps lemon nodes out of one cluster.

    Args:
        api: The cluster.
        settings: How.
        tell: Told of every decision.

    Attributes:
        counts: How often each decision was made.
        samples: How many pods it has reckoned with.

    """

    def __init__(
        self,
        api: AnyCluster,
        settings: Settings,
        tell: Callable[[Decision], None] = lambda _: None,
    ) -> None:
        self._api = api
        self.settings = settings
        self.estimator: Estimator = make_estimator(settings.estimator)
        self.policy = Policy(settings.limits, self.estimator.threshold)
        self.counts: Counter[str] = Counter()
        self.samples = 0
        #: Held while it reckons, and by whoever reads of it in another thread.
        self.lock = threading.RLock()
        self._tell = tell
        self._pods = Pods(settings.queue_label)
        self._events: queue.Queue[tuple[str, str, Any]] = queue.Queue(_EVENTS_MAX)
        self._changed: set[str] = set()
        # Nodes to be written, and why; until the API server has taken it.
        self._due: dict[str, str] = {}
        self._remembered_s: dict[str, float] = {}
        self._newest_s: dict[str, float] = {}
        self._written_s: dict[str, float] = {}
        # Until when nodes remember pods of before this process.
        self._recalled_s: dict[str, float] = {}
        self._own_version: dict[str, int] = {}
        self._refused: set[str] = set()
        # Not set back by a step of the clock while it runs.
        self._offset_s = time.time() - time.monotonic()

    def now_s(self) -> float:
        """Return seconds since 1970, never going back."""
        return time.monotonic() + self._offset_s

    def check(self) -> None:
        """
        Return when it can begin; nothing is changed.

        Raises:
            BadInput: The selector matches no node, or says nothing.
            ClusterError: The user may not do what it needs, or nobody answers.

        """
        for verb, resource, sub in _NEEDED:
            if self.settings.dry_run and verb in {"patch", "create"}:
                continue
            self._check_allowed(verb, resource, sub)
        selector = self.settings.selector
        if not selector:
            return
        found, _ = self._api.list(NODES, labelSelector=selector)
        everyone, _ = self._api.list(NODES)
        if not found:
            raise BadInput(
                f"selector {selector!r} matches none of {len(everyone)} nodes: see "
                "kubectl get nodes --show-labels"
            )
        if len(found) == len(everyone):
            raise BadInput(
                f"selector {selector!r} matches every one of {len(everyone)} nodes, so "
                "it protects none: leave it away to look after all of them"
            )

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop; what is excluded stays so."""
        selector = self.settings.selector
        params = {"labelSelector": selector} if selector else {}
        nodes = Follower(self._api, NODES, self._events, **params)
        pods = Follower(self._api, PODS, self._events, fieldSelector=_ENDED)
        followers = (nodes, pods)
        # What nodes remember comes before the pods that they remember.
        nodes.start()
        self._await_nodes(stop)
        pods.start()
        try:
            while not stop.is_set():
                self._drain(time.monotonic() + self.settings.cycle_s, stop)
                self.cycle()
        finally:
            for follower in followers:
                follower.stop()

    def cycle(self) -> None:
        """Decide once, and write what is due."""
        with self.lock:
            self._decide()
        for node, why in list(self._due.items()):
            if not self._write(node, why):
                return

    def _decide(self) -> None:
        now_s = self.now_s()
        self.estimator.update(now_s)
        views = {
            node: (lambda node=node: self.estimator.view(node, now_s))
            for node in self._changed
            if node in self.policy.nodes
        }
        self._changed = set()
        for decision in self.policy.decide(views, now_s):
            self._decided(decision)
        self._remember(now_s)

    def take(self, path: str, kind: str, what: Any) -> None:  # noqa: ANN401 - JSON
        """Take note of one event of a list."""
        with self.lock:
            self._take(path, kind, what)

    def _take(self, path: str, kind: str, what: Any) -> None:  # noqa: ANN401 - JSON
        items = what if kind == "LIST" else [what]
        if path == PODS:
            for pod in items:
                if kind != "DELETED":
                    self._see_pod(pod)
            if kind == "LIST":
                # From now on every pod is known by its uid.
                self._recalled_s.clear()
            return
        if kind == "LIST":
            names = {node["metadata"]["name"] for node in items}
            for gone in set(self.policy.nodes) - names:
                self._forget(gone)
        for node in items:
            if kind == "DELETED":
                self._forget(node["metadata"]["name"])
            else:
                self._see_node(node)

    def queues(self) -> list[str]:
        """Return the queues that were seen last, sorted."""
        return sorted(self._pods.queues)

    def release(self) -> list[str]:
        """Take back every exclusion, forget everything; return the nodes."""
        found = self.policy.excluded
        for node, state in list(self.policy.nodes.items()):
            if state.excluded_s is not None or node in self._remembered_s:
                self.policy.nodes[node] = NodeState(machine=state.machine)
                self.estimator.forget(node)
                self._newest_s.pop(node, None)
                self._write(node, "taken back: the controller was told to")
        return found

    def _await_nodes(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self.take(*self._events.get(timeout=0.2))
            except queue.Empty:
                continue
            return

    def _drain(self, until_s: float, stop: threading.Event) -> None:
        while not stop.is_set() and (left_s := until_s - time.monotonic()) > 0:
            try:
                self.take(*self._events.get(timeout=min(left_s, 0.2)))
            except queue.Empty:
                continue

    def _see_pod(self, pod: Mapping[str, Any]) -> None:
        node = pod.get("spec", {}).get("nodeName")
        if node not in self.policy.nodes:
            return
        now_s = self.now_s()
        recalled_s = self._recalled_s.get(node)
        if (
            recalled_s is not None
            and finished_s(pod.get("status", {}), now_s) <= recalled_s
        ):
            # What the node remembers has this pod in it already.
            self._pods.samples(pod, now_s)
            return
        for sample in self._pods.samples(pod, now_s):
            # A machine's clock may be ahead of ours; nothing counts before its time.
            sample = replace(sample, at_s=min(sample.at_s, now_s))  # noqa: PLW2901
            self.estimator.add(sample)
            self.samples += 1
            self._changed.add(node)
            self._newest_s[node] = max(self._newest_s.get(node, 0.0), sample.at_s)

    def _see_node(self, node: Mapping[str, Any]) -> None:
        name = node["metadata"]["name"]
        domain = node["metadata"].get("labels", {}).get(self.settings.domain_label, "")
        if name not in self.policy.nodes:
            self._recall(name, node)
        for decision in self.policy.seen(name, node_state.machine_of(node), domain):
            if decision.verb == "clear":
                self._due[name] = decision.why
            self._decided(decision)
        state = self.policy.nodes[name]
        # resourceVersions of one kind can be compared (KEP-5504).
        version = int(node["metadata"]["resourceVersion"])
        stale = version < self._own_version.get(name, 0)
        if name in self._due or stale or self.settings.dry_run:
            return
        if state.excluded_s is not None and not node_state.is_tainted(node):
            state.excluded_s, state.probation = None, True
            why = "somebody took the taint away"
            self._decided(Decision(node=name, verb="readmit", why=why))
        elif node_state.says_so(node) != (state.excluded_s is not None):
            # The taint was written, and then somebody died before the condition was.
            self._due[name] = _HALF_WRITTEN

    def _recall(self, name: str, node: Mapping[str, Any]) -> None:
        """Begin with what a node remembers of an earlier life of the controller."""
        written = node_state.read(node)
        if written is None:
            if node_state.is_tainted(node):
                self.policy.nodes[name] = NodeState(
                    machine=node_state.machine_of(node), excluded_s=self.now_s()
                )
            return
        self.policy.nodes[name] = state = written.state
        if state.excluded_s is not None:
            # The clock was ahead when it was written: no exclusion lasts longer.
            state.excluded_s = min(state.excluded_s, self.now_s())
        self._recalled_s[name] = written.until_s
        self._written_s[name] = self._newest_s[name] = written.until_s
        self._remembered_s[name] = self.now_s()
        if written.estimator == self.estimator.name:
            self.estimator.restore(name, written.evidence)

    def _forget(self, name: str) -> None:
        self.policy.gone(name)
        self.estimator.forget(name)
        for table in (
            self._due,
            self._remembered_s,
            self._newest_s,
            self._written_s,
            self._recalled_s,
            self._own_version,
        ):
            table.pop(name, None)
        self._refused.discard(name)

    def _decided(self, decision: Decision) -> None:
        if decision.verb == "refuse":
            # Asked again each cycle: the limit may give way. Once is enough to tell.
            self._changed.add(decision.node)
            if decision.node in self._refused:
                return
            self._refused.add(decision.node)
        else:
            self._refused.discard(decision.node)
        self.counts[decision.verb] += 1
        self._tell(decision)
        if decision.verb in {"exclude", "readmit"}:
            self._due[decision.node] = decision.why
        if decision.verb in {"clear", "readmit"}:
            # Else what was held against it would exclude it at its next pod, and the
            # pods of before would count again after a restart.
            self.estimator.forget(decision.node)
            self._newest_s[decision.node] = self.now_s()

    def _remember(self, now_s: float) -> None:
        """Let nodes with failures remember them, though nothing was decided."""
        for node in self._newest_s:
            if now_s - self._remembered_s.get(node, 0.0) < _REMEMBER_EVERY_S:
                continue
            if self._newest_s[node] <= self._written_s.get(node, 0.0):
                continue
            if self.estimator.view(node, now_s).failures >= 1:
                self._due.setdefault(node, "")
            self._remembered_s[node] = now_s

    def _write(self, name: str, why: str) -> bool:
        """Make a node what it is to be, or keep it due; return if anybody answers."""
        if self.settings.dry_run:
            self._due.pop(name, None)
            return True
        try:
            for _ in range(_TRIES):
                if self._write_once(name, why):
                    break
        except RefusedError as error:
            if error.status == _NOT_FOUND:
                self._due.pop(name, None)
        except ClusterError:
            # Nobody answers: it stays due, and the next cycle tries again.
            return False
        return True

    def _write_once(self, name: str, why: str) -> bool:
        """Return False if somebody else has changed the node meanwhile."""
        path = f"{NODES}/{name}"
        now_s = self.now_s()
        node = self._api.get(path)
        state = self.policy.nodes.get(name, NodeState())
        if state.machine not in {"", node_state.machine_of(node)}:
            # Another machine has its name by now; its own event is on the way.
            self._due.pop(name, None)
            return True
        excluded = state.excluded_s is not None
        written = node_state.Written(
            state=state,
            evidence=self.estimator.state(name),
            estimator=self.estimator.name,
            until_s=self._newest_s.get(name, 0.0),
        )
        nothing = not (
            excluded
            or written.evidence
            or state.relapses
            or state.probation
            or written.until_s
        )
        body = node_state.patch(node, None if nothing else written, excluded=excluded)
        # A write that was broken off half-way has the taint, and not the condition.
        told = node_state.says_so(node) == node_state.is_tainted(node) == excluded
        try:
            made = self._api.patch(path, body)
        except RefusedError as error:
            if error.status == _CONFLICT:
                return False
            raise
        self._own_version[name] = int(made["metadata"]["resourceVersion"])
        self._written_s[name] = written.until_s
        if not told:
            condition = node_state.condition_patch(
                excluded=excluded, why=why, now_s=now_s
            )
            made = self._api.patch(f"{path}/status", condition, STRATEGIC_PATCH)
            self._own_version[name] = int(made["metadata"]["resourceVersion"])
            reason = "NodeExcluded" if excluded else "NodeReadmitted"
            self._api.post(_EVENTS, node_state.event(node, reason, why, now_s))
        self._due.pop(name, None)
        return True

    def _check_allowed(self, verb: str, resource: str, sub: str) -> None:
        attributes = {"verb": verb, "resource": resource, "subresource": sub}
        if resource == "events":
            attributes["namespace"] = "default"
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        if not self._api.post(_ACCESS, body).get("status", {}).get("allowed"):
            what = f"{resource}/{sub}" if sub else resource
            raise ClusterError(
                f"{self._api.server}: you may not {verb} {what}: nothing was changed; "
                "ask for that right, or try --dry-run"
            )
