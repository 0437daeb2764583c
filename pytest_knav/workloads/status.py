"""What a scheduler or operator says of a workload in an object of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.workloads.model import Gang


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_knav.history.view import View
    from pytest_knav.workloads.model import Workload

_SHOWN_MAX: Final = 3
# Types of conditions that are good news when they are True, and say why not when not.
_WANTED: Final = frozenset({
    "Admitted",
    "Completed",
    "Finished",
    "PodGroupScheduled",
    "PodsReady",
    "QuotaReserved",
    "Scheduled",
    "StartupPolicyCompleted",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnStatus:
    """
    Where a system says how it stands with a workload.

    Attributes:
        kind: The kind of the object, as it is recorded: with its group.
        namespace: Where it is.
        name: Its name; or the name of its owner where `owner_kind` is given.
        owner_kind: The kind of the owner that it is found by.
        admitted: The type of the condition that says that it has been let in.
        phases: The phases that say so.
        completed: The type of the condition that says that all is done.
        failed: The type of the condition that says that the system has given up.
        plural: What its objects are called in paths of the API.
        versions: Group and version, newest first, that may serve it; none where it is
            recorded anyway.

    """

    kind: str
    namespace: str
    name: str
    owner_kind: str = ""
    admitted: str = ""
    phases: frozenset[str] = frozenset()
    completed: str = ""
    failed: str = ""
    plural: str = ""
    versions: tuple[str, ...] = ()

    def of(self, view: View) -> Mapping[str, Any]:
        """Return the status of the object in a view; nothing where there is none."""
        for item in view.of(self.kind).values():
            if self._is_it(item["metadata"]):
                status: Mapping[str, Any] = item.get("status") or {}
                return status
        return {}

    @property
    def says_admitted(self) -> bool:
        """Return whether the system says at all that it has let a workload in."""
        return bool(self.admitted or self.phases)

    def has_admitted(self, view: View) -> bool:
        """Return whether the system has let the workload in."""
        status = self.of(view)
        return status.get("phase") in self.phases or bool(_true(status, self.admitted))

    def verdict(self, view: View) -> tuple[bool, str] | None:
        """
        Return whether all is done, and why the system has given up.

        None where it is not the system that says so, but the owner of the pods.
        """
        if not self.completed:
            return None
        status = self.of(view)
        gone = _true(status, self.failed)
        return bool(_true(status, self.completed)), _words(gone) if gone else ""

    def describe(self, view: View) -> str:
        """Return what the system says of why the workload does not run, in one line."""
        status = self.of(view)
        says = [status["phase"]] if status.get("phase") else []
        said = [*_list(status, "conditions"), *_list(status, "schedulingConditions")]
        said.sort(key=lambda c: str(c.get("lastTransitionTime", "")))
        bad = [c for c in said if _is_bad(c)]
        says += [_words(c) for c in bad[-_SHOWN_MAX:]]
        kind = self.kind.partition(".")[0]
        return f"its {kind} says: {'; '.join(says)}" if says else ""

    def _is_it(self, metadata: Mapping[str, Any]) -> bool:
        if metadata.get("namespace", "default") != self.namespace:
            return False
        if not self.owner_kind:
            return bool(metadata["name"] == self.name)
        return any(
            (owner.get("kind"), owner.get("name")) == (self.owner_kind, self.name)
            for owner in metadata.get("ownerReferences") or ()
        )


def stock_status(workload: Workload) -> OwnStatus | None:
    """Return where the stock scheduler says how it stands with a workload."""
    if not isinstance(workload, Gang):
        return None
    return OwnStatus(
        kind="PodGroup",
        namespace=workload.namespace,
        name=workload.name,
        admitted="PodGroupScheduled",
    )


def _true(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    for one in _list(status, "conditions"):
        if kind and one.get("type") == kind and one.get("status") == "True":
            return one
    return None


def _is_bad(condition: Mapping[str, Any]) -> bool:
    good = condition.get("type") in _WANTED
    return bool((condition.get("status") == "True") != good)


def _words(condition: Mapping[str, Any]) -> str:
    text = f"{condition.get('type', '')}={condition.get('status', '')}"
    if condition.get("reason"):
        text += f" ({condition['reason']})"
    message = " ".join(str(condition.get("message", "")).split())
    return f"{text}: {message}" if message else text


def _list(status: Mapping[str, Any], name: str) -> Iterable[Mapping[str, Any]]:
    found = status.get(name)
    return [c for c in found if isinstance(c, dict)] if isinstance(found, list) else []
