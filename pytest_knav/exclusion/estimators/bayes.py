"""
A Bayesian model of nodes and queues, with decay and credible bounds.

A pod of queue q on node n fails unless neither the node fails it (probability f_n) nor
its own work does (f_q): P(success) = (1 - f_n)(1 - f_q). Both have a mixture as prior:
most nodes and queues hardly ever fail, a few are bad by an unknown amount. What is
known of q is reckoned from all *other* nodes, so that a queue which fails everywhere
excuses a node, and a queue that ran nowhere else excuses much. Given that, the
posterior of f_n is exact on a grid; nothing is sampled.

The shares of the prior: 1.2 % of nodes are lemons (Kokolis et al. 2024, Revisiting
Reliability in Large-Scale Machine Learning Research Clusters, section IV); one queue in
ten is taken to be in trouble.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.exclusion.estimators.base import Estimator, Sample, View


if TYPE_CHECKING:
    from collections.abc import Sequence

HALF_LIFE_S: Final = 3600.0
THRESHOLD: Final = 0.99
#: A node that fails pods with this probability or more is bad.
TOLERABLE: Final = 0.2
LEMON_SHARE: Final = 0.012
BAD_QUEUE_SHARE: Final = 0.1
# Denser where most of them are.
_NODE_GRID: Final = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25,
    0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99,
)  # fmt: skip
_QUEUE_GRID: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
    0.6, 0.7, 0.8, 0.9, 0.97,
)  # fmt: skip
# What a healthy node or queue fails: an exponential with this mean.
_HEALTHY_MEAN: Final = 0.01
# Evidence that has decayed to less than this is none.
_NOTHING: Final = 0.01
_FORGET_EVERY_S: Final = 60.0


@dataclass(slots=True)
class _Counts:
    """Decayed numbers of successes and failures of one node with one queue."""

    successes: float = 0.0
    failures: float = 0.0
    at_s: float = 0.0

    def decayed(self, now_s: float, half_life_s: float) -> tuple[float, float]:
        share = 0.5 ** (max(0.0, now_s - self.at_s) / half_life_s)
        return self.successes * share, self.failures * share


@dataclass(slots=True)
class Bayes(Estimator):
    """
    Sure is the probability that a node fails pods with `tolerable` or more.

    Args:
        half_life_s: After so many seconds a sample counts half.
        tolerable: From which failure probability on a node is bad.

    """

    name: str = "bayes"
    threshold: float = THRESHOLD
    half_life_s: float = HALF_LIFE_S
    tolerable: float = TOLERABLE
    _by_node: defaultdict[str, dict[str, _Counts]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    # What each node says of each queue, and the sums of it.
    _said: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    _of_queue: dict[str, list[float]] = field(default_factory=dict)
    _failure: dict[str, float] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)
    _cleaned_s: float = 0.0

    def add(self, sample: Sample) -> None:
        """Take note of a pod that has finished."""
        counts = self._by_node[sample.node].setdefault(
            sample.queue, _Counts(at_s=sample.at_s)
        )
        now_s = max(sample.at_s, counts.at_s)
        # A sample that comes late has decayed as if it had come in time.
        weight = 0.5 ** ((now_s - sample.at_s) / self.half_life_s)
        counts.successes, counts.failures = counts.decayed(now_s, self.half_life_s)
        counts.at_s = now_s
        if sample.success:
            counts.successes += weight
        else:
            counts.failures += weight
        self._changed.add(sample.node)

    def update(self, now_s: float) -> None:
        """Let what nodes say of queues follow what is known of the nodes."""
        if now_s - self._cleaned_s >= _FORGET_EVERY_S:
            self._clean(now_s)
        for node in self._changed:
            self._say(node, now_s)
        self._changed.clear()

    def view(self, node: str, now_s: float) -> View:
        """Return the posterior of a node's failure probability."""
        posterior = self._posterior(node, now_s)
        failure = sum(p * x for p, x in zip(posterior, _NODE_GRID, strict=True))
        known = [
            counts.decayed(now_s, self.half_life_s)
            for counts in self._by_node.get(node, {}).values()
        ]
        failures = sum(f for _, f in known)
        return View(
            failure=failure,
            low=_quantile(posterior, 0.025),
            high=_quantile(posterior, 0.975),
            sure=sum(
                p
                for p, x in zip(posterior, _NODE_GRID, strict=True)
                if x >= self.tolerable
            ),
            samples=failures + sum(s for s, _ in known),
            failures=failures,
        )

    def queue_failure(self, queue: str, now_s: float) -> float:
        """Return the posterior mean."""
        del now_s
        posterior = _normalised(self._log_queue(queue, ""))
        return sum(p * x for p, x in zip(posterior, _QUEUE_GRID, strict=True))

    def forget(self, node: str) -> None:
        """Forget a node, and what it said of queues."""
        for queue in self._by_node.pop(node, {}):
            self._unsay(node, queue)
        self._failure.pop(node, None)
        self._changed.discard(node)

    def state(self, node: str) -> dict[str, Any]:
        """Return the counts of a node by queue."""
        return {
            queue: [round(c.successes, 3), round(c.failures, 3), round(c.at_s, 1)]
            for queue, c in self._by_node.get(node, {}).items()
        }

    def restore(self, node: str, state: dict[str, Any], now_s: float) -> None:
        """Know of a node what was written down."""
        for queue, (successes, failures, at_s) in state.items():
            self._by_node[node][queue] = _Counts(
                float(successes), float(failures), min(float(at_s), now_s)
            )
        if state:
            self._changed.add(node)

    def _posterior(self, node: str, now_s: float) -> list[float]:
        logs = list(_NODE_PRIOR)
        for queue, counts in self._by_node.get(node, {}).items():
            good, bad = counts.decayed(now_s, self.half_life_s)
            if good + bad < _NOTHING:
                continue
            for i, passes in enumerate(_LOG_PASSES):
                logs[i] += good * passes
            if bad:
                weights = _normalised(self._log_queue(queue, node))
                for i, value in enumerate(_log_means(good, bad, weights)):
                    logs[i] += value
        return _normalised(logs)

    def _log_queue(self, queue: str, without: str) -> list[float]:
        """Return the log posterior of a queue, without what one node says of it."""
        total = self._of_queue.get(queue)
        if total is None:
            return list(_QUEUE_PRIOR)
        own = self._said.get((without, queue))
        if own is None:
            return [a + b for a, b in zip(_QUEUE_PRIOR, total, strict=True)]
        return [a + b - c for a, b, c in zip(_QUEUE_PRIOR, total, own, strict=True)]

    def _say(self, node: str, now_s: float) -> None:
        failure = self.view(node, now_s).failure
        self._failure[node] = failure
        for queue, counts in self._by_node.get(node, {}).items():
            self._unsay(node, queue)
            good, bad = counts.decayed(now_s, self.half_life_s)
            said = [good * passes for passes in _LOG_QUEUE_PASSES]
            if bad:
                for i, y in enumerate(_QUEUE_GRID):
                    said[i] += bad * math.log(1 - (1 - failure) * (1 - y))
            self._said[node, queue] = said
            total = self._of_queue.setdefault(queue, [0.0] * len(_QUEUE_GRID))
            self._of_queue[queue] = [a + b for a, b in zip(total, said, strict=True)]

    def _unsay(self, node: str, queue: str) -> None:
        said = self._said.pop((node, queue), None)
        total = self._of_queue.get(queue)
        if said is not None and total is not None:
            self._of_queue[queue] = [a - b for a, b in zip(total, said, strict=True)]

    def _clean(self, now_s: float) -> None:
        """Forget what has decayed to nothing; let old words weigh less."""
        self._cleaned_s = now_s
        for node in list(self._by_node):
            table = self._by_node[node]
            for queue in list(table):
                if sum(table[queue].decayed(now_s, self.half_life_s)) < _NOTHING:
                    del table[queue]
                    self._unsay(node, queue)
            if table:
                self._changed.add(node)
            else:
                del self._by_node[node]
                self._failure.pop(node, None)
        used = {queue for _, queue in self._said}
        for queue in self._of_queue.keys() - used:
            del self._of_queue[queue]


