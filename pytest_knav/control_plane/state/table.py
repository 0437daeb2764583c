"""
What becomes of each key of the store, as one table: reset and transplant.

A *reset* puts a state back into the cluster that it was taken from; a *transplant* puts
it into another one. Putting every key of one cluster into another kills it: its API
server would no longer find its own leases, its certificates and the uids of its system
namespaces.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

Action = Literal["restored", "kept", "dropped", "renewed", "newborn kept", "own kept"]
Mode = Literal["reset", "transplant"]

MEANINGS: Final[dict[Action, str]] = {
    "restored": "becomes what the state holds; what the state does not hold is removed",
    "kept": "is not touched",
    "dropped": "is removed and never put in",
    "renewed": "as *restored*, but renewed now and held by nobody, unless the lease "
    "that is there is of the same node and fresh",
    "newborn kept": "what a cluster has from its birth stays; all else is *restored*",
    "own kept": "what is there stays where the state has one too, else it is removed; "
    "none is put in",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One row: which keys, what becomes of them, and why.

    Attributes:
        keys: Below ``/registry/``. A name that ends with ``/`` stands for all keys
            that begin with it; ``*`` stands for one part of the key.

    """

    keys: tuple[str, ...]
    reset: Action
    transplant: Action
    why: str

    def action(self, mode: Mode) -> Action:
        """Return what becomes of its keys."""
        return self.reset if mode == "reset" else self.transplant


ROWS: Final = (
    Row(
        keys=("minions/",),
        reset="restored",
        transplant="restored",
        why="Nodes; in a transplant their kubelets get the port at which the KWOK of "
        "this cluster serves, which metrics-server and `kubectl logs` ask.",
    ),
    Row(
        keys=("masterleases/", "peerserverleases/"),
        reset="kept",
        transplant="kept",
        why="Where this API server can be reached; they carry leases of this etcd.",
    ),
    Row(
        keys=("leases/kube-node-lease/",),
        reset="renewed",
        transplant="renewed",
        why="A lease of the past would make its node Unknown. The holder is one KWOK "
        "process; another would wait for the lease to expire. A KWOK that has to begin "
        "afresh, because it has let a node go, makes the leases anew.",
    ),
    Row(
        keys=("leases/kube-system/",),
        reset="kept",
        transplant="kept",
        why="Identities of running API servers, leader elections, the recorder's "
        "heartbeat.",
    ),
    Row(
        keys=("events/",),
        reset="dropped",
        transplant="dropped",
        why="Of other tests; each carries a lease of the etcd it was written to.",
    ),
    Row(
        keys=(
            "configmaps/kube-system/extension-apiserver-authentication",
            "configmaps/kube-system/kube-apiserver-legacy-service-account-token-tracking",
            "configmaps/kube-system/pytest-knav-fingerprint",
        ),
        reset="kept",
        transplant="kept",
        why="Certificates and facts of this cluster; the fingerprint says that it is "
        "ours.",
    ),
    Row(
        keys=("configmaps/*/kube-root-ca.crt",),
        reset="restored",
        transplant="own kept",
        why="Holds the certificate authority of its cluster. kube-controller-manager "
        "writes it into each namespace that has none.",
    ),
    Row(
        keys=(
            "services/specs/default/kubernetes",
            "services/endpoints/default/kubernetes",
            "endpointslices/default/kubernetes",
        ),
        reset="kept",
        transplant="kept",
        why="The address of this API server, which it reconciles itself.",
    ),
    Row(
        keys=(
            "apiextensions.k8s.io/customresourcedefinitions/",
            "apiregistration.k8s.io/apiservices/",
            "clusterrolebindings/",
            "clusterroles/",
            "flowschemas/",
            "ipaddresses/",
            "namespaces/",
            "priorityclasses/",
            "prioritylevelconfigurations/",
            "rolebindings/",
            "roles/",
            "serviceaccounts/",
            "servicecidrs/",
        ),
        reset="restored",
        transplant="newborn kept",
        why="The API server makes some of them at its start, with uids of its own, and "
        "looks after them; the rest is the user's.",
    ),
)
# Whatever no row names: nodes, pods, workloads, KWOK's stages, custom resources, ….
REST: Final = Row(
    keys=("everything else",),
    reset="restored",
    transplant="restored",
    why="The state: nodes, pods, workloads, claims, slices, secrets, custom resources, "
    "KWOK's stages and usage objects. Uid, spec and status stay as they were.",
)


