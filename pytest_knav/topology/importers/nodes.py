"""
Node objects of a real cluster as a topology: the simulated cluster is that cluster.

Labels, taints, capacity and allocatable are as they were. What a kubelet owns is not:
conditions, addresses, images, leases, versions, annotations.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.importers import fabric, node_object
from pytest_knav.topology.importers.gpus import (
    gpus_of,
    machine_like,
    nvswitches_of,
    slots,
)
from pytest_knav.topology.importers.imported import Imported
from pytest_knav.topology.importers.keys import keys_named, keys_of
from pytest_knav.topology.importers.places import (
    RACK_SIZE,
    tree_of,
    with_feeds,
    with_racks,
)
from pytest_knav.topology.importers.quantities import amount
from pytest_knav.topology.machine import Machine, NicSlot
from pytest_knav.topology.manifests import allocatable, capacity
from pytest_knav.topology.model import Level, NodeSpec, Topology


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_knav.topology.importers.node_object import NodeObject

SOURCE: Final = "Node objects of a real cluster"
_TYPES: Final = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
_GIB: Final = 1024**3
# Where switches are known and NICs are not.
_NIC: Final = NicSlot(gbps=100)


def import_nodes(
    objects: Iterable[Mapping[str, Any]],
    *,
    name: str,
    levels: Sequence[str] = (),
    rack_size: int | None = None,
) -> Imported:
    """
    Return the topology of Node objects.

    Args:
        objects: As `kubectl get nodes -o yaml` gives them.
        name: What the topology is called.
        levels: Label keys of racks and switches, widest first; by default those that
            are known. `level=key` says which level a key stands for.
        rack_size: How many nodes stand in a rack where no label says it; by default 4
            if labels tell of neither racks nor switches, and 0 for no racks.

    Raises:
        BadInput: There are no nodes, one is wrong, or there is no such label.

    """
    read = [node_object.read(item) for item in objects]
    if not read:
        raise BadInput("there are no Node objects to import")
    twice = [n for n, times in Counter(one.name for one in read).items() if times > 1]
    if twice:
        raise BadInput(f"Node {twice[0]} is there more than once")
    labels = [one.labels for one in read]
    keys = keys_of(labels)
    if levels:
        named = keys_named(levels, labels)
        wide = {Level.REGION, Level.ZONE, Level.NVLINK}
        keys = {at: key for at, key in keys.items() if at in wide} | named
    places = tree_of({one.name: _named(one.labels, keys) for one in read})
    machines = _Machines()
    nodes = tuple(machines.node(one, places[one.name], keys) for one in read)
    nodes, notes = _racked(nodes, rack_size)
    nodes, switches = fabric.with_switches(nodes, joined=True)
    if switches:
        notes.append(fabric.NOTE)
    topology = Topology(
        name=name,
        source=SOURCE,
        nodes=nodes,
        switches=switches,
        nvswitches=nvswitches_of(nodes),
        notes=(*notes, *machines.notes),
    )
    origins = tuple(
        (level, f"the label {keys[level]}")
        for level in topology.levels
        if level in keys
    )
    dropped = tuple(_dropped(read, keys))
    return Imported(topology=topology, levels=origins, dropped=dropped)


def _named(labels: Mapping[str, str], keys: Mapping[Level, str]) -> dict[Level, str]:
    return {at: labels[key] for at, key in keys.items() if labels.get(key)}


def _racked(
    nodes: tuple[NodeSpec, ...], size: int | None
) -> tuple[tuple[NodeSpec, ...], list[str]]:
    """Return nodes with racks, and what was assumed."""
    has_racks = any(node.rack for node in nodes)
    if size is None:
        size = 0 if has_racks or fabric.has_leaves(nodes) else RACK_SIZE
    notes = []
    if size:
        lacking = sum(not node.rack for node in nodes)
        nodes = with_racks(nodes, size)
        if lacking:
            notes.append(
                f"racks of {size} for {lacking} nodes whose labels name none, in the "
                "order of the file; no label tells a scheduler of them"
            )
    nodes = with_feeds(nodes)
    if any(node.power_feeds for node in nodes):
        notes.append("two power feeds for each rack, of which one is enough")
    return nodes, notes


class _Machines:
    """Makes nodes, with one value for machines that are alike."""

    def __init__(self) -> None:
        self._known: dict[Machine, Machine] = {}
        self._names: Counter[str] = Counter()
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what was assumed about machines."""
        return tuple(self._notes)

    def node(
        self,
        read: NodeObject,
        places: tuple[tuple[Level, str], ...],
        keys: Mapping[Level, str],
    ) -> NodeSpec:
        """Return a node with its machine, and what of it is not its machine's."""
        machine = self._machine(read, wired=Level.LEAF in dict(places))
        domain = read.labels.get(keys.get(Level.NVLINK, ""), "")
        if not domain and machine.gpu is not None and machine.gpu.scale_up_gbps:
            domain = f"{read.name}/nvlink"
        node = NodeSpec(
            name=read.name,
            machine=machine,
            places=places,
            nvlink_domain=domain if machine.gpu is not None else "",
            labels=tuple(sorted(read.labels.items())),
            taints=read.taints,
        )
        node = replace(node, capacity=_changes(capacity(node), read.capacity))
        return replace(node, allocatable=_changes(allocatable(node), read.allocatable))

    def _machine(self, read: NodeObject, *, wired: bool) -> Machine:
        what = f"Node {read.name}"
        gpus = gpus_of(read.labels, read.capacity, what)
        kind = next((read.labels[k] for k in _TYPES if read.labels.get(k)), "node")
        like = machine_like(kind, gpus)
        has = {name: amount(quantity, what) for name, quantity in read.capacity.items()}
        made = Machine(
            name=kind,
            cpus=int(has.get("cpu", 0)),
            memory_gib=int(has.get("memory", 0) // _GIB),
            pods=int(has.get("pods", 0)),
            storage_gib=int(has.get("ephemeral-storage", 0) // _GIB),
            gpu=gpus.model if gpus else None,
            gpus=like.gpus if like else slots(gpus.count) if gpus else (),
            nics=like.nics if like else (_NIC,) if wired else (),
            numa_nodes=like.numa_nodes if like else 1,
            nvswitches=like.nvswitches if like else 0,
            mig=gpus.mig if gpus else (),
        )
        self._note(made, like)
        if made not in self._known:
            self._names[kind] += 1
            times = self._names[kind]
            self._known[made] = replace(
                made, name=f"{kind}-{times}" if times > 1 else kind
            )
        return self._known[made]

    def _note(self, made: Machine, like: Machine | None) -> None:
        if like is not None:
            self._notes[
                f"NUMA nodes, PCIe roots, NICs and NVLink of {made.name} are those of "
                f"the preset {like.name}, which has the same GPUs"
            ] = None
            return
        if made.gpu is not None and not made.gpu.power_w:
            self._notes[f"nothing is known of {made.gpu.product}: power, NVLink"] = None
        if made.nics:
            self._notes[f"one NIC of {_NIC.gbps} Gbit/s in each {made.name}"] = None


def _changes(
    found: Mapping[str, str], wanted: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Return what makes the wanted amounts of those found; empty takes one away."""
    gone = {name: "" for name in found if name not in wanted}
    other = {n: quantity for n, quantity in wanted.items() if found.get(n) != quantity}
    return tuple(sorted({**gone, **other}.items()))


def _dropped(read: Sequence[NodeObject], keys: Mapping[Level, str]) -> list[str]:
    lines = ["annotations, addresses, conditions, images, versions: the kubelet's own"]
    cordoned = [one.name for one in read if one.cordoned]
    if cordoned:
        lines.append(f"the cordon of {_some(cordoned)}: they take pods here")
    unready = [one.name for one in read if not one.ready]
    if unready:
        lines.append(f"that {_some(unready)} is not Ready: it is here")
    passing = Counter(key for one in read for key in one.passing)
    lines += [f"the taint {key} (on {n})" for key, n in passing.items()]
    return lines + _lacking(read, keys)


def _lacking(read: Sequence[NodeObject], keys: Mapping[Level, str]) -> list[str]:
    """Return in words which nodes have no place at levels that others have."""
    groups: dict[tuple[str, ...], list[Level]] = {}
    for level, key in keys.items():
        names = tuple(one.name for one in read if not one.labels.get(key))
        if names:
            groups.setdefault(names, []).append(level)
    return [
        f"{_some(names)}: no place at {', '.join(levels)}, since the labels are missing"
        for names, levels in groups.items()
    ]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 3 else ""
    return ", ".join(names[: 2 if more else 3]) + more
