"""A plain count: so many failures among the last pods of a window of time."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, Final

from pytest_knav.exclusion.estimators.base import Estimator, Sample, View


WINDOW_S: Final = 1800.0
FAILURES: Final = 5
SHARE: Final = 0.5
# More than these of one node or queue make no difference to a share.
_KEPT_MAX: Final = 500


@dataclass(slots=True)
class Window(Estimator):
    """
    Sure when a node has so many failures in the window, and so large a share of them.

    It cannot tell a bad node from a bad queue; it is what many sites have.

    Args:
        window_s: How far back it looks, in seconds.
        failures: How many failures it takes.
        share: Which share of the node's pods must have failed.

    """

    name: str = "window"
    threshold: float = 1.0
    window_s: float = WINDOW_S
    failures: int = FAILURES
    share: float = SHARE
    _nodes: defaultdict[str, deque[tuple[float, bool]]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=_KEPT_MAX))
    )
    _queues: defaultdict[str, deque[tuple[float, bool]]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=_KEPT_MAX))
    )

    def add(self, sample: Sample) -> None:
        """Take note of a pod that has finished."""
        for kept in (self._nodes[sample.node], self._queues[sample.queue]):
            kept.append((sample.at_s, sample.success))

    def update(self, now_s: float) -> None:
        """Drop what has left the window."""
        for table in (self._nodes, self._queues):
            for key in list(table):
                if not self._inside(table[key], now_s):
                    del table[key]

    def view(self, node: str, now_s: float) -> View:
        """Return the counts of the window."""
        found = self._inside(self._nodes.get(node, ()), now_s)
        failures = found.count(False)
        share = failures / len(found) if found else 0.0
        bad = failures >= self.failures and share >= self.share
        return View(
            failure=share,
            low=share,
            high=share,
            sure=1.0 if bad else min(0.99, failures / self.failures * share),
            samples=len(found),
            failures=failures,
        )

    def queue_failure(self, queue: str, now_s: float) -> float:
        """Return the share of its pods that failed in the window."""
        found = self._inside(self._queues.get(queue, ()), now_s)
        return found.count(False) / len(found) if found else 0.0

    def forget(self, node: str) -> None:
        """Forget a node."""
        self._nodes.pop(node, None)

    def state(self, node: str) -> dict[str, Any]:
        """Return the times of its last failures and successes."""
        found = list(self._nodes.get(node, ()))[-2 * self.failures :]
        if not found:
            return {}
        return {
            "bad": [round(at, 1) for at, success in found if not success],
            "good": [round(at, 1) for at, success in found if success],
        }

    def restore(self, node: str, state: dict[str, Any], now_s: float) -> None:
        """Know of a node what was written down."""
        found = [(min(float(at), now_s), False) for at in state.get("bad", ())]
        found += [(min(float(at), now_s), True) for at in state.get("good", ())]
        self._nodes[node].extend(sorted(found))

    def _inside(
        self, kept: deque[tuple[float, bool]] | tuple[()], now_s: float
    ) -> list[bool]:
        return [success for at, success in kept if now_s - at <= self.window_s]
