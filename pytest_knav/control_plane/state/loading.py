"""
Lists of objects put into a cluster at once, by the road that states take.

What others refer to goes in first: the API server can be asked about a pod only when
its namespace, service account, priority class and node are there.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.state import leases, table
from pytest_knav.control_plane.state.nodes import PREFIX as NODES
from pytest_knav.control_plane.state.nodes import lease_of
from pytest_knav.control_plane.state.objects import values_of
from pytest_knav.control_plane.state.places import Placed, place
from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.control_plane.state.model import State

# What the API server looks up when it is asked about something else.
_REFERRED_TO: Final = frozenset({
    "CustomResourceDefinition", "Namespace", "Node", "PriorityClass", "RuntimeClass",
    "ServiceAccount",
})  # fmt: skip
# Made by kube-controller-manager in each namespace.
_IN_EACH_NAMESPACE: Final = {
    ("serviceaccounts", "default"),
    ("configmaps", "kube-root-ca.crt"),
}
_ACCOUNT_TIMEOUT_S: Final = 30.0
SHOWN: Final = 5


def load(
    plane: ControlPlane, objects: Iterable[Mapping[str, Any]], *, live: bool = True
) -> int:
    """
    Add objects to a cluster; return how many there were.

    Args:
        plane: The control plane.
        objects: None of them may be there yet.
        live: Whether everything runs afterwards; see `StateKeeper.restore`.

    Raises:
        BadInput: One is there already, is the cluster's own, or is wrong; the cluster
            is as it was.
        ClusterError: They could not be put in; the cluster is as it was, unless the
            message says something else.

    """
    placed = place(plane.api, objects)
    _refuse_taken(placed, plane.states.save())
    loading = _Loading(plane)
    with loading.undone_after_errors(live=live):
        loading.put_in(placed, live=live)
    return len(placed)


def replace_all(
    plane: ControlPlane, objects: Iterable[Mapping[str, Any]], *, live: bool = True
) -> tuple[int, int]:
    """
    Make a cluster hold objects and, but for what it has from its birth, nothing else.

    Args:
        plane: The control plane.
        objects: What is to be there; events and what every cluster has of its own are
            left away.
        live: Whether everything runs afterwards; see `StateKeeper.restore`.

    Returns:
        How many objects were put in, and how many were left away.

    """
    newborn = plane.states.newborn()
    placed = place(plane.api, objects)
    wanted = [one for one in placed if _comes(one.key, newborn)]

    def bare(values: Mapping[str, bytes]) -> dict[str, bytes]:
        return {key: value for key, value in values.items() if _stays(key, newborn)}

    loading = _Loading(plane)
    with loading.undone_after_errors(live=live):
        if all(one.finished for one in wanted):
            values = loading.values_of(wanted)
            loading.write(lambda present: bare(present) | values, live=live)
        else:
            loading.write(bare, live=True)
            again = place(plane.api, [one.body for one in wanted])
            loading.put_in(again, live=live)
    return len(wanted), len(placed) - len(wanted)


@dataclass(slots=True)
class _Loading:
    """Writes into a cluster, and the state before the first write."""

    plane: ControlPlane
    before: State | None = None

    def put_in(self, placed: list[Placed], *, live: bool) -> None:
        """Add placed objects: what others refer to first, where that is needed."""
        first = [one for one in placed if one.body["kind"] in _REFERRED_TO]
        then = [one for one in placed if one.body["kind"] not in _REFERRED_TO]
        if first and any(not one.finished for one in then):
            self._add(first, live=True)
            _await_accounts(self.plane, first)
            # The kinds that the first ones define are served now.
            placed = place(self.plane.api, [one.body for one in then])
        self._add(placed, live=live)

    def values_of(self, placed: list[Placed]) -> dict[str, bytes]:
        """Return the values of placed objects, and a lease for each node."""
        values = values_of(self.plane.api, placed)
        now = time.time()
        for one in placed:
            if one.key.startswith(NODES):
                node = json.loads(values[one.key])
                lease = lease_of(node, now, self.plane.profile.lease_s)
                key = leases.PREFIX + node["metadata"]["name"]
                values.setdefault(key, json.dumps(lease).encode())
        return values

    def write(
        self,
        change: Callable[[Mapping[str, bytes]], dict[str, bytes]],
        *,
        live: bool,
    ) -> None:
        """Make the cluster hold what a function makes of what it holds."""
        states = self.plane.states
        # Held from the save on: what is written in between would be taken back.
        with states.quiet(live=live):
            found = states.save()
            self.before = self.before or found
            states.restore(replace(found, values=change(found.values)), live=False)

    @contextmanager
    def undone_after_errors(self, *, live: bool) -> Iterator[None]:
        """Bring the cluster back to where it was if a block fails."""
        try:
            yield
        except BadInput:
            if self.before is not None:
                self.plane.states.restore(self.before, live=live)
            raise
        except ClusterError as error:
            if self.before is None:
                raise
            self.plane.states.restore(self.before, live=live)
            raise ClusterError(
                f"what was loaded was taken out again, the cluster is as it was: "
                f"{error}"
            ) from error

    def _add(self, placed: list[Placed], *, live: bool) -> None:
        values = self.values_of(placed)
        self.write(lambda present: {**present, **values}, live=live)


def _refuse_taken(placed: list[Placed], state: State) -> None:
    for one in placed:
        if table.untouched(one.key):
            raise BadInput(
                f"{one.label} cannot be loaded: it belongs to each cluster itself, or "
                "to the moment, as events do"
            )
    taken = [one.label for one in placed if one.key in state.values]
    if taken:
        more = f" and {len(taken) - SHOWN} more" if len(taken) > SHOWN else ""
        raise BadInput(
            f"{', '.join(taken[:SHOWN])}{more}: in the cluster already; nothing was "
            "changed"
        )


def _await_accounts(plane: ControlPlane, placed: list[Placed]) -> None:
    """Wait for what kube-controller-manager makes in new namespaces: pods need it."""
    for one in placed:
        if one.body["kind"] != "Namespace":
            continue
        name = one.body["metadata"]["name"]
        path = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        if not retrying.until(
            lambda path=path: plane.api.get_or_none(path) is not None,  # type: ignore[misc]
            timeout_s=_ACCOUNT_TIMEOUT_S,
        ):
            raise ClusterError(
                f"namespace {name!r} has no service account 'default' after "
                f"{_ACCOUNT_TIMEOUT_S:g}s"
            )


def _stays(key: str, newborn: frozenset[str]) -> bool:
    """Return whether a key is of the cluster itself and not of its use."""
    kind, _, rest = key.removeprefix("/registry/").partition("/")
    namespace, _, name = rest.partition("/")
    born = f"/registry/namespaces/{namespace}" in newborn
    return key in newborn or (born and (kind, name) in _IN_EACH_NAMESPACE)


def _comes(key: str, newborn: frozenset[str]) -> bool:
    """Return whether an object of another cluster is put in."""
    action = table.action_for(key, "transplant")
    return action not in {"kept", "dropped", "own kept"} and not _stays(key, newborn)
