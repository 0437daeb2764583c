"""
The joint model of nodes and queues that Armada 0.8 acted on.

A pod of queue q on node n succeeds with probability P_n * P_q; both are fitted by an
inner descent on the samples of a cycle and an outer step with Nesterov's momentum. It
was removed in Armada 0.9 (armadaproject/armada, pull request 3645); before that:
internal/scheduler/failureestimator and internal/scheduler/quarantine at v0.8.7. It has
no decay: an estimate that got no sample for ten minutes is not acted on, and one more
failure acts at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.exclusion.estimators.base import Estimator, Sample, View


if TYPE_CHECKING:
    from collections.abc import Iterable

# config/scheduler/config.yaml at v0.8.7.
_INNER_ITERATIONS: Final = 10
_INNER_STEP: Final = 0.05
_OUTER_STEP: Final = 0.05
_MOMENTUM: Final = 0.2
_EPSILON: Final = 1e-15
_UNKNOWN: Final = 0.5
THRESHOLD: Final = 0.95
STALE_S: Final = 600.0


@dataclass(slots=True, kw_only=True)
class _Known:
    """A node or a queue: success probability, velocity, counts, its last sample."""

    success: float = _UNKNOWN
    velocity: float = 0.0
    samples: int = 0
    failures: int = 0
    last_s: float = 0.0


@dataclass(slots=True)
class Armada(Estimator):
    """Estimate as Armada 0.8 did; every update is one of its cycles."""

    name: str = "armada"
    threshold: float = THRESHOLD
    stale_s: float = STALE_S
    _nodes: dict[str, _Known] = field(default_factory=dict)
    _queues: dict[str, _Known] = field(default_factory=dict)
    _buffer: list[Sample] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """Keep a sample for the next update."""
        for known in self._of(sample):
            known.samples += 1
            known.failures += not sample.success
            known.last_s = max(known.last_s, sample.at_s)
        self._buffer.append(sample)

    def update(self, now_s: float) -> None:
        """Take one step with what was added since the last one."""
        del now_s
        if not self._buffer:
            return
        fitted: dict[int, float] = {}
        touched: dict[int, _Known] = {}
        pairs = []
        for sample in self._buffer:
            node, queue = self._of(sample)
            for known in (node, queue):
                touched[id(known)] = known
                fitted[id(known)] = known.success
            pairs.append((id(node), id(queue), sample.success))
        for _ in range(_INNER_ITERATIONS):
            slopes = _slopes(fitted, pairs)
            for key, slope in slopes.items():
                fitted[key] = _clipped(fitted[key] - _INNER_STEP * slope)
        for key, known in touched.items():
            slope = known.success - fitted[key]
            velocity = known.velocity
            known.success = _clipped(
                known.success
                + _MOMENTUM**2 * velocity
                - (1 + _MOMENTUM) * _OUTER_STEP * slope
            )
            known.velocity = _MOMENTUM * velocity - _OUTER_STEP * slope
        self._buffer.clear()

    def view(self, node: str, now_s: float) -> View:
        """Return the estimate; it has no bounds, and nothing is sure once stale."""
        known = self._nodes.get(node, _Known())
        failure = 1 - known.success
        fresh = known.samples > 0 and now_s - known.last_s <= self.stale_s
        return View(
            failure=failure,
            low=failure,
            high=failure,
            sure=failure if fresh else 0.0,
            samples=known.samples,
            failures=known.failures,
        )

    def queue_failure(self, queue: str, now_s: float) -> float:
        """Return the estimate."""
        del now_s
        return 1 - self._queues.get(queue, _Known()).success

    def forget(self, node: str) -> None:
        """Forget a node, as Armada did at a restart."""
        self._nodes.pop(node, None)
        self._buffer = [sample for sample in self._buffer if sample.node != node]

    def state(self, node: str) -> dict[str, Any]:
        """Return the node's estimate."""
        known = self._nodes.get(node)
        if known is None:
            return {}
        return {
            "p": known.success,
            "v": known.velocity,
            "n": known.samples,
            "f": known.failures,
            "t": known.last_s,
        }

    def restore(self, node: str, state: dict[str, Any], now_s: float) -> None:
        """Know of a node what was written down."""
        if state:
            self._nodes[node] = _Known(
                success=float(state["p"]),
                velocity=float(state["v"]),
                samples=int(state["n"]),
                failures=int(state["f"]),
                last_s=min(float(state["t"]), now_s),
            )

    def _of(self, sample: Sample) -> tuple[_Known, _Known]:
        return (
            self._nodes.setdefault(sample.node, _Known()),
            self._queues.setdefault(sample.queue, _Known()),
        )


def _slopes(
    fitted: dict[int, float], pairs: Iterable[tuple[int, int, bool]]
) -> dict[int, float]:
    """Return the gradient of the negative log likelihood."""
    slopes = dict.fromkeys(fitted, 0.0)
    for node, queue, success in pairs:
        x, y = fitted[node], fitted[queue]
        if success:
            slopes[node] -= 1 / x
            slopes[queue] -= 1 / y
        else:
            slopes[node] += y / (1 - x * y)
            slopes[queue] += x / (1 - x * y)
    return slopes


def _clipped(value: float) -> float:
    return min(max(value, _EPSILON), 1 - _EPSILON)
