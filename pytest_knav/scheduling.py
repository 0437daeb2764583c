"""
Which worker takes which test next: few changes of cluster, and nobody idle.

A pure policy that knows nothing of xdist (`distribution.py` asks it), and the file by
which workers tell the controller, which collects nothing, who can share a cluster.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence
    from pathlib import Path

FILE = "groups.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """
    What tests have in common that can follow each other on one cluster.

    Attributes:
        plane: What only a new control plane can change.
        topology: What is changed on a running one.

    """

    plane: str
    topology: str


@dataclass(slots=True, kw_only=True, eq=False)
class _Part:
    """Tests of one group that one worker is to run, in order; `None`: no cluster."""

    group: Group | None
    tests: deque[int]


class Shares:
    """
    Hands out tests, by number, to workers that ask.

    A worker stays with its part of a group. Then it begins a group that nobody has
    begun: one of its own control plane first, then one whose control plane no other
    worker has, then the largest; tests that need no cluster come last. When all are
    begun it takes half of what the largest part has left; again of those without a
    cluster first, because they cost no change.

    Args:
        groups: For each test the group it belongs to, `None` where it needs no cluster.

    """

    def __init__(self, groups: Sequence[Group | None]) -> None:
        self._groups = list(groups)
        # Begun by nobody, or left behind by a worker that died.
        self._free: list[_Part] = []
        self._parts: dict[Hashable, _Part] = {}
        # The cluster that each worker has; it keeps it while it runs other tests.
        self._at: dict[Hashable, Group] = {}
        for test in range(len(groups)):
            self._add(test)

    def take(self, worker: Hashable) -> int | None:
        """Return the test that a worker runs next; `None` only when none is left."""
        part = self._parts.get(worker)
        if part is None or not part.tests:
            part = self._begin(worker) or self._split(worker)
        if part is None:
            return None
        self._parts[worker] = part
        if part.group is not None:
            self._at[worker] = part.group
        return part.tests.popleft()

    def leave(self, worker: Hashable, unrun: Iterable[int]) -> None:
        """Free the part of a worker that is gone, and the tests that it had taken."""
        self._at.pop(worker, None)
        part = self._parts.pop(worker, None)
        if part is not None and part.tests:
            self._free.append(part)
        for test in reversed(list(unrun)):
            self.put_back(test)

    def put_back(self, test: int) -> None:
        """Let a test that was taken be run by whoever asks next."""
        self._add(test, first=True)

    def _add(self, test: int, *, first: bool = False) -> None:
        group = self._groups[test]
        part = next((part for part in self._free if part.group == group), None)
        if part is None:
            part = _Part(group=group, tests=deque())
            self._free.append(part)
        if first:
            part.tests.appendleft(test)
        else:
            part.tests.append(test)

    def _begin(self, worker: Hashable) -> _Part | None:
        if not self._free:
            return None
        others = {at.plane for other, at in self._at.items() if other != worker}
        here = self._at.get(worker)

        def worth(part: _Part) -> tuple[int, ...]:
            group = part.group
            if group is None:
                return (0, 0, 0, 0, len(part.tests))
            same_plane = here is not None and group.plane == here.plane
            fresh = group.plane not in others
            return (1, group == here, same_plane, fresh, len(part.tests))

        best = max(self._free, key=worth)
        self._free.remove(best)
        return best

    def _split(self, worker: Hashable) -> _Part | None:
        here = self._at.get(worker)
        begun = [part for part in self._parts.values() if part.tests]
        if not begun:
            return None
        largest = max(
            begun, key=lambda p: (p.group is None, len(p.tests), p.group == here)
        )
        # The back half: who has begun it goes on with the front.
        half = [largest.tests.pop() for _ in range((len(largest.tests) + 1) // 2)]
        return _Part(group=largest.group, tests=deque(reversed(half)))


def write_groups(
    directory: Path, tests: Sequence[str], groups: Sequence[Group | None]
) -> None:
    """Leave in a run's directory which tests share a cluster; harmless if it fails."""
    members: dict[Group, list[int]] = {}
    for number, group in enumerate(groups):
        if group is not None:
            members.setdefault(group, []).append(number)
    data = {
        "collection": _digest(tests),
        "groups": [
            {"plane": group.plane, "topology": group.topology, "tests": numbers}
            for group, numbers in members.items()
        ],
    }
    fresh = directory / f".groups-{os.getpid()}"
    try:
        # Every worker writes the same; replaced at once, it is never seen half.
        fresh.write_text(json.dumps(data))
        fresh.replace(directory / FILE)
    except OSError:
        # The controller then shares out tests as xdist does.
        fresh.unlink(missing_ok=True)


def read_groups(directory: Path, tests: Sequence[str]) -> list[Group | None] | None:
    """
    Return the group of each test.

    Returns:
        `None` where none of the tests needs a cluster, and where the workers' file is
        not there to be read: they may run on another machine.

    """
    try:
        data = json.loads((directory / FILE).read_text())
    except (OSError, ValueError):
        return None
    if data["collection"] != _digest(tests):
        return None
    groups: list[Group | None] = [None] * len(tests)
    for row in data["groups"]:
        group = Group(plane=row["plane"], topology=row["topology"])
        for number in row["tests"]:
            groups[number] = group
    return groups


def _digest(tests: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(tests)).encode()).hexdigest()
