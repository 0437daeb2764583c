"""
pytest-xdist: the scheduler of `-n` that keeps tests of one cluster together.

Checked against xdist 3.8.0, whose `LoadScheduling` is that of its main branch of
2026-06. Of its inside this uses `pending`, `node2pending`, `node2collection`,
`collection` and `_send_tests`. Imported only when xdist asks for a scheduler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from xdist.report import report_collection_diff  # type: ignore[import-untyped]
from xdist.scheduler import LoadScheduling  # type: ignore[import-untyped]

from pytest_knav.scheduling import Shares, read_groups


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# A worker begins a test only when it knows the next one (xdist.remote, run_one_test).
# More than that would be lost to other workers, should these tests take long.
AHEAD = 2


class ClusterScheduling(LoadScheduling):  # type: ignore[misc]
    """
    Share out tests so that workers rarely change their cluster.

    A run without tests that need a cluster is shared out by xdist's own rules, and so
    is one whose workers cannot tell us what their tests need: tests are sorted by
    need, and those rules give each worker tests that stand side by side.
    """

    def __init__(self, config: pytest.Config, log: Any, directory: Path) -> None:  # noqa: ANN401 - xdist has no types
        super().__init__(config, log)
        self._directory = directory
        self._shares: Shares | None = None

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:  # noqa: ANN401
        """Hear what a worker has collected; refuse one that replaces another."""
        super().add_node_collection(node, collection)
        if not self._knows(node):
            # xdist would send it numbers that mean other tests there.
            self._refuse(node, collection)

    def schedule(self) -> None:
        """Begin, once every worker has collected; later, serve a new worker."""
        if self.collection is None:
            tests = next(iter(self.node2collection.values()))
            groups = read_groups(self._directory, tests)
            self._shares = None if groups is None else Shares(groups)
        super().schedule()
        if self._shares is not None and self.collection is not None:
            # xdist has not reached everybody if a worker was replaced meanwhile.
            for node in self.nodes:
                self.check_schedule(node)

    def check_schedule(self, node: Any, duration: float = 0) -> None:  # noqa: ANN401
        """Give a worker what it can do with now; let it end if nothing is left."""
        if self._shares is None:
            super().check_schedule(node, duration)
        elif self._knows(node) and not node.shutting_down:
            self._send_tests(node, AHEAD)
            if len(self.node2pending[node]) < AHEAD:
                # It runs what it has: without this it would wait for a next one.
                node.shutdown()

    def mark_test_pending(self, item: str) -> None:
        """Run a test once more: other plugins ask for it when a worker crashed."""
        if self._shares is not None:
            self._shares.put_back(self.collection.index(item))
        super().mark_test_pending(item)

    def remove_node(self, node: Any) -> str | None:  # noqa: ANN401
        """Give to others what a worker has not run; return what it was running."""
        if self._shares is not None:
            self._shares.leave(node, self.node2pending[node][1:])
        crashed: str | None = super().remove_node(node)
        return crashed

    def _send_tests(self, node: Any, num: int) -> None:  # noqa: ANN401
        if self._shares is None:
            super()._send_tests(node, num)
            return
        tests: list[int] = []
        # A worker that has not collected yet may turn out to have other tests.
        room = AHEAD - len(self.node2pending[node]) if self._knows(node) else 0
        for _ in range(min(num, room)):
            test = self._shares.take(node)
            if test is None:
                break
            self.pending.remove(test)
            tests.append(test)
        if tests:
            self.node2pending[node].extend(tests)
            node.send_runtest_some(tests)

    def _knows(self, node: Any) -> bool:  # noqa: ANN401
        return node in self.node2collection

    def _refuse(self, node: Any, collection: Sequence[str]) -> None:  # noqa: ANN401
        other = next(iter(self.node2collection)).gateway.id
        name = node.gateway.id
        text = report_collection_diff(self.collection, collection, other, name)
        report = pytest.CollectReport(name, "failed", text, [])
        self.config.hook.pytest_collectreport(report=report)
        node.shutdown()
