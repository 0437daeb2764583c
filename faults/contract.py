"""
What every fault must keep, as one check for this project's faults and for yours.

Use it in a test of your own fault:

```python
def test_my_fault_keeps_the_contract(cluster, chaos):
    check_fault(MyFault("dgx-h100-0001"), cluster, chaos)
```
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane.changes import change_from_data


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.control_plane.cluster import Cluster
    from pytest_knav.faults.base import Fault

# Objects that change by themselves, or that a fault may leave changed for good.
_LISTS: Final = (
    "/api/v1/nodes",
    "/api/v1/configmaps",
    "/apis/kwok.x-k8s.io/v1alpha1/stages",
    "/apis/resource.k8s.io/v1/resourceslices",
    "/apis/scheduling.k8s.io/v1/priorityclasses",
    "/api/v1/resourcequotas",
)
_MOVES_METADATA: Final = {"resourceVersion", "managedFields", "generation"}
_MOVES_CONDITION: Final = {
    "lastHeartbeatTime",
    "lastTransitionTime",
    "reason",
    "message",
}
# A replacement is another machine.
_OF_ONE_LIFE: Final = {"uid", "creationTimestamp"}


def check_fault(fault: Fault, cluster: Cluster, chaos: Any) -> None:  # noqa: ANN401
    """
    Inject and clear a fault, and return when it has kept what every fault must keep.

    Its card is complete; it can be written down as JSON; every change says which of
    the card's signals it is, and can be read back; what takes it back can be read from
    the journal; cleared, the cluster is as it was; cleared twice is harmless.

    Args:
        fault: The fault, with a target.
        cluster: The `cluster` fixture.
        chaos: The `chaos` fixture.

    Raises:
        AssertionError: It does not keep one of these.

    """
    _check_card(fault)
    before = standing(cluster)

    active = chaos.start(fault)

    _require(bool(active.signals), fault, "was injected, but nothing was observed")
    for change in active.changes:
        _require(
            change.signal in fault.card.signals,
            fault,
            f"gives the signal {change.signal!r}, which is not on its card",
        )
    for change in (*active.changes, *active.undo):
        again = change_from_data(json.loads(json.dumps(change.as_data())))
        _require(again == change, fault, f"is not the same from the journal: {change}")

    chaos.clear(active)
    chaos.clear(active)

    after = standing(cluster)
    _require(not (left := difference(before, after)), fault, f"left behind: {left}")


def standing(cluster: Cluster) -> dict[str, Any]:
    """Return everything that a fault must put back: objects, and what runs."""
    found: dict[str, Any] = {
        f"{path}/{item['metadata']['name']}": _stable(item)
        for path in _LISTS
        for item in (cluster.plane.api.get_or_none(path) or {}).get("items", ())
    }
    for name, component in cluster.plane.components.items():
        found[f"component {name}"] = component.running
    return found


def _check_card(fault: Fault) -> None:
    card = fault.card
    for field in ("family", "layer", "signals", "stands_for", "source"):
        _require(bool(getattr(card, field)), fault, f"has no {field} on its card")
    for field in ("lasts", "undone", "certifies", "does_not_certify"):
        _require(bool(getattr(card, field)), fault, f"has no {field} on its card")
    _require(bool(type(fault).__doc__), fault, "has no docstring")
    json.dumps(fault.describe())


def _stable(item: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {
        key: value
        for key, value in item["metadata"].items()
        if key not in _MOVES_METADATA | _OF_ONE_LIFE
    }
    status = dict(item.get("status", {}))
    if "conditions" in status:
        # A reboot is meant to leave another one.
        if "nodeInfo" in status:
            status["nodeInfo"] = {**status["nodeInfo"], "bootID": ""}
        status["conditions"] = sorted(
            (
                {k: v for k, v in condition.items() if k not in _MOVES_CONDITION}
                for condition in status["conditions"]
            ),
            key=lambda condition: str(condition["type"]),
        )
    return {**item, "metadata": metadata, "status": status}


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return in words what is not the same; empty when all is."""
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            return f"{name}: {before.get(name)} became {after.get(name)}"
    return ""


def _require(kept: object, fault: Fault, broken: str) -> None:
    if not kept:
        raise AssertionError(f"{fault.name} {broken}")