def _prior(grid: Sequence[float], bad_share: float) -> tuple[float, ...]:
    """Return the log prior on a grid: healthy ones, and bad ones by any amount."""
    edges = [0.0, *((a + b) / 2 for a, b in itertools.pairwise(grid)), 1.0]
    widths = [b - a for a, b in itertools.pairwise(edges)]
    healthy = [
        math.exp(-a / _HEALTHY_MEAN) - math.exp(-b / _HEALTHY_MEAN)
        for a, b in itertools.pairwise(edges)
    ]
    return tuple(
        math.log((1 - bad_share) * h + bad_share * w)
        for h, w in zip(healthy, widths, strict=True)
    )


_NODE_PRIOR: Final = _prior(_NODE_GRID, LEMON_SHARE)
_QUEUE_PRIOR: Final = _prior(_QUEUE_GRID, BAD_QUEUE_SHARE)


# Logarithms of passing, and of failing by node and queue, on the grids.
_LOG_PASSES: Final = tuple(math.log1p(-x) for x in _NODE_GRID)
_LOG_QUEUE_PASSES: Final = tuple(math.log1p(-y) for y in _QUEUE_GRID)
_LOG_FAILS: Final = tuple(
    tuple(math.log(1 - (1 - x) * (1 - y)) for y in _QUEUE_GRID) for x in _NODE_GRID
)
_LEAST: Final = 1e-9


def _log_means(good: float, bad: float, weights: Sequence[float]) -> list[float]:
    """Return the logs of the likelihood, averaged over what is known of the queue."""
    known = [
        (math.log(weight) + good * passes, column)
        for column, (weight, passes) in enumerate(
            zip(weights, _LOG_QUEUE_PASSES, strict=True)
        )
        if weight > _LEAST
    ]
    found = []
    for fails in _LOG_FAILS:
        terms = [log + bad * fails[column] for log, column in known]
        top = max(terms)
        found.append(top + math.log(sum(math.exp(term - top) for term in terms)))
    return found


def _normalised(logs: Sequence[float]) -> list[float]:
    top = max(logs)
    found = [math.exp(value - top) for value in logs]
    total = sum(found)
    return [value / total for value in found]


def _quantile(posterior: Sequence[float], share: float) -> float:
    below = 0.0
    for p, x in zip(posterior, _NODE_GRID, strict=True):
        below += p
        if below >= share:
            return x
    return _NODE_GRID[-1]