@dataclass(frozen=True, slots=True)
class Changes:
    """
    What has to be written.

    Attributes:
        puts: Keys with their new values.
        deletes: Keys to delete.
        others: Keys to put that hold another object of that name: it ends first, as
            nobody who watches would learn of its end from a change of uid.

    """

    puts: dict[str, bytes]
    deletes: list[str]
    others: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.puts or self.deletes)

    def __iter__(self) -> Iterator[str]:
        yield from self.puts
        yield from self.deletes

    def without(self, keys: Collection[str]) -> Changes:
        """Return the changes of all keys but some."""
        puts = {key: value for key, value in self.puts.items() if key not in keys}
        deletes = [key for key in self.deletes if key not in keys]
        return Changes(puts, deletes, self.others.difference(keys))


def action_for(key: str, mode: Mode) -> Action:
    """Return what becomes of a key."""
    rest = key.removeprefix("/registry/")
    for row, pattern in _patterns().get(rest.partition("/")[0], ()):
        if pattern.match(rest):
            return row.action(mode)
    return REST.action(mode)


def untouched(key: str) -> bool:
    """Return whether neither operation ever writes a key, so no state needs it."""
    return {action_for(key, "reset"), action_for(key, "transplant")} <= {
        "kept",
        "dropped",
    }


def changes(  # noqa: PLR0913 - all but three by name
    mode: Mode,
    wanted: Mapping[str, bytes],
    present: Collection[str],
    *,
    equal: Callable[[str], bool],
    renew: Callable[[str], bytes | None],
    newborn: Collection[str],
) -> Changes:
    """
    Return what has to be written, so that a store holds a state.

    Args:
        mode: Whether the state is of this cluster or of another.
        wanted: The state.
        present: The keys that are in the store.
        equal: Whether a key that is in both has the same value in both.
        renew: Returns the value for the lease of a wanted key, or None if the one in
            the store is good.
        newborn: The keys that the cluster had from its birth.

    """
    puts: dict[str, bytes] = {}
    deletes = [
        key
        for key in present
        if key not in wanted and _goes(action_for(key, mode), key, newborn)
    ]
    for key, value in wanted.items():
        action = action_for(key, mode)
        if action == "renewed":
            lease = renew(key)
            if lease is not None:
                puts[key] = lease
        elif _comes(action, key, present, newborn) and not (
            key in present and equal(key)
        ):
            puts[key] = value
        elif action == "dropped" and key in present:
            deletes.append(key)
    return Changes(puts, deletes)


def _goes(action: Action, key: str, newborn: Collection[str]) -> bool:
    """Return whether a key that the state does not hold is removed."""
    if action == "newborn kept":
        return key not in newborn
    return action != "kept"


def _comes(
    action: Action, key: str, present: Collection[str], newborn: Collection[str]
) -> bool:
    """Return whether the state's value of a key is put in."""
    if action == "newborn kept":
        return not (key in present and key in newborn)
    return action == "restored"


@functools.cache
def _patterns() -> dict[str, list[tuple[Row, re.Pattern[str]]]]:
    """Return the rows by the first part of their keys."""
    found: dict[str, list[tuple[Row, re.Pattern[str]]]] = {}
    for row in ROWS:
        for keys in row.keys:
            text = re.escape(keys).replace(r"\*", "[^/]+")
            pattern = re.compile(text if keys.endswith("/") else f"{text}$")
            found.setdefault(keys.partition("/")[0], []).append((row, pattern))
    return found
