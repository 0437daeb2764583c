"""A workload that a test has submitted: what was promised of it, and its pods."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.history.record import STEP


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_knav.checks.facts import PodFact
    from pytest_knav.history import History
    from pytest_knav.history.record import Record

SUBMIT: Final = "SUBMIT"
_NONE: Final[Mapping[str, PodFact]] = {}
_OVER: Final = frozenset({"Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """
    What a workload needs to be whole, as the history tells it.

    Attributes:
        label: What it is called in messages, such as `Gang llama`.
        labels: What all of its pods are labelled with.
        expected: How many pods run at once when it is up; 0: not known.
        owner_kind: `Job`, `Deployment` or empty.
        gang: Whether its pods are worth something only all together.
        topology_key: Node label whose value all pods must share; empty without.

    """

    label: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    expected: int = 0
    owner_kind: str = ""
    owner_name: str = ""
    gang: bool = False
    topology_key: str = ""

    @classmethod
    def of_step(cls, record: Record) -> Promise | None:
        """Return what a SUBMIT step promises; None where it says nothing."""
        data = record.data or {}
        if record.kind != STEP or record.verb != SUBMIT or not data.get("labels"):
            return None
        return cls(
            label=record.name,
            namespace=data.get("namespace", "default"),
            labels=data["labels"],
            expected=int(data.get("expected", 0)),
            owner_kind=data.get("owner_kind") or "",
            owner_name=data.get("owner_name") or "",
            gang=bool(data.get("gang")),
            topology_key=data.get("topology_key") or "",
        )

    @classmethod
    def of_group(cls, group: Mapping[str, Any]) -> Promise | None:
        """Return what a PodGroup promises (KEP-4671); None where it is no gang."""
        spec, metadata = group.get("spec") or {}, group["metadata"]
        gang = (spec.get("schedulingPolicy") or {}).get("gang") or {}
        constraints = (spec.get("schedulingConstraints") or {}).get("topology") or ()
        if not gang.get("minCount") and not constraints:
            return None
        return cls(
            label=f"PodGroup {metadata['name']}",
            namespace=metadata.get("namespace", "default"),
            expected=int(gang.get("minCount") or 0),
            gang=bool(gang.get("minCount")),
            topology_key=next((c["key"] for c in constraints), ""),
        )


class Crew:
    """
    The pods of one workload as they are now, counted as they change.

    Attributes:
        members: Its pods by uid, ended ones included, until they are deleted.
        done: Indexes that have succeeded.
        owned: Whether the owner was ever seen.
        owner_uid: The newest owner's uid.

    """

    def __init__(self, promise: Promise) -> None:
        self.promise = promise
        self.members: dict[str, PodFact] = {}
        self.done: set[object] = set()
        self.owned = False
        self.owner_uid = ""
        self._up: dict[object, int] = {}
        self._bound: dict[object, int] = {}
        self._by_key: dict[object, dict[str, PodFact]] = {}
        self._owner: Mapping[str, Any] | None = None
        self._owner_ended = False
        self._at_once: int | None = None
        self._completions: int | None = None

    def __repr__(self) -> str:
        return f"Crew({self.promise.label})"

    @property
    def owner(self) -> Mapping[str, Any] | None:
        """Return its Job or Deployment, once seen; None again when it was deleted."""
        return self._owner

    @owner.setter
    def owner(self, owner: Mapping[str, Any] | None) -> None:
        # Read here, once for each change of it: rules ask with each change of a pod.
        self._owner = owner
        self._at_once = self._completions = None
        self._owner_ended = owner is not None and _has_ended(owner)
        spec = (owner or {}).get("spec") or {}
        if self.promise.owner_kind == "Deployment" and "replicas" in spec:
            self._at_once = int(spec["replicas"])
        elif self.promise.owner_kind == "Job" and "parallelism" in spec:
            suspended, completions = spec.get("suspend"), spec.get("completions")
            self._at_once = 0 if suspended else int(spec["parallelism"])
            self._completions = None if completions is None else int(completions)

    def change(self, before: PodFact | None, after: PodFact | None) -> None:
        """Take a change of one of its pods into account."""
        fact = after or before
        if fact is None:
            return
        key = fact.spec.key
        was_up, up = before is not None and before.up, after is not None and after.up
        if was_up != up:
            _count(self._up, key, up=up)
        stayed = before is not None and before.stays
        stays = after is not None and after.stays
        if stayed != stays:
            _count(self._bound, key, up=stays)
        uid, same = fact.spec.uid, self._by_key.get(key)
        if same is None:
            same = self._by_key[key] = {}
        if after is None:
            self.members.pop(uid, None)
            same.pop(uid, None)
        else:
            self.members[uid] = same[uid] = after
            if after.phase == "Succeeded":
                self.done.add(key)

    def of_key(self, key: object) -> Collection[PodFact]:
        """Return the pods that stand for one index."""
        return self._by_key.get(key, _NONE).values()

    @property
    def bound(self) -> int:
        """Return how many members have a node and stay, or have done their work."""
        if not self.done:
            return len(self._bound)
        return len(self._bound.keys() | self.done)

    @property
    def up(self) -> int:
        """Return how many members are up, one per index."""
        return len(self._up)

    @property
    def expected(self) -> int:
        """Return how many pods run at once when it is up, by its owner as it is now."""
        at_once, completions = self._at_once, self._completions
        if at_once is None:
            return self.promise.expected
        if completions is None:
            return at_once
        return max(0, min(at_once, completions - len(self.done)))

    @property
    def whole(self) -> bool:
        """Return whether as many pods are up as should be."""
        return self.up >= self.expected

    @property
    def ended(self) -> bool:
        """Return whether it has finished, was given up, or was deleted."""
        if self._owner is None:
            return self.owned or (bool(self.members) and not self._alive)
        return self._owner_ended

    @property
    def live(self) -> list[PodFact]:
        """Return its pods that are neither ended nor on their way out."""
        return [pod for pod in self.members.values() if pod.live]

    @property
    def _alive(self) -> bool:
        return any(pod.phase in {"Pending", "Running"} for pod in self.members.values())


def promises_of(history: History) -> list[Promise]:
    """Return what was promised of each workload that was submitted, in order."""
    found = (Promise.of_step(record) for record in history.records(STEP))
    return [promise for promise in found if promise is not None]


def _has_ended(owner: Mapping[str, Any]) -> bool:
    """Return whether a Job has ended, or either kind of owner is being deleted."""
    if owner["metadata"].get("deletionTimestamp"):
        return True
    return any(
        c["type"] in _OVER and c["status"] == "True"
        for c in (owner.get("status") or {}).get("conditions") or ()
    )


def _count(counter: dict[object, int], key: object, *, up: bool) -> None:
    """Count a key once more, or once less; one that has none is not there."""
    count = counter.get(key, 0) + (1 if up else -1)
    if count > 0:
        counter[key] = count
    else:
        counter.pop(key, None)
