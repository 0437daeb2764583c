"""Nodes that fail work though they look healthy, and jobs that fail anywhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane.changes import ContainersEnd, pod
from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, FaultCard, Signal
from pytest_knav.faults.pod.ends import check_exit_code
from pytest_knav.faults.pod.fates import (
    Fates,
    Pattern,
    check_pattern,
    check_probability,
)


if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence
    from threading import Event

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind
    from pytest_knav.history import History

    Pod = Mapping[str, Any]
    #: The target that a pod is hit by, if any.
    Hit = Callable[[Pod], str | None]

# How often to look whether the fault is over when no pod starts.
_LOOK_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class _Failing(Fault):
    """What faults share that end some of the pods that start."""

    probability: float = 1.0
    exit_code: int = 1

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        check_probability(type(self).__name__, self.probability)
        check_exit_code(type(self).__name__, self.exit_code)

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return none: only pods that start are hit."""
        del world, targets
        return []

    def _end_starts(
        self, world: World, hit: Hit, fates: Mapping[str, Fates], stop: Event
    ) -> None:
        """End pods soon after they started, by their fates, until it is over."""
        seen: dict[str, int] = {}
        begun_s = time.monotonic()

        def started(history: History) -> list[Pod] | None:
            return _starts(history, hit, seen) or None

        # What runs already has started before.
        for found in _starts(world.history, hit, seen):
            seen[found["metadata"]["uid"]] = _restarts(found)
        while not stop.is_set():
            for found in world.recorder.wait(started, _LOOK_S) or ():
                seen[found["metadata"]["uid"]] = _restarts(found)
                fate = fates[hit(found) or ""]
                if fate.fails(time.monotonic() - begun_s):
                    self._end(found).apply(world.plane)
            live = world.history.latest("Pod")
            for uid in [uid for uid in seen if uid not in live]:
                del seen[uid]

    def _end(self, found: Pod) -> ContainersEnd:
        metadata = found["metadata"]
        return ContainersEnd(
            ref=pod(metadata["namespace"], metadata["name"]),
            uid=metadata["uid"],
            exit_code=self.exit_code,
            signal="pod status",
        )


@dataclass(frozen=True, slots=True)
class LemonNode(_Failing):
    """
    Pods that start on nodes fail soon after, with a probability.

    Changes: nothing of the nodes: they are Ready and have no taint. Of the pods that
    become Running there, each ends with the exit code, or does not, by the seed: the
    n-th start on a node always has the same draw, whatever starts elsewhere. The pods
    are ended by the process of the test: when it dies, so does the fault, and nothing
    is left to undo.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.
        probability: Of a start to fail, above 0, at most 1.
        exit_code: From 1 to 255.
        pattern: `steady`; `intermittent`: half of each period bad, then half good;
            `bursty`: runs of about five bad starts, about ten good ones between;
            `degrading`: from never to the probability within a period.
        period: Of `intermittent` and `degrading`.
        repaired_after: From when on nothing fails, though the fault goes on; by
            default it is not repaired.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="pod",
        layer="node",
        signals=("pod status",),
        stands_for=(
            "a lemon node: flaky GPU, DIMM, PCIe link or NIC that no health check finds"
        ),
        source="Kokolis et al. 2024 (arXiv 2410.21680), lemon nodes: 1.2 % of RSC-1",
        certifies="whether failures on one node lead to its exclusion, and how soon",
        does_not_certify="why the node is bad; failures long after the start",
        undone="pods that start from then on run",
    )

    pattern: Pattern = field(default="steady", kw_only=True)
    period: Duration = field(default="60s", kw_only=True)
    repaired_after: Duration | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _Failing.__post_init__(self)
        check_pattern("LemonNode", self.pattern)
        if seconds(self.period, name="period") == 0:
            raise BadInput(f"LemonNode(period={self.period!r}): give more than 0")
        if self.repaired_after is not None:
            seconds(self.repaired_after, name="repaired_after")

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return that every node can be hit: it is there to take pods."""
        del started_s, now_s
        if any(world.history.get("Node", "", name) is None for name in targets):
            return None
        return Signal(
            name="armed",
            evidence=f"pods that start on {len(targets)} nodes fail with probability "
            f"{self.probability:g}, {self.pattern}",
        )

    def act(
        self,
        world: World,
        targets: Sequence[str],
        choose: random.Random,
        stop: Event,
    ) -> None:
        """End pods soon after they started there, until it is over."""
        # A stream for each node: what starts elsewhere does not change its fate.
        seed = choose.getrandbits(64)
        fates = {name: self.fates(f"{seed}:{name}") for name in targets}

        def hit(found: Pod) -> str | None:
            node = found.get("spec", {}).get("nodeName")
            return node if node in fates else None

        self._end_starts(world, hit, fates, stop)

    def fates(self, seed: str) -> Fates:
        """Return what becomes of the starts on one node."""
        after = self.repaired_after
        return Fates(
            seed=seed,
            probability=self.probability,
            pattern=self.pattern,
            period_s=seconds(self.period),
            repaired_s=None if after is None else seconds(after),
        )


