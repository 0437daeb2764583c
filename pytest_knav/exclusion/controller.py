"""
The controller: follows pods and nodes, decides each cycle, makes the cluster so.

What is to be and what is are compared: a write that fails is tried again, a restart
goes on with what the nodes carry, and a taint that somebody took away stays away. One
instance for a cluster.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.exclusion import node_state
from pytest_knav.exclusion.api import NODES, PODS
from pytest_knav.exclusion.estimators import make_estimator
from pytest_knav.exclusion.following import ALIVE, Following
from pytest_knav.exclusion.lasting import Lasting
from pytest_knav.exclusion.policy import Decision, NodeState, Policy
from pytest_knav.exclusion.samples import Pods
from pytest_knav.exclusion.settings import Settings
from pytest_knav.exclusion.writer import Writer


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_knav.exclusion.api import AnyCluster
    from pytest_knav.exclusion.estimators import Estimator, Sample

__all__ = ["Controller", "Settings"]

# Evidence is written down at most so often for one node.
_REMEMBER_EVERY_S: Final = 10.0
_HALF_WRITTEN: Final = "as decided before"


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
        self._lasting = Lasting(settings.settled_s)
        self._changed: set[str] = set()
        self._writer = Writer(api, self._about, self.now_s, dry_run=settings.dry_run)
        self._remembered_s: dict[str, float] = {}
        self._newest_s: dict[str, float] = {}
        # Until when nodes remember pods of before this process, and of which lists
        # every pod is known by its uid since.
        self._recalled_s: dict[str, float] = {}
        self._listed: dict[str, set[str]] = {PODS: set(), ALIVE: set()}
        self._refused: set[str] = set()
        # Not set back by a step of the clock while it runs.
        self._offset_s = time.time() - time.monotonic()

    def now_s(self) -> float:
        """Return seconds since 1970, never going back."""
        return time.monotonic() + self._offset_s

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop; what is excluded stays so."""
        following = Following(self._api, self.settings.selector, self.take)
        following.start(stop)
        try:
            while not stop.is_set():
                following.drain(self.settings.cycle_s, stop)
                self.cycle()
        finally:
            following.stop()

    def cycle(self) -> None:
        """Decide once, and write what is due."""
        with self.lock:
            self._decide()
        self._writer.write_due()

    def _decide(self) -> None:
        now_s = self.now_s()
        for sample in self._lasting.samples(now_s):
            self._reckon(sample)
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
        items = what if kind == "LIST" else [what]
        with self.lock:
            if path == NODES:
                self._take_nodes(kind, items)
            else:
                self._take_pods(path, kind, items)

    def _take_pods(
        self, path: str, kind: str, items: Sequence[Mapping[str, Any]]
    ) -> None:
        for pod in items:
            if kind == "DELETED":
                self._lasting.gone(pod["metadata"]["uid"])
            else:
                self._see_pod(path, pod)
        if kind == "LIST":
            # From now on every pod of it is known by its uid.
            self._listed[path] = set(self._recalled_s)
        if kind == "LIST" and path == ALIVE:
            self._lasting.keep([pod["metadata"]["uid"] for pod in items])

    def _take_nodes(self, kind: str, items: Sequence[Mapping[str, Any]]) -> None:
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
                self._writer.write(node, "taken back: the controller was told to")
        return found

    def _see_pod(self, path: str, pod: Mapping[str, Any]) -> None:
        node = pod.get("spec", {}).get("nodeName")
        if node not in self.policy.nodes:
            return
        now_s = self.now_s()
        recalled_s = self._recalled_s.get(node)
        if recalled_s is None or node in self._listed[path]:
            recalled_s = float("-inf")
        if path == ALIVE:
            self._lasting.see(pod, self._pods.queue_of(pod), now_s)
        for sample in self._pods.samples(pod, now_s):
            # What the node remembers has those of before in it already.
            if sample.at_s > recalled_s:
                self._reckon(sample)

    def _reckon(self, sample: Sample) -> None:
        node = sample.node
        if node not in self.policy.nodes:
            return
        # A machine's clock may be ahead of ours; nothing counts before its time.
        sample = replace(sample, at_s=min(sample.at_s, self.now_s()))
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
                self._writer.due[name] = decision.why
            self._decided(decision)
        state = self.policy.nodes[name]
        if not self._writer.is_settled(name, node):
            return
        if state.excluded_s is not None and not node_state.is_tainted(node):
            state.excluded_s, state.probation = None, True
            why = "somebody took the taint away"
            self._decided(Decision(node=name, verb="readmit", why=why))
        elif node_state.says_so(node) != (state.excluded_s is not None):
            # The taint was written, and then somebody died before the condition was.
            self._writer.due[name] = _HALF_WRITTEN

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
        # Nor would what comes before that time be written down.
        until_s = min(written.until_s, self.now_s())
        self._recalled_s[name] = until_s
        self._writer.written_s[name] = self._newest_s[name] = until_s
        self._remembered_s[name] = self.now_s()
        if written.estimator == self.estimator.name:
            self.estimator.restore(name, written.evidence, self.now_s())

    def _forget(self, name: str) -> None:
        self.policy.gone(name)
        self.estimator.forget(name)
        self._writer.forget(name)
        for table in (self._remembered_s, self._newest_s, self._recalled_s):
            table.pop(name, None)
        for names in (self._refused, *self._listed.values()):
            names.discard(name)

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
        if decision.verb in {"exclude", "readmit", "trust"}:
            self._writer.due[decision.node] = decision.why
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
            if self._newest_s[node] <= self._writer.written_s.get(node, 0.0):
                continue
            if self.estimator.view(node, now_s).failures >= 1:
                self._writer.due.setdefault(node, "")
            self._remembered_s[node] = now_s

    def _about(self, name: str) -> node_state.Written:
        """Return what a node is to be, and to remember."""
        return node_state.Written(
            state=self.policy.nodes.get(name, NodeState()),
            evidence=self.estimator.state(name),
            estimator=self.estimator.name,
            until_s=self._newest_s.get(name, 0.0),
        )
