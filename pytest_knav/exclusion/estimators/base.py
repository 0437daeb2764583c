"""What every estimator of failing nodes takes and says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    One pod that has finished.

    Attributes:
        node: Where it ran.
        queue: Whose it was: what fails everywhere is the queue's fault.
        success: Whether it came to a good end.
        at_s: When, on the clock that `now_s` is of.

    """

    node: str
    queue: str
    success: bool
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """
    What is known of a node.

    Attributes:
        failure: The probability that a pod fails there because of the node.
        low: What it is at least, with 95 %.
        high: What it is at most, with 95 %.
        sure: How sure it is that the node is to be excluded, from 0 to 1.
        samples: How many pods that rests on; older ones count less where they decay.
        failures: How many of them failed.

    """

    failure: float
    low: float
    high: float
    sure: float
    samples: float
    failures: float


class Estimator(Protocol):
    """
    Tells bad nodes from bad queues by the pods that have finished.

    Attributes:
        name: What it is called: `bayes`, `armada`, `window`.
        threshold: The `sure` from which on a node is to be excluded, unless the user
            says another one.

    """

    name: str
    threshold: float

    def add(self, sample: Sample) -> None:
        """Take note of a pod that has finished."""

    def update(self, now_s: float) -> None:
        """Reckon with what was added; called once a cycle."""

    def view(self, node: str, now_s: float) -> View:
        """Return what is known of a node; of one never seen, what is usual."""

    def queue_failure(self, queue: str, now_s: float) -> float:
        """Return the probability that a pod of a queue fails whatever the node."""

    def forget(self, node: str) -> None:
        """Forget a node: it was repaired, or is another machine."""

    def state(self, node: str) -> dict[str, Any]:
        """Return what is known of a node as JSON can hold it; empty for nothing."""

    def restore(self, node: str, state: dict[str, Any], now_s: float) -> None:
        """
        Know of a node what `state` said.

        A clock that was ahead may have written it: nothing counts as later than now.
        """