@dataclass(frozen=True, slots=True)
class BadJobs(_Failing):
    """
    Pods of some jobs fail soon after their start, with a probability, on any node.

    Changes: nothing but the status of pods that become Running: each ends with the
    exit code, or does not, by the seed: the n-th start of a target always has the same
    fate. Whoever excludes failing nodes must not take it for theirs. It ends with the
    process of the test, as `LemonNode` does.

    Args:
        target: Whose pods: the name of their owner (a Job, a ReplicaSet), or the value
            of their label; patterns such as `train-*` as well, or several.
        probability: Of a start to fail, above 0, at most 1.
        exit_code: From 1 to 255.
        label: The label whose value is a pod's queue.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="pod",
        layer="pod",
        signals=("pod status",),
        stands_for="a bug in one team's jobs, a broken image, data that does not load",
        source="Jeon et al. 2019 (USENIX ATC): errors in users' code and inputs",
        certifies="whether good nodes stay in use while one queue fails everywhere",
        does_not_certify="failures long after the start; jobs that damage nodes",
        undone="pods that start from then on run",
    )
    kind: ClassVar[Kind] = "object"

    label: str = field(default="kueue.x-k8s.io/queue-name", kw_only=True)

    def __post_init__(self) -> None:
        _Failing.__post_init__(self)
        if not isinstance(self.label, str) or not self.label:
            raise BadInput(f"BadJobs(label={self.label!r}): give the key of a label")

    def blast_radius(self, world: World, targets: Sequence[str]) -> frozenset[str]:
        """Return no nodes: what else runs on them goes on."""
        del world, targets
        return frozenset()

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return that it is armed: the jobs may come later."""
        del world, started_s, now_s
        return Signal(
            name="armed",
            evidence=f"pods of {', '.join(targets)} fail with probability "
            f"{self.probability:g}",
        )

    def act(
        self,
        world: World,
        targets: Sequence[str],
        choose: random.Random,
        stop: Event,
    ) -> None:
        """End pods of the jobs soon after they started, until it is over."""
        seed = choose.getrandbits(64)
        fates = {
            name: Fates(seed=f"{seed}:{name}", probability=self.probability)
            for name in targets
        }

        def hit(found: Pod) -> str | None:
            return self.hit_by(found, targets)

        self._end_starts(world, hit, fates, stop)

    def hit_by(self, found: Pod, targets: Sequence[str]) -> str | None:
        """Return which of the targets a pod belongs to, if any."""
        metadata = found["metadata"]
        names = [owner["name"] for owner in metadata.get("ownerReferences") or ()]
        names.append(metadata.get("labels", {}).get(self.label, ""))
        fits = (t for t in targets for name in names if name and fnmatchcase(name, t))
        return next(fits, None)


def _starts(history: History, hit: Hit, seen: Mapping[str, int]) -> list[Pod]:
    """Return the pods that have started since they were last seen, in their order."""
    found = [
        pod
        for uid, pod in history.latest("Pod").items()
        if pod.get("status", {}).get("phase") == "Running"
        and "deletionTimestamp" not in pod["metadata"]
        and _is_up(pod)
        and seen.get(uid, -1) < _restarts(pod)
        and hit(pod) is not None
    ]
    return sorted(found, key=lambda pod: int(pod["metadata"]["resourceVersion"]))


def _is_up(pod: Pod) -> bool:
    statuses = pod["status"].get("containerStatuses", ())
    return bool(statuses) and all("running" in s.get("state", {}) for s in statuses)


def _restarts(pod: Pod) -> int:
    statuses = pod["status"].get("containerStatuses", ())
    return sum(int(s.get("restartCount", 0)) for s in statuses)
