"""Rules that change under running work: quotas and priorities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.control_plane.changes import Create, Edit, ObjectRef, Replace
from pytest_knav.control_plane.changes.ways import holds
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import FaultCard, Signal
from pytest_knav.faults.control_plane.objects import OfObjects


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

_OURS: Final = "pytest-knav"
# What users may set (pkg/apis/scheduling/types.go, HighestUserDefinablePriority).
_HIGHEST: Final = 1_000_000_000
_SYSTEM: Final = "system-"


@dataclass(frozen=True, slots=True)
class QuotaChanged(OfObjects):
    """
    A quota is lowered under running work.

    Changes: `spec.hard` of a ResourceQuota; what runs stays, also what is beyond the
    new limit, and what comes next is refused (403) while it does not fit. A namespace
    that has no quota gets one.

    Args:
        target: A ResourceQuota as `namespace/name`, or a namespace: then its only one.
        hard: The new limits by name, such as `{"requests.nvidia.com/gpu": "8"}`.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="api",
        signals=("quota",),
        stands_for="a budget that is cut, a team that is moved, a wrong commit",
        source="Kubernetes, ResourceQuota (changes do not affect what exists)",
        certifies="that work which lost a member under a smaller quota waits for room",
        does_not_certify="quotas of a scheduler's own, such as those of queues",
        undone="the limits of before, unless others changed them since",
    )

    hard: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        OfObjects.__post_init__(self)
        if not self.hard or not all(isinstance(v, str) for v in self.hard.values()):
            raise BadInput(
                f"QuotaChanged(hard={self.hard!r}): give limits as text, such as "
                '{"requests.nvidia.com/gpu": "8"}'
            )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return each limit of each quota, or the quotas themselves."""
        found: list[Change] = []
        for target in targets:
            ref, there = _quota(world, target)
            if there:
                found += [
                    Edit(
                        ref=ref, way=("spec", "hard", key), value=value, signal="quota"
                    )
                    for key, value in self.hard.items()
                ]
            else:
                found.append(self._new(ref))
        return found

    def signal(
        self, world: World, targets: Sequence[str], started_s: float, now_s: float
    ) -> Signal | None:
        """Return that the limits are in force: admission goes by the status."""
        del started_s, now_s
        for target in targets:
            ref, _ = _quota(world, target)
            now = world.plane.api.get_or_none(ref.path) or {}
            if not holds(now.get("status", {}).get("hard"), dict(self.hard)):
                return None
        return Signal(name="in force", evidence=f"status.hard of {len(targets)} quotas")

    def _new(self, ref: ObjectRef) -> Create:
        body = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": ref.name, "namespace": ref.namespace},
            "spec": {"hard": dict(self.hard)},
        }
        return Create(ref=ref, body=body, signal="quota")


def _quota(world: World, target: str) -> tuple[ObjectRef, bool]:
    """Return the quota that a target means, and whether it is there."""
    namespace, _, name = target.partition("/")
    api = world.plane.api
    if api.get_or_none(f"/api/v1/namespaces/{namespace}") is None:
        raise BadInput(f"QuotaChanged({target!r}): there is no namespace {namespace!r}")
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    names = sorted(item["metadata"]["name"] for item in api.get(path)["items"])
    if name and name not in names:
        raise BadInput(
            f"QuotaChanged({target!r}): there is no such quota: {namespace} has "
            f"{', '.join(names) or 'none'}"
        )
    if not name and len(names) > 1:
        raise BadInput(
            f"QuotaChanged({target!r}): the namespace has {len(names)} quotas: use one "
            f"of {', '.join(f'{namespace}/{n}' for n in names)}"
        )
    chosen = name or (names[0] if names else _OURS)
    ref = ObjectRef(kind="ResourceQuota", name=chosen, namespace=namespace)
    return ref, bool(names)


@dataclass(frozen=True, slots=True)
class PriorityChanged(OfObjects):
    """
    A PriorityClass gets another value, while work that was made with it runs.

    Changes: the class is deleted and made again, as its value cannot be changed. Pods
    keep the number that they were made with; replacements of lost members get the new
    one, so that one workload has two. A class that is not there is made.

    Args:
        target: The name of a PriorityClass.
        value: The new value, at most 1,000,000,000.
        preempts: Whether its pods may preempt others.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="api",
        signals=("priority",),
        stands_for="an operator who changes the order of teams; a chart upgraded",
        source="Kubernetes, PriorityClass (value is immutable; priority is copied)",
        certifies="that a workload whose members differ in priority is kept whole",
        does_not_certify="priorities of a scheduler's own, such as those of queues",
        undone="the class of before, made again",
    )

    value: int = 0
    preempts: bool = True

    def __post_init__(self) -> None:
        OfObjects.__post_init__(self)
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int) or value > _HIGHEST:
            raise BadInput(
                f"PriorityChanged(value={value!r}): give a whole number, at most "
                f"{_HIGHEST:,}"
            )

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the other class of each name."""
        for name in targets:
            if name.startswith(_SYSTEM):
                raise BadInput(f"{self.name}: the API server keeps {name} as it is")
        return [self._class(world, name) for name in targets]

    def _class(self, world: World, name: str) -> Replace:
        ref = ObjectRef(kind="PriorityClass", name=name)
        now = world.plane.api.get_or_none(ref.path) or {}
        body = {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": self.value,
            "preemptionPolicy": "PreemptLowerPriority" if self.preempts else "Never",
        }
        for kept in ("globalDefault", "description"):
            if kept in now:
                body[kept] = now[kept]
        return Replace(ref=ref, body=body, signal="priority")
