"""The cluster as it was at one moment, as what a picture of its topology colours."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import Inconclusive
from pytest_knav.history.record import FAULT, STEP
from pytest_knav.history.view import CLEARED, INJECTED, latest_view, view_at
from pytest_knav.reports.gpu_owners import holds, owners
from pytest_knav.topology.devices import gpu_of_device
from pytest_knav.topology.manifests import amount_of, whole
from pytest_knav.topology.picture import (
    NodeHealth,
    NodeStatus,
    Status,
    SwitchHealth,
    svg,
)


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_knav.history import History, Record
    from pytest_knav.topology import Topology

    Object = Mapping[str, Any]

KINDS: Final = ("Node", "Pod", "ResourceClaim", "ResourceSlice")
_CLEARING: Final = "CLEARING"
_HEALTH: Final = {"True": NodeHealth.READY, "False": NodeHealth.NOT_READY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """
    What faults in force have broken, whatever the API says.

    Attributes:
        nodes: The nodes in their blast radius.
        targets: What they hit: names of nodes, GPUs, switches and others.

    """

    nodes: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()


def status_of(
    topology: Topology,
    objects: Mapping[str, Iterable[Object]],
    broken: Broken | None = None,
    moment: str = "",
) -> Status:
    """
    Return how a cluster is.

    With extended resources nobody but the kubelet knows which GPU a pod has: GPUs are
    filled in the order in which pods were made. With DRA the allocation says it.

    Args:
        topology: What was simulated.
        objects: The live objects by kind, of those in `KINDS`.
        broken: What faults have broken in truth.
        moment: Which moment it is, in words.

    """
    truth = broken or Broken()
    nodes = {node["metadata"]["name"]: node for node in objects.get("Node", ())}
    pods = [pod for pod in objects.get("Pod", ()) if holds(pod)]
    slices = list(objects.get("ResourceSlice", ()))
    allocated = owners(topology, pods, objects.get("ResourceClaim", ()))
    failed = _tainted(slices) | _missing(topology, nodes, slices, truth)
    failed |= {name for name in truth.targets if "/gpu-" in name}
    counts = Counter(pod["spec"]["nodeName"] for pod in pods)
    known = {
        f"{node.name}/gpu-{i}" for node in topology.nodes for i in range(node.gpus)
    }
    return Status(
        nodes={
            name: _node_status(nodes.get(name), counts[name], name in truth.nodes)
            for name in (node.name for node in topology.nodes)
        },
        allocated={gpu: who for gpu, who in allocated.items() if gpu in known},
        failed=frozenset(failed & known),
        switches=_switches(topology, truth.targets),
        moment=moment,
    )


def picture(topology: Topology, history: History) -> str:
    """
    Return the SVG of a test's cluster, as it was when most was broken.

    That is just before its first fault was taken back: what a fault did is seen then,
    and what the scheduler made of it. Without a fault it is the newest moment.
    """
    faults = history.records(FAULT)
    clearing = next((r for r in faults if r.verb == _CLEARING), None)
    until = faults if clearing is None else faults[: faults.index(clearing)]
    objects = _objects(history, None if clearing is None else clearing.revision)
    moment = _moment(history, clearing, until)
    return svg(topology, status_of(topology, objects, _broken(until), moment))


def _objects(history: History, revision: int | None) -> dict[str, list[Object]]:
    recorded = history.known_since
    kinds = [kind for kind in KINDS if kind in recorded]
    view = None
    if revision is not None:
        try:
            view = view_at(history, revision, kinds)
        except Inconclusive:
            # So long ago that it is folded away: the present is better than nothing.
            view = None
    view = view or latest_view(history, kinds)
    return {kind: list(view.of(kind).values()) for kind in kinds}


def _in_force(faults: Iterable[Record]) -> list[Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for record in faults:
        if record.verb == INJECTED:
            found[record.name] = record.data or {}
        elif record.verb == CLEARED:
            found.pop(record.name, None)
    return list(found.values())


def _broken(faults: Iterable[Record]) -> Broken:
    found = _in_force(faults)
    return Broken(
        nodes=frozenset(chain.from_iterable(data.get("nodes", ()) for data in found)),
        targets=frozenset(
            chain.from_iterable(data.get("targets", ()) for data in found)
        ),
    )


def _moment(history: History, clearing: Record | None, faults: Sequence[Record]) -> str:
    begun = next((r for r in history.records(STEP) if r.verb == "BEGIN"), None)
    if clearing is None:
        return "at the end"
    names = [
        f"{data['fault']['fault']}({data['fault']['target']})"
        for data in _in_force(faults)
        if "fault" in data
    ]
    at = (
        f" {clearing.monotonic - begun.monotonic:.1f} s into the test," if begun else ""
    )
    return f"as it was{at} with {', '.join(names) or 'a fault'} in force"


def _tainted(slices: Iterable[Object]) -> set[str]:
    """Return the GPUs whose device has a taint."""
    return {
        gpu_of_device(
            one["spec"]["driver"], one["spec"]["pool"]["name"], device["name"]
        )
        for one in slices
        for device in one["spec"].get("devices") or ()
        if device.get("taints")
    }


def _missing(
    topology: Topology,
    nodes: Mapping[str, Object],
    slices: Iterable[Object],
    truth: Broken,
) -> set[str]:
    """Return GPUs that nodes have by design and do not offer, the last ones first."""
    with_devices = {one["spec"].get("nodeName") for one in slices}
    found: set[str] = set()
    for spec in topology.nodes:
        model, node = spec.machine.gpu, nodes.get(spec.name)
        if (
            model is None
            or node is None
            or spec.machine.mig
            or spec.name in with_devices
        ):
            continue
        offered = (node.get("status") or {}).get("allocatable") or {}
        missing = amount_of(spec, model.resource) - whole(
            str(offered.get(model.resource, "0"))
        )
        names = [f"{spec.name}/gpu-{i}" for i in reversed(range(spec.gpus))]
        # Those that a fault has taken are named; the others are anyone's guess.
        missing -= sum(name in truth.targets for name in names)
        rest = [name for name in names if name not in truth.targets]
        found.update(rest[: max(0, missing)])
    return found


def _node_status(
    node: Object | None,
    pods: int,
    broken: bool,  # noqa: FBT001 - called here alone
) -> NodeStatus:
    if node is None:
        return NodeStatus(health=NodeHealth.GONE, broken=broken, pods=pods)
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = next((c["status"] for c in conditions if c["type"] == "Ready"), "Unknown")
    spec = node.get("spec") or {}
    return NodeStatus(
        health=_HEALTH.get(ready, NodeHealth.UNKNOWN),
        cordoned=bool(spec.get("unschedulable")),
        broken=broken,
        pods=pods,
        taints=tuple(sorted({taint["key"] for taint in spec.get("taints") or ()})),
    )


def _switches(topology: Topology, targets: frozenset[str]) -> dict[str, SwitchHealth]:
    down = {switch.name for switch in topology.switches} & targets
    found = {
        switch.name: SwitchHealth.DEGRADED
        for switch in topology.switches
        if any(wider in down for wider, _ in switch.uplinks)
    }
    return {**found, **dict.fromkeys(down, SwitchHealth.DOWN)}
