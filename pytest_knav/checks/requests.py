"""What a scheduler counts a pod as, in thousandths."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.importers.quantities import amount


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PODS: Final = "pods"
_MORE: Final = frozenset({"initContainers", "overhead", "resources"})


def amounts(quantities: Mapping[str, Any]) -> dict[str, int]:
    """Return quantities in thousandths; what is none is left out."""
    found = {name: _thousandths(str(text)) for name, text in quantities.items()}
    return {name: value for name, value in found.items() if value is not None}


def requests_of(pod: Mapping[str, Any]) -> Mapping[str, int]:
    """
    Return what a scheduler counts a pod as.

    The sum of its containers, or its largest init container if that is more; sidecars
    count with both (KEP-753); the overhead of its runtime class on top. Amounts for
    the whole pod win (KEP-2837). component-helpers/resource/helpers.go.
    """
    spec = pod.get("spec") or {}
    containers: Sequence[Mapping[str, Any]] = spec.get("containers") or ()
    if len(containers) == 1 and spec.keys().isdisjoint(_MORE):
        asked = _asked(containers[0])
        return _of_one(tuple(asked.items()))
    total: dict[str, int] = {}
    for container in containers:
        _add(total, _requested(container))
    most: dict[str, int] = {}
    sidecars: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        own = dict(_requested(container))
        if container.get("restartPolicy") == "Always":
            _add(total, own)
            _add(sidecars, own)
            own = dict(sidecars)
        else:
            _add(own, sidecars)
        for name, value in own.items():
            most[name] = max(most.get(name, 0), value)
    for name, value in most.items():
        total[name] = max(total.get(name, 0), value)
    total.update(_requested(spec))
    _add(total, amounts(spec.get("overhead") or {}))
    total[PODS] = 1000
    return {name: value for name, value in total.items() if value}


@functools.lru_cache(maxsize=1024)
def _of_one(asked: tuple[tuple[str, str], ...]) -> Mapping[str, int]:
    """Return what a pod of a single container counts as: thousands are alike."""
    total = {**amounts(dict(asked)), PODS: 1000}
    return {name: value for name, value in total.items() if value}


def _requested(holder: Mapping[str, Any]) -> dict[str, int]:
    return amounts(_asked(holder))


def _asked(holder: Mapping[str, Any]) -> dict[str, str]:
    resources = holder.get("resources") or {}
    # What has a limit alone is asked for in that amount: the API server's defaults.
    return {**(resources.get("limits") or {}), **(resources.get("requests") or {})}


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


@functools.lru_cache(maxsize=4096)
def _thousandths(text: str) -> int | None:
    try:
        return int(amount(text, "") * 1000)
    except BadInput:
        return None
