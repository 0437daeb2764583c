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
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from pytest_knav.control_plane import processes
from pytest_knav.control_plane.changes import change_from_data
from pytest_knav.control_plane.state.etcd import REGISTRY, Etcd


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    "/apis/resource.k8s.io/v1beta2/devicetaintrules",
)
# What controllers, schedulers and kubelets make and take away all the time. Of leases
# of nodes a fault's own `cleared` tells.
_COMES_AND_GOES: Final = (
    "events/",
    "leases/kube-node-lease/",
    "masterleases/",
    "peerserverleases/",
    "pods/",
    "resourceclaims/",
)
_MOVES_METADATA: Final = {"resourceVersion", "managedFields", "generation"}
_MOVES_CONDITION: Final = {
    "lastHeartbeatTime",
    "lastTransitionTime",
    "reason",
    "message",
}
# Stores and logs grow, logs are turned over, the journal is a log as well.
_MOVING: Final = {"etcd", "etcd-data", "logs", ".log", "journal.jsonl", "tmp"}
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
    """
    Return everything that a fault must put back.

    Which objects of any kind there are, and what those say that faults change;
    components, the processes of the cluster and the ports they listen on, and the files
    in its directory.
    """
    found: dict[str, Any] = {
        f"{path}/{item['metadata']['name']}": _stable(item)
        for path in _LISTS
        for item in (cluster.plane.api.get_or_none(path) or {}).get("items", ())
    }
    found |= {f"object {key}": True for key in _objects(cluster)}
    for name, component in cluster.plane.components.items():
        found[f"component {name}"] = component.running
    if cluster.plane.network is not None:
        found |= cluster.plane.network.standing()
    directory = cluster.plane.entry.directory
    found |= _processes(directory)
    found |= {f"file {path}": True for path in _files(directory)}
    return found


def _objects(cluster: Cluster) -> Iterator[str]:
    """Yield every object that stays, as the store names it: one request for all."""
    with closing(Etcd(cluster.plane.etcd_url)) as etcd:
        keys = etcd.marks().written
    for key in keys:
        name = key.removeprefix(REGISTRY)
        if not name.startswith(_COMES_AND_GOES):
            yield name


def _processes(directory: Path) -> dict[str, Any]:
    """Return how many processes of each program there are, and who listens where."""
    found: Counter[str] = Counter()
    for pid in processes.of_directory(directory):
        try:
            process = psutil.Process(pid)
            program = Path((process.cmdline() or [""])[0]).name
            sockets = process.net_connections("tcp")
        except psutil.Error:
            # It has ended meanwhile.
            continue
        found[f"processes {program}"] += 1
        listening = {s.laddr.port for s in sockets if s.status == psutil.CONN_LISTEN}
        found.update(f"port {port} of {program}" for port in listening)
    return dict(found)


def _files(directory: Path) -> Iterator[str]:
    """Yield the files of a cluster, but for what its components write all the time."""
    for path in directory.rglob("*"):
        inside = path.relative_to(directory)
        if not _MOVING & {*inside.parts, inside.suffix} and path.is_file():
            yield str(inside)


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
    if "ownerReferences" in metadata:
        metadata["ownerReferences"] = [
            {key: value for key, value in owner.items() if key not in _OF_ONE_LIFE}
            for owner in metadata["ownerReferences"]
        ]
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
            return f"{name}{_where(before.get(name), after.get(name))}"
    return ""


def _where(before: object, after: object, way: str = "") -> str:
    """Return the first place where two values differ, and both."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                return _where(before.get(key), after.get(key), f"{way}.{key}")
    if isinstance(before, list) and isinstance(after, list):
        for index, (old, new) in enumerate(zip(before, after, strict=False)):
            if old != new:
                return _where(old, new, f"{way}[{index}]")
    return f"{way}: {before} became {after}"


def _require(kept: object, fault: Fault, broken: str) -> None:
    if not kept:
        raise AssertionError(f"{fault.name} {broken}")
