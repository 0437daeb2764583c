"""What objects of a load refer to and nobody gave: namespaces, priority classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

# Every cluster has them from its birth.
BORN: Final = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})
SYSTEM_CLASSES: Final = "system-"


def namespaces_of(
    objects: Iterable[Mapping[str, Any]], there: Collection[str]
) -> list[dict[str, Any]]:
    """Return the namespaces that objects are in, but for those that are there."""
    used = dict.fromkeys(one["metadata"].get("namespace") for one in objects)
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in used
        if name and name not in there and name not in BORN
    ]


def classes_of(
    specs: Iterable[Mapping[str, Any]], there: Collection[str]
) -> list[dict[str, Any]]:
    """
    Return the priority classes that pods name, but for those that are there.

    Args:
        specs: Of pods that were admitted, so that they say the value of their class.
        there: The names of the classes that are given.

    """
    found: dict[str, dict[str, Any]] = {}
    for spec in specs:
        name = spec.get("priorityClassName")
        if name and name not in there and not name.startswith(SYSTEM_CLASSES):
            found[name] = {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": name},
                "value": int(spec.get("priority") or 0),
                "preemptionPolicy": (
                    spec.get("preemptionPolicy") or "PreemptLowerPriority"
                ),
            }
    return list(found.values())
