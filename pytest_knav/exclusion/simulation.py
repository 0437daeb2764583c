"""
Lemon nodes and bad queues without a cluster: to choose thresholds, and to compare.

A seeded course of pods on nodes; what is excluded gets none. Everything that a real
cluster adds (detection by watch, replacement, back-off) is left out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pytest_knav.exclusion.estimators import Sample, make_estimator
from pytest_knav.exclusion.policy import Limits, Policy


if TYPE_CHECKING:
    from collections.abc import Mapping


#: The points of a curve.
PARTS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """
    What happens in a simulation.

    Attributes:
        nodes: How many there are.
        lemons: How many of them are bad.
        lemon_fails: The probability with which a lemon fails a pod.
        background: The probability with which any pod fails.
        queues: How many queues there are; each pod is of one at random.
        bad_queue_fails: The probability with which pods of the first queue fail.
        pods: How many pods run, one after the other.
        pods_per_s: How many finish in a second.

    """

    nodes: int = 100
    lemons: int = 3
    lemon_fails: float = 0.8
    background: float = 0.01
    queues: int = 5
    bad_queue_fails: float = 0.0
    pods: int = 4_000
    pods_per_s: float = 2.0


@dataclass(slots=True, kw_only=True)
class Outcome:
    """
    What became of a course.

    Attributes:
        lemons: The bad nodes.
        failures_until_out: For each node that was excluded, how many of its pods had
            failed by then.
        seconds_until_out: Likewise, how long after the first of them that was.
        lost: How many pods had failed after each part of the course; parts are equal.
        succeeded: How many pods came to a good end.
        failed: How many failed.
        refused: How often a limit forbade an exclusion.

    """

    lemons: frozenset[str]
    failures_until_out: Mapping[str, int]
    seconds_until_out: Mapping[str, float] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)
    succeeded: int = 0
    failed: int = 0
    refused: int = 0

    @property
    def found(self) -> dict[str, int]:
        """Return the lemons that were excluded, with their failures until then."""
        return {n: f for n, f in self.failures_until_out.items() if n in self.lemons}

    @property
    def wrong(self) -> dict[str, int]:
        """Return the good nodes that were excluded."""
        return {
            n: f for n, f in self.failures_until_out.items() if n not in self.lemons
        }

    @property
    def goodput(self) -> float:
        """Return the share of pods that came to a good end."""
        return self.succeeded / max(1, self.succeeded + self.failed)


def simulate(
    course: Course, seed: int, estimator: str | None, limits: Limits | None = None
) -> Outcome:
    """
    Return what becomes of a course with an estimator, or without any exclusion.

    Args:
        course: What happens.
        seed: The same gives the same course, as long as the same nodes are in.
        estimator: Its name; None excludes nobody.
        limits: What holds it back; by default the controller's own, without probation.

    """
    # Not for secrets: the same seed must give the same course.
    choose = random.Random(seed)  # noqa: S311
    names = [f"node-{number:03d}" for number in range(course.nodes)]
    lemons = frozenset(choose.sample(names, course.lemons))
    judge = make_estimator(estimator) if estimator else None
    limits = limits or Limits(probation_s=1e9)
    policy = Policy(limits, judge.threshold if judge else 1.0)
    for name in names:
        policy.seen(name, name, "")
    failures = dict.fromkeys(names, 0)
    outcome = Outcome(lemons=lemons, failures_until_out={})
    out: dict[str, int] = {}
    first_s: dict[str, float] = {}
    took_s: dict[str, float] = {}
    inside = list(names)
    for number in range(course.pods):
        now_s = number / course.pods_per_s
        node = choose.choice(inside)
        queue = choose.randrange(course.queues)
        fails = choose.random() < _fails(course, node in lemons, queue)
        failures[node] += fails
        if fails:
            first_s.setdefault(node, now_s)
        if number * PARTS // course.pods > len(outcome.lost):
            outcome.lost.append(outcome.failed)
        outcome.failed += fails
        outcome.succeeded += not fails
        if judge is None:
            continue
        judge.add(Sample(node=node, queue=f"q{queue}", success=not fails, at_s=now_s))
        judge.update(now_s)
        views = {node: lambda n=node, t=now_s: judge.view(n, t)}
        for decision in policy.decide(views, now_s):
            if decision.verb == "exclude":
                out[decision.node] = failures[decision.node]
                took_s[decision.node] = now_s - first_s[decision.node]
                inside.remove(decision.node)
            outcome.refused += decision.verb == "refuse"
    outcome.lost.append(outcome.failed)
    outcome.failures_until_out, outcome.seconds_until_out = out, took_s
    return outcome


def _fails(course: Course, lemon: bool, queue: int) -> float:  # noqa: FBT001 - of a node
    passes = 1 - course.background
    if lemon:
        passes *= 1 - course.lemon_fails
    if queue == 0:
        passes *= 1 - course.bad_queue_fails
    return 1 - passes
