"""Nodes on which work fails more often than elsewhere, though they look healthy."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane.changes import ContainersEnd, pod
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, FaultCard, Signal
from pytest_knav.faults.pod.ends import check_exit_code


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from threading import Event

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World
    from pytest_knav.history import History

# How often to look whether the fault is over when no pod starts.
_LOOK_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class LemonNode(Fault):
    """
    Pods that start on nodes fail soon after, with a probability.

    Changes: nothing of the nodes: they are Ready and have no taint. Of the pods that
    become Running there, each ends with the exit code, or does not, by the seed: the
    n-th start on a node always has the same fate.

    Args:
        target: A node name, several, or an expression such as `node_of(handle)`.
        probability: Of a start to fail, above 0, at most 1.
        exit_code: From 1 to 255.

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

    probability: float = 1.0
    exit_code: int = 1

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        share = self.probability
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise BadInput(f"LemonNode(probability={share!r}): give a number")
        if not 0 < share <= 1:
            raise BadInput(
                f"LemonNode(probability={share!r}): give more than 0, at most 1"
            )
        check_exit_code("LemonNode", self.exit_code)

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return none: only pods that start are hit."""
        del world, targets
        return []

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
            f"{self.probability:g}",
        )

    def act(
        self,
        world: World,
        targets: Sequence[str],
        choose: random.Random,
        stop: Event,
    ) -> None:
        """End pods soon after they started, until it is over."""
        seed = choose.getrandbits(64)
        # A stream for each node: what starts elsewhere does not change its fate.
        fates = {name: random.Random(f"{seed}:{name}") for name in targets}  # noqa: S311
        seen: dict[str, int] = {}

        def started(history: History) -> list[Mapping[str, Any]] | None:
            return _starts(history, targets, seen) or None

        # What runs already has started before.
        for found in _starts(world.history, targets, seen):
            seen[found["metadata"]["uid"]] = _restarts(found)
        while not stop.is_set():
            for found in world.recorder.wait(started, _LOOK_S) or ():
                seen[found["metadata"]["uid"]] = _restarts(found)
                if fates[found["spec"]["nodeName"]].random() < self.probability:
                    self._end(found).apply(world.plane)
            live = world.history.latest("Pod")
            for uid in [uid for uid in seen if uid not in live]:
                del seen[uid]

    def _end(self, found: Mapping[str, Any]) -> ContainersEnd:
        metadata = found["metadata"]
        return ContainersEnd(
            ref=pod(metadata["namespace"], metadata["name"]),
            uid=metadata["uid"],
            exit_code=self.exit_code,
            signal="pod status",
        )


def _starts(
    history: History, targets: Sequence[str], seen: Mapping[str, int]
) -> list[Mapping[str, Any]]:
    """Return the pods that have started since they were last seen, in their order."""
    found = [
        pod
        for uid, pod in history.latest("Pod").items()
        if pod.get("spec", {}).get("nodeName") in targets
        and pod.get("status", {}).get("phase") == "Running"
        and "deletionTimestamp" not in pod["metadata"]
        and _is_up(pod)
        and seen.get(uid, -1) < _restarts(pod)
    ]
    return sorted(found, key=lambda pod: int(pod["metadata"]["resourceVersion"]))


def _is_up(pod: Mapping[str, Any]) -> bool:
    statuses = pod["status"].get("containerStatuses", ())
    return bool(statuses) and all("running" in s.get("state", {}) for s in statuses)


def _restarts(pod: Mapping[str, Any]) -> int:
    statuses = pod["status"].get("containerStatuses", ())
    return sum(int(s.get("restartCount", 0)) for s in statuses)
