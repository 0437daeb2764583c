"""Makes nodes what they are to be; what was not taken is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import ClusterError
from pytest_knav.exclusion import node_state
from pytest_knav.exclusion.api import NODES, STRATEGIC_PATCH, RefusedError


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_knav.exclusion.api import AnyCluster

_EVENTS: Final = "/api/v1/namespaces/default/events"
_TRIES: Final = 5
_CONFLICT: Final = 409
_NOT_FOUND: Final = 404


class Writer:
    """
    The writes of one controller.

    Args:
        api: The cluster.
        about: Returns what a node is to be.
        now_s: The clock.
        dry_run: Whether nothing is written.

    Attributes:
        due: Nodes to be written, and why; until the API server has taken it.
        written_s: The time of the newest pod that each node remembers.

    """

    def __init__(
        self,
        api: AnyCluster,
        about: Callable[[str], node_state.Written],
        now_s: Callable[[], float],
        *,
        dry_run: bool,
    ) -> None:
        self._api = api
        self._about = about
        self._now_s = now_s
        self._dry_run = dry_run
        self.due: dict[str, str] = {}
        self.written_s: dict[str, float] = {}
        self._own_version: dict[str, int] = {}

    def write_due(self) -> None:
        """Write what is due; where nobody answers, the rest stays due."""
        for node, why in list(self.due.items()):
            if not self.write(node, why):
                return

    def write(self, name: str, why: str) -> bool:
        """Make a node what it is to be, or keep it due; return if anybody answers."""
        if self._dry_run:
            self.due.pop(name, None)
            return True
        try:
            for _ in range(_TRIES):
                if self._write_once(name, why):
                    break
        except RefusedError as error:
            if error.status == _NOT_FOUND:
                self.due.pop(name, None)
        except ClusterError:
            # Nobody answers: it stays due, and the next cycle tries again.
            return False
        return True

    def is_settled(self, name: str, node: Mapping[str, Any]) -> bool:
        """Return whether a node as it was seen has all that was written to it."""
        # resourceVersions of one kind can be compared (KEP-5504).
        version = int(node["metadata"]["resourceVersion"])
        stale = version < self._own_version.get(name, 0)
        return not (name in self.due or stale or self._dry_run)

    def forget(self, name: str) -> None:
        """Forget a node that is no longer there."""
        for table in (self.due, self.written_s, self._own_version):
            table.pop(name, None)

    def _write_once(self, name: str, why: str) -> bool:
        """Return False if somebody else has changed the node meanwhile."""
        path = f"{NODES}/{name}"
        node = self._api.get(path)
        wanted = self._about(name)
        state = wanted.state
        if state.machine not in {"", node_state.machine_of(node)}:
            # Another machine has its name by now; its own event is on the way.
            self.due.pop(name, None)
            return True
        excluded = state.excluded_s is not None
        body = node_state.patch(
            node, wanted if wanted.says_anything else None, excluded=excluded
        )
        # A write that was broken off half-way has the taint, and not the condition.
        told = node_state.says_so(node) == node_state.is_tainted(node) == excluded
        try:
            made = self._api.patch(path, body)
        except RefusedError as error:
            if error.status == _CONFLICT:
                return False
            raise
        self._own_version[name] = int(made["metadata"]["resourceVersion"])
        self.written_s[name] = wanted.until_s
        if not told:
            self._tell(node, why, excluded=excluded)
        self.due.pop(name, None)
        return True

    def _tell(self, node: Mapping[str, Any], why: str, *, excluded: bool) -> None:
        """Write the condition and the event of a decision."""
        name, now_s = node["metadata"]["name"], self._now_s()
        condition = node_state.condition_patch(excluded=excluded, why=why, now_s=now_s)
        made = self._api.patch(f"{NODES}/{name}/status", condition, STRATEGIC_PATCH)
        self._own_version[name] = int(made["metadata"]["resourceVersion"])
        reason = "NodeExcluded" if excluded else "NodeReadmitted"
        self._api.post(_EVENTS, node_state.event(node, reason, why, now_s))
