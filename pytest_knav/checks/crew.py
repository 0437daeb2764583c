"""A workload that a test has submitted: what was promised of it, and its pods."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.history.record import STEP


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.checks.facts import PodFact
    from pytest_knav.history import History
    from pytest_knav.history.record import Record

SUBMIT: Final = "SUBMIT"


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
        owner: Its Job or Deployment, once seen; None again when it was deleted.
        owned: Whether the owner was ever seen.
        owner_uid: The newest owner's uid.

    """

    def __init__(self, promise: Promise) -> None:
        self.promise = promise
        self.members: dict[str, PodFact] = {}
        self.done: set[object] = set()
        self.owner: Mapping[str, Any] | None = None
        self.owned = False
        self.owner_uid = ""
        self._up: dict[object, int] = {}
        self._bound: dict[object, int] = {}
        self._by_key: dict[object, dict[str, PodFact]] = {}

    def __repr__(self) -> str:
        return f"Crew({self.promise.label})"

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
        same = self._by_key.setdefault(key, {})
        if after is None:
            self.members.pop(fact.spec.uid, None)
            same.pop(fact.spec.uid, None)
        else:
            self.members[fact.spec.uid] = same[fact.spec.uid] = after
            if after.phase == "Succeeded":
                self.done.add(key)

    def of_key(self, key: object) -> list[PodFact]:
        """Return the pods that stand for one index."""
        return list(self._by_key.get(key, {}).values())

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
        spec = (self.owner or {}).get("spec") or {}
        if self.promise.owner_kind == "Deployment" and "replicas" in spec:
            return int(spec["replicas"])
        if self.promise.owner_kind == "Job" and "parallelism" in spec:
            if spec.get("suspend"):
                return 0
            at_once = int(spec["parallelism"])
            completions = spec.get("completions")
            if completions is None:
                return at_once
            return max(0, min(at_once, int(completions) - len(self.done)))
        return self.promise.expected

    @property
    def whole(self) -> bool:
        """Return whether as many pods are up as should be."""
        return self.up >= self.expected

    @property
    def ended(self) -> bool:
        """Return whether it has finished, was given up, or was deleted."""
        if self.owner is None:
            return self.owned or (bool(self.members) and not self._alive)
        if self.owner["metadata"].get("deletionTimestamp"):
            return True
        return any(
            c["type"] in {"Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"}
            and c["status"] == "True"
            for c in (self.owner.get("status") or {}).get("conditions") or ()
        )

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


def _count(counter: dict[object, int], key: object, *, up: bool) -> None:
    """Count a key once more, or once less; one that has none is not there."""
    count = counter.get(key, 0) + (1 if up else -1)
    if count > 0:
        counter[key] = count
    else:
        counter.pop(key, None)
