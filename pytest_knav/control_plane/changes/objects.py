"""Changes of objects of the API."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import tenacity

from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.api import ApiRefusedError
from pytest_knav.control_plane.changes.base import Change, Lasting, known
from pytest_knav.control_plane.changes.ways import holds, value_at, way_text, with_value
from pytest_knav.control_plane.kwokctl import KUBELET_LABEL
from pytest_knav.errors import BadInput
from pytest_knav.history.merge import merge_diff


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_knav.control_plane.changes.base import Claim
    from pytest_knav.control_plane.changes.ways import Way
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History

# Where the API serves the kinds that faults change.
_ROOTS: Final = {
    "ConfigMap": ("/api/v1", "configmaps"),
    "DeviceTaintRule": ("/apis/resource.k8s.io/v1beta2", "devicetaintrules"),
    "Event": ("/api/v1", "events"),
    "Job": ("/apis/batch/v1", "jobs"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "Node": ("/api/v1", "nodes"),
    "Pod": ("/api/v1", "pods"),
    "PriorityClass": ("/apis/scheduling.k8s.io/v1", "priorityclasses"),
    "ResourceQuota": ("/api/v1", "resourcequotas"),
    "ResourceSlice": ("/apis/resource.k8s.io/v1", "resourceslices"),
    "Stage": ("/apis/kwok.x-k8s.io/v1alpha1", "stages"),
    "ValidatingWebhookConfiguration": (
        "/apis/admissionregistration.k8s.io/v1",
        "validatingwebhookconfigurations",
    ),
    "MutatingWebhookConfiguration": (
        "/apis/admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations",
    ),
}
# Set by the API server; an object that carries them cannot be created again.
SERVERS_OWN: Final = ("uid", "resourceVersion", "creationTimestamp", "generation")
# Others write the same object: how often to read it again before giving up.
_CONFLICTS_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRef:
    """
    An object of the API.

    Attributes:
        root: Group and version, as the path of the API has them; by default those of
            the kinds that are known here.
        plural: The kind's name in paths.

    """

    kind: str
    name: str
    namespace: str = ""
    root: str = ""
    plural: str = ""

    def __post_init__(self) -> None:
        if not (self.root and self.plural) and self.kind not in _ROOTS:
            raise BadInput(
                f"kind {self.kind!r} is none of {', '.join(sorted(_ROOTS))}: "
                "give root= and plural= with it"
            )

    @property
    def collection(self) -> str:
        """Return the path of the list that it is in."""
        root, plural = _ROOTS.get(self.kind, ("", ""))
        within = f"namespaces/{self.namespace}/" if self.namespace else ""
        return f"{self.root or root}/{within}{self.plural or plural}"

    @property
    def path(self) -> str:
        """Return its path."""
        return f"{self.collection}/{self.name}"

    def now(self, plane: ControlPlane, history: History) -> Mapping[str, Any] | None:
        """Return it as it was last seen: recorded, or else read now."""
        if self.kind in history.known_since:
            return history.get(self.kind, self.namespace, self.name)
        return plane.api.get_or_none(self.path)

    def __str__(self) -> str:
        within = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {within}{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfObject(Change):
    """A change of one object of the API."""

    ref: ObjectRef

    def __post_init__(self) -> None:
        # The journal has it as plain data.
        if isinstance(self.ref, dict):
            object.__setattr__(self, "ref", ObjectRef(**self.ref))

    @property
    def lane(self) -> str:
        """Return the object."""
        return str(self.ref)

    def recorded(self, history: History) -> bool:
        """Return whether the history has objects of this kind."""
        return self.ref.kind in history.known_since


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Patch(OfObject):
    """
    A JSON merge patch (RFC 7386), made without a look at the object: one write.

    For values that nobody but a fault writes; `undo` is what takes it back.
    """

    op: ClassVar[str] = "merge-patch"

    body: Mapping[str, Any]
    undo: Mapping[str, Any]

    @property
    def claims(self) -> frozenset[Claim]:
        """Return each field that the patch sets."""
        return frozenset((self.lane, way) for way in _leaves(self.body))

    @property
    def takes_kubelet(self) -> str:
        """Return the node whose label it takes by which KWOK takes care of it."""
        labels = self.body.get("metadata", {}).get("labels", {})
        return self.ref.name if labels.get(KUBELET_LABEL, "") is None else ""

    def describe(self) -> str:
        """Return the object and the patch."""
        return f"{self.ref} {json.dumps(self.body)}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make it; an object that is gone needs none."""
        if KUBELET_LABEL in self.body.get("metadata", {}).get("labels", {}):
            plane.kubelets_let_go = True
        made = plane.api.patch_or_none(self.ref.path, self.body)
        return None if made is None else _revision(made)

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return the patch that was given to take it back."""
        del plane
        return [Patch(ref=self.ref, body=self.undo, undo=self.body, signal=self.signal)]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the object has what the patch says."""
        return _matches(self.ref.now(plane, history), self.body)

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the object has what it had before, or is gone."""
        found = self.ref.now(plane, history)
        return found is None or _matches(found, self.undo)


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Edit(OfObject):
    """
    One value inside an object, set or taken away, whatever others write beside it.

    Attributes:
        way: Where the value is; see `pytest_knav.control_plane.changes.ways`.
        value: The value; None takes it away.
        subresource: `status` for what only that way can be written.
        only_if: With `guarded`, the value it must have now for anything to be done:
            an undo must not overwrite what somebody else wrote meanwhile.

    """

    op: ClassVar[str] = "edit"

    way: Way
    value: Any = None
    subresource: str = ""
    guarded: bool = False
    only_if: Any = None

    def __post_init__(self) -> None:
        OfObject.__post_init__(self)
        # The journal has it as a list.
        object.__setattr__(self, "way", tuple(self.way))

    @property
    def claims(self) -> frozenset[Claim]:
        """Return the value."""
        return frozenset({(self.lane, way_text(self.way))})

    def describe(self) -> str:
        """Return the object, the way and the value."""
        return f"{self.ref} {way_text(self.way)} = {json.dumps(self.value)}"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make it; nothing is written when it is so already."""
        return retry_conflicts(self._attempt, plane)

    def _attempt(self, plane: ControlPlane) -> int | None:
        found = plane.api.get_or_none(self.ref.path)
        if found is None:
            return None
        before = value_at(found, self.way)
        if self.guarded and not _is(before, self.only_if):
            return None
        if _is(before, self.value):
            return None
        patch = merge_diff(found, with_value(found, self.way, self.value))
        # With the version that was read: a write in between is a conflict.
        version = {"resourceVersion": found["metadata"]["resourceVersion"]}
        patch["metadata"] = {**patch.get("metadata", {}), **version}
        suffix = f"/{self.subresource}" if self.subresource else ""
        return _revision(plane.api.patch(self.ref.path + suffix, patch))

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return the edit that puts back what is there now, if nobody else has."""
        found = plane.api.get_or_none(self.ref.path)
        before = None if found is None else value_at(found, self.way)
        if _is(before, self.value):
            return []
        return [
            Edit(
                ref=self.ref,
                way=self.way,
                value=before,
                subresource=self.subresource,
                guarded=True,
                only_if=self.value,
                signal=self.signal,
            )
        ]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the object has the value."""
        found = self.ref.now(plane, history)
        return found is not None and _is(value_at(found, self.way), self.value)

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the object has another value, or is gone."""
        found = self.ref.now(plane, history)
        return found is None or not _is(value_at(found, self.way), self.value)


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Create(OfObject):
    """An object that is made; one that is there already is left alone."""

    op: ClassVar[str] = "create"

    body: Mapping[str, Any]

    def describe(self) -> str:
        """Return the object."""
        return f"{self.ref} is there"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make it."""
        try:
            return _revision(plane.api.create(self.ref.collection, self.body))
        except ApiRefusedError as error:
            if error.status == 409:
                return None
            raise

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return its deletion, unless it is there already."""
        if plane.api.get_or_none(self.ref.path) is not None:
            raise BadInput(f"{self.ref} is there already: the fault would not make it")
        return [Delete(ref=self.ref, signal=self.signal)]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it is there."""
        return self.ref.now(plane, history) is not None

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it is not there."""
        return self.ref.now(plane, history) is None


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(OfObject):
    """An object that is deleted; one that is gone already needs none."""

    op: ClassVar[str] = "delete"

    grace_s: int | None = None

    def describe(self) -> str:
        """Return the object."""
        return f"{self.ref} is gone"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make it."""
        params = {} if self.grace_s is None else {"gracePeriodSeconds": self.grace_s}
        plane.api.delete(self.ref.path, **{k: str(v) for k, v in params.items()})
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return the making of it as it is now, with a uid of its own."""
        found = plane.api.get_or_none(self.ref.path)
        if found is None:
            return []
        return [Create(ref=self.ref, body=fresh(found), signal=self.signal)]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether it is gone, or on its way."""
        found = self.ref.now(plane, history)
        return found is None or "deletionTimestamp" in found["metadata"]

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether there is one again."""
        return not self.seen(plane, history)


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Evict(OfObject, Lasting):
    """
    A pod that is evicted through the API, which asks its disruption budgets.

    What a budget forbids is asked for again for `retry_s`, and then left, as
    `kubectl drain` does it. An eviction is not taken back.

    Attributes:
        uid: Which pod of that name is meant.

    """

    op: ClassVar[str] = "evict"

    uid: str
    retry_s: float = 0.0

    def describe(self) -> str:
        """Return the pod."""
        return f"{self.ref} is evicted"

    def apply(self, plane: ControlPlane) -> int | None:
        """Ask for it until it is granted, or the time is up."""
        retrying.until(functools.partial(self._attempt, plane), timeout_s=self.retry_s)
        return None

    def _attempt(self, plane: ControlPlane) -> bool:
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": self.ref.name, "namespace": self.ref.namespace},
            "deleteOptions": {"preconditions": {"uid": self.uid}},
        }
        return plane.api.evict(f"{self.ref.path}/eviction", body)

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return True: a budget may forbid it, and that is an outcome too."""
        del plane, history
        return True


