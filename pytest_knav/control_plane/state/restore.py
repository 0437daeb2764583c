"""Saving and putting back, on a control plane that stays up."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.state import endpoints, leases, table
from pytest_knav.control_plane.state.identity import same_object
from pytest_knav.control_plane.state.model import State, kind_of
from pytest_knav.control_plane.state.quiet import Quiet
from pytest_knav.control_plane.state.served import wait_caught_up
from pytest_knav.control_plane.usage import held
from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.control_plane.state.etcd import Marks
    from pytest_knav.control_plane.state.table import Changes, Mode

NEWBORN_FILE: Final = "newborn.json"
# There while a state is being put back: if the process dies, the next one knows.
UNFINISHED_FILE: Final = "restoring"
LOCK_FILE: Final = "restore.lock"
_POD_PREFIX: Final = "/registry/pods/"
_NODES: Final = endpoints.PREFIX
_LEASES: Final = leases.PREFIX
# What nodes bring with them, and nobody has to react to.
_COMING: Final = (
    _NODES,
    _LEASES,
    "/registry/deviceclasses/",
    "/registry/resourceslices/",
)
# Where no stage of nodes is left, if only for a moment, KWOK ends its controller of
# nodes; the one that it starts then is not told of those that are there (kwok 0.8,
# stages_manager.go, manage; controller.go, startStageController). So they change in
# place, and a KWOK that has missed one begins afresh.
_STAGES: Final = "/registry/kwok.x-k8s.io/stages/"
BORN_TIMEOUT_S: Final = 30.0
# What kube-controller-manager makes in each namespace, a moment after its start.
_LAST_BORN: Final = [
    f"/registry/{kind}/{namespace}/{name}"
    for namespace in ("default", "kube-node-lease", "kube-public", "kube-system")
    for kind, name in (
        ("serviceaccounts", "default"),
        ("configmaps", "kube-root-ca.crt"),
    )
]
# A request of a component that was ended may still be under way in the API server.
ROUNDS_MAX: Final = 6
# The API server completes these by itself as soon as they are written (conditions,
# availability), so they are written once and not compared again.
_COMPLETED: Final = frozenset({
    "apiextensions.k8s.io/customresourcedefinitions",
    "apiregistration.k8s.io/apiservices",
    "flowschemas",
    "prioritylevelconfigurations",
})  # fmt: skip
STATES_REMEMBERED: Final = 4
_CRD_PREFIX: Final = "/registry/apiextensions.k8s.io/customresourcedefinitions/"


@dataclass(slots=True)
class _Remembered:
    """At which revision a key was equal to a state: while it stays there, it is."""

    state: State
    at: dict[str, int] = field(default_factory=dict)


class StateKeeper(Quiet):
    """
    Saves and restores the state of one control plane of ours.

    Args:
        plane: The control plane; its API server stays up throughout.

    """

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__(plane)
        self._remembered: list[_Remembered] = []
        # Those of the last restore.
        self._nodes: frozenset[str] = frozenset()

    def close(self) -> None:
        """Close every connection."""
        self._etcd.close()

    def note_newborn(self) -> None:
        """
        Write down which keys the cluster has from its birth, once they are there.

        Raises:
            ClusterError: kube-controller-manager has not made its own.

        """
        if not retrying.until(self._born, timeout_s=BORN_TIMEOUT_S, interval_s=0.02):
            kcm = self._plane.components["kube-controller-manager"]
            raise ClusterError(
                f"the system namespaces have no service accounts and certificates "
                f"after {BORN_TIMEOUT_S:g}s: {kcm.last_words()}"
            )
        keys = sorted(self._etcd.marks().written)
        path = self._plane.entry.directory / NEWBORN_FILE
        path.write_text(json.dumps(keys))

    def _born(self) -> bool:
        return len(self._etcd.read_some(_LAST_BORN)) == len(_LAST_BORN)

    def save(self) -> State:
        """Return every key as of one revision, without those that no restore needs."""
        found = self._etcd.read()
        entry = self._plane.entry
        return State(
            key=entry.key,
            config=self._plane.config.as_data(),
            fingerprint=entry.fingerprint,
            description=entry.description,
            revision=found.revision,
            taken=time.time(),
            values={k: v for k, v in found.values.items() if not table.untouched(k)},
        )

    def check(self, state: State) -> None:
        """
        Return when this cluster can take a state.

        Raises:
            BadInput: It was taken from another kind of control plane.

        """
        key = self._plane.entry.key
        if state.key != key:
            raise BadInput(
                f"the state is of a control plane with the key {state.key}, cluster "
                f"{self._plane.entry.name!r} has {key}: versions, feature gates, time "
                "profile and --knav-control-plane must be the same. The state: "
                f"{state.summary}"
            )

    def restore(self, state: State, *, live: bool = True) -> int:
        """
        Make the cluster equal to a state; return how many keys were written.

        Args:
            state: Of this cluster (a reset) or of another with the same key.
            live: Whether everything runs afterwards; else kube-controller-manager and
                the scheduler are not started and KWOK is held, so that nothing moves.

        Raises:
            BadInput: The state cannot be of this cluster.
            ClusterError: Another restore is under way, or etcd failed; the message
                says whether anything was changed.

        """
        self.check(state)
        with self.alone():
            self._heal()
            pods = any(key.startswith(_POD_PREFIX) for key in state.values)
            with self.quiet(live=live, pods=pods):
                return self._put_back(state, live=live)

    def begin(self, state: State) -> State:
        """
        Put a state into a cluster without nodes; return what it holds then.

        What only brings nodes, their leases and devices comes as nodes come in life:
        they are Ready and nobody owes them anything, so nothing has to begin afresh.
        What runs must have done so just before, as after the birth of the cluster or a
        restore. It is held then, until `go_on`: a thousand nodes keep it busy for a
        second, which would be taken from whoever waits for them.

        Args:
            state: As for `restore`.

        Raises:
            BadInput: The state cannot be of this cluster.
            ClusterError: As for `restore`.

        """
        self.check(state)
        with self.alone():
            self._heal()
            mode, placed = self._placed(state)
            todo = self._changes(placed, mode)
            if not todo.deletes and all(key.startswith(_COMING) for key in todo):
                return self._add(todo)
        self.restore(state)
        return self.save()

    def _add(self, todo: Changes) -> State:
        before = self.save()
        after = replace(before, values={**before.values, **todo.puts})
        self._nodes = frozenset(k for k in after.values if k.startswith(_NODES))
        unfinished = self._plane.entry.directory / UNFINISHED_FILE
        unfinished.touch()
        for component in self._moving():
            component.hold()
        self._write(todo, after)
        wait_caught_up(self._plane.api, todo, ())
        unfinished.unlink()
        return after

    def _put_back(self, state: State, *, live: bool) -> int:
        mode, state = self._placed(state)
        unfinished = self._plane.entry.directory / UNFINISHED_FILE
        written = 0
        touched: set[str] = set()
        completed: set[str] = set()
        nodes = {key for key in state.values if key.startswith(_NODES)}
        here = {k for k in self._etcd.marks().written if k.startswith(_NODES)}
        gone = (self._nodes & nodes) - here
        self._kwok_afresh = self._plane.kubelets_let_go or bool(gone or here - nodes)
        self._nodes = frozenset(nodes)
        for _ in range(ROUNDS_MAX):
            todo = self._todo(state, mode, live=live).without(completed)
            if not todo:
                break
            completed |= {key for key in todo if kind_of(key) in _COMPLETED}
            unfinished.touch()
            written += len(todo.puts) + len(todo.deletes)
            touched |= set(todo)
            self._write(todo, state)
            if not todo.deletes and all(k.startswith(_LEASES) for k in todo):
                # All else is equal, and KWOK is held: with each moment a few more of
                # many leases would be old enough to be renewed, in round after round.
                break
        else:
            raise ClusterError(
                f"cluster {self._plane.entry.name!r} cannot be made equal to the "
                f"state: after {ROUNDS_MAX} rounds {_some(todo)} still differ; "
                "something else writes to it"
            )
        wait_caught_up(self._plane.api, touched, _custom_kinds(state))
        unfinished.unlink(missing_ok=True)
        return written

    def _placed(self, state: State) -> tuple[Mode, State]:
        """Return how a state comes into this cluster, and it with what is its own."""
        if state.fingerprint == self._plane.entry.fingerprint:
            return "reset", state
        port = self._plane.ports["kwokControllerPort"]
        return "transplant", replace(
            state, values=endpoints.at_port(state.values, port)
        )

    def _todo(self, state: State, mode: Mode, *, live: bool) -> Changes:
        """Return what is still to be written; a KWOK that begins makes its leases."""
        todo = self._changes(state, mode)
        # It lets go of the node that ends, and has to take another of that name.
        self._kwok_afresh |= any(key.startswith(_NODES) for key in todo.others)
        if not (live and self._kwok_afresh):
            return todo
        return self._changes(state, mode, leases.left_to_kwok(state.values))

    def _changes(self, state: State, mode: Mode, made: Collection[str] = ()) -> Changes:
        """Return what is to be written, without keys that somebody else makes."""
        memory = self._memory(state)
        marks = self._etcd.marks()
        values = self._values(state, memory, marks)
        stored = self._etcd.read(_LEASES).values

        def renew(key: str) -> bytes | None:
            now = stored.get(key)
            if self._kwok_afresh and now is not None and leases.is_held(now):
                # Another KWOK would wait until the lease of this one has expired.
                return leases.fresh(leases.of_node(state.values[key], now))
            return leases.renewed(state.values[key], now, self._plane.profile.lease_s)

        found = table.changes(
            mode,
            {k: v for k, v in state.values.items() if k not in made},
            marks.written,
            equal=lambda key: (
                memory.at.get(key) == marks.written[key]
                or values.get(key) == state.values[key]
            ),
            renew=renew,
            newborn=self.newborn() if mode == "transplant" else (),
        )
        self._kwok_afresh |= any(
            key.startswith(_STAGES) and key not in marks.written for key in found.puts
        )
        there = {key: stored.get(key) or values.get(key) for key in found.puts}
        others = (
            key
            for key, value in there.items()
            if value is not None
            and not key.startswith(_STAGES)
            and not same_object(found.puts[key], value)
        )
        return replace(found, others=frozenset(others))

    def _values(
        self, state: State, memory: _Remembered, marks: Marks
    ) -> dict[str, bytes]:
        """Return the values that must be looked at; remember which are equal."""
        unknown = [
            key
            for key in state.values
            if key in marks.written
            and memory.at.get(key) != marks.written[key]
            # Renewed and not compared.
            and not key.startswith(_LEASES)
        ]
        if len(unknown) > len(state.values) // 4:
            values = self._etcd.read().values
        else:
            values = self._etcd.read_some(unknown)
        for key in unknown:
            if values.get(key) == state.values[key]:
                memory.at[key] = marks.written[key]
        return values

    def _write(self, todo: Changes, state: State) -> None:
        try:
            self._etcd.write({}, todo.others)
            revisions = self._etcd.write(todo.puts, todo.deletes)
        except ClusterError as error:
            raise ClusterError(
                f"cluster {self._plane.entry.name!r} is half restored and cannot be "
                f"used: {error}; restore it again, or remove it with `knav cluster "
                f"down {self._plane.entry.name}`"
            ) from error
        memory = self._memory(state)
        for key, value in todo.puts.items():
            if value is state.values[key]:
                memory.at[key] = revisions[key]

    def _memory(self, state: State) -> _Remembered:
        for memory in self._remembered:
            if memory.state is state:
                return memory
        self._remembered.append(_Remembered(state))
        del self._remembered[:-STATES_REMEMBERED]
        return self._remembered[-1]

    def newborn(self) -> frozenset[str]:
        """Return the keys that the cluster has from its birth."""
        path = self._plane.entry.directory / NEWBORN_FILE
        try:
            return frozenset(json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"{path} cannot be read, so it is not known which keys the cluster has "
                f"from its birth: make a new one with `knav cluster up`"
            ) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """
        Keep others from restoring the cluster.

        Raises:
            ClusterError: Another is at it.

        """
        entry = self._plane.entry
        message = (
            f"another restore of cluster {entry.name!r} is under way: wait for it; "
            "nothing was changed"
        )
        with held(entry.directory / LOCK_FILE, message):
            yield


def _custom_kinds(state: State) -> set[str]:
    """Return ``group/plural`` of every custom resource that a state defines."""
    names = (k.removeprefix(_CRD_PREFIX) for k in state.values if _CRD_PREFIX in k)
    parts = (name.partition(".") for name in names)
    return {f"{group}/{plural}" for plural, _, group in parts}


def _some(todo: Changes) -> str:
    keys = list(todo)
    kinds = sorted({kind_of(key) for key in keys})
    return f"{len(keys)} keys ({', '.join(kinds[:5])})"