def fresh(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without what the API server adds: it can be created again."""
    metadata = {
        key: value
        for key, value in found["metadata"].items()
        if key not in SERVERS_OWN and key != "managedFields"
    }
    return {**found, "metadata": metadata}


def retry_conflicts(
    attempt: Callable[[ControlPlane], int | None], plane: ControlPlane
) -> int | None:
    """Try a change again as long as others change the same object in between."""
    retryer = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_conflict),
        stop=tenacity.stop_after_attempt(_CONFLICTS_MAX),
        wait=tenacity.wait_random(max=0.05),
        reraise=True,
    )
    return retryer(attempt, plane)


def node(name: str) -> ObjectRef:
    """Return a node."""
    return ObjectRef(kind="Node", name=name)


def pod(namespace: str, name: str) -> ObjectRef:
    """Return a pod."""
    return ObjectRef(kind="Pod", name=name, namespace=namespace)


def label_node(name: str, key: str, value: str | None, before: str | None) -> Patch:
    """Return the change that sets a node's label, or removes it with None."""
    return Patch(
        ref=node(name),
        body={"metadata": {"labels": {key: value}}},
        undo={"metadata": {"labels": {key: before}}},
        signal="lease",
    )


def _leaves(patch: Mapping[str, Any], way: str = "") -> Iterator[str]:
    for key, value in patch.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{way}{key}.")
        else:
            yield f"{way}{key}"


def _is(found: object, wanted: object) -> bool:
    return found is None if wanted is None else holds(found, wanted)


def _matches(found: object, patch: object) -> bool:
    """Return whether a merge patch would change nothing."""
    if isinstance(patch, dict):
        inner = found if isinstance(found, dict) else {}
        return all(_matches(inner.get(key), value) for key, value in patch.items())
    return found == patch


def _revision(found: Mapping[str, Any]) -> int:
    return int(found["metadata"]["resourceVersion"])


def _is_conflict(error: BaseException) -> bool:
    return isinstance(error, ApiRefusedError) and error.status == 409
