"""A topology as a tree of text, with equal siblings folded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from pytest_knav.topology.manifests import allocatable, capacity
from pytest_knav.topology.model import LEVELS, Level
from pytest_knav.topology.picture.groups import group


if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from pytest_knav.topology.machine import Machine
    from pytest_knav.topology.model import NodeSpec, Switch, Topology
    from pytest_knav.topology.picture.groups import Group

Depth: TypeAlias = Level | Literal["node", "inside"]
DEPTHS: Final[tuple[Depth, ...]] = (*LEVELS, "node", "inside")
# A fabric made by hand may have a thousand kinds of rack: the tree stays readable.
_KINDS_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class _Branch:
    text: str
    inner: tuple[_Branch, ...] = ()


def describe(
    topology: Topology,
    *,
    depth: Depth = "inside",
    node: str | None = None,
    width: int | None = None,
) -> list[str]:
    """
    Return a topology as lines: totals, the tree, the labels of one node.

    Args:
        topology: What to describe.
        depth: The narrowest level that the tree shows; `node` ends with nodes,
            `inside` shows what the first of each kind has inside.
        node: Show this node alone, and everything about it.
        width: The most characters of a line; by default lines are whole.

    Raises:
        KeyError: There is no such node.

    """
    if node is None:
        lines = [*_totals(topology), "", *_lines(_tree(group(topology), depth))]
        lines += ["", *_details(topology.nodes[0])] if topology.nodes else []
    else:
        lines = [*_one(topology.node(node), topology)]
    return lines if width is None else [_cut(line, width) for line in lines]


def _totals(topology: Topology) -> Iterator[str]:
    where = f" in {_count(len(topology.racks), 'rack')}" if topology.racks else ""
    nodes, gpus = _count(len(topology.nodes), "node"), _count(topology.gpus, "GPU")
    yield f"{topology.name}: {nodes}{where}, {gpus}"
    yield f"source: {topology.source}"
    yield from (f"note: {note}" for note in topology.notes)
    machines = Counter(node.machine for node in topology.nodes)
    for machine, number in machines.items():
        yield f"machine {machine.name}, {number:,} of them: {_machine(machine)}"
    switches = Counter(switch.level for switch in topology.switches)
    if switches:
        by_level = [
            f"{switches[level]:,} {level}" for level in LEVELS if switches[level]
        ]
        yield f"switches: {', '.join(by_level)}"
    if topology.nvswitches:
        number = sum(count for _, count in topology.nvswitches)
        yield f"NVSwitches between nodes: {number:,}"


def _machine(machine: Machine) -> str:
    parts = []
    if machine.gpu and machine.gpus:
        model = machine.gpu
        parts.append(f"{len(machine.gpus)} {model.product} ({model.resource})")
        parts += [f"each cut into {number} of {cut}" for cut, number in machine.mig]
    parts += [f"{machine.cpus} cpu", f"{machine.memory_gib} GiB"]
    parts.append(f"at most {machine.pods} pods")
    return ", ".join(parts)


def _tree(place: Group, depth: Depth) -> _Branch:
    title = place.title or "the cluster"
    gpus = sum(node.gpus for node in place.all_nodes())
    nodes = sum(1 for _ in place.all_nodes())
    facts = [_count(nodes, "node"), *([_count(gpus, "GPU")] if gpus else [])]
    facts += [
        f"{_count(len(s), f'{level} switch')} ({_span(s)})" for level, s in place.rows()
    ]
    deeper = place.level is None or DEPTHS.index(place.level) < DEPTHS.index(depth)
    inner = [*_folded_groups(place.groups, depth), *_folded_nodes(place.nodes, depth)]
    return _Branch(f"{title}: {', '.join(facts)}", tuple(inner) if deeper else ())


def _folded_groups(groups: Sequence[Group], depth: Depth) -> Iterator[_Branch]:
    runs = [list(run) for _, run in groupby(groups, key=_shape)]
    for run in runs[:_KINDS_MAX]:
        yield _tree(run[0], depth)
        if len(run) > 1:
            last = run[-1].name
            yield _Branch(
                f"… and {_count(len(run) - 1, _kind(run[0]))} more, to {last}"
            )
    left = [one for run in runs[_KINDS_MAX:] for one in run]
    if left:
        yield _Branch(f"… and {len(left):,} more of other shapes, to {left[-1].name}")


def _folded_nodes(nodes: Sequence[NodeSpec], depth: Depth) -> Iterator[_Branch]:
    if depth not in {"node", "inside"}:
        return
    runs = [list(run) for _, run in groupby(nodes, key=lambda node: node.machine)]
    for run in runs[:_KINDS_MAX]:
        first, last = run[0], run[-1]
        inner = tuple(_inside(first)) if depth == "inside" else ()
        yield _Branch(f"{first.name}: {first.machine.name}", inner)
        if len(run) > 1:
            yield _Branch(f"… and {_count(len(run) - 1, 'node')} more, to {last.name}")
    left = [node for run in runs[_KINDS_MAX:] for node in run]
    if left:
        yield _Branch(f"… and {len(left):,} more of other kinds, to {left[-1].name}")


def _shape(place: Group) -> Hashable:
    """Return what is equal for groups that differ in names alone."""
    inner = tuple(
        (kind, len(list(run))) for kind, run in groupby(map(_shape, place.groups))
    )
    nodes = tuple(Counter(node.machine for node in place.nodes).items())
    switches = tuple((level, len(row)) for level, row in place.rows())
    levels = tuple(level for level, _ in place.path)
    return levels, inner, nodes, switches


def _inside(node: NodeSpec) -> Iterator[_Branch]:
    machine = node.machine
    of_root = {root: _numa_of(machine, root) for root in machine.pcie_roots}
    for numa in sorted(set(of_root.values())):
        inner = tuple(
            _Branch(f"PCIe root {root}: {_behind(node, root)}")
            for root in machine.pcie_roots
            if of_root[root] == numa
        )
        yield _Branch(f"NUMA node {numa}", inner)
    rest = sorted(set(range(machine.numa_nodes)) - set(of_root.values()))
    if rest:
        which = f"NUMA node{'s' if len(rest) > 1 else ''} {', '.join(map(str, rest))}"
        yield _Branch(f"{which}: CPUs and memory only")
    if machine.nvswitches:
        yield _Branch(_count(machine.nvswitches, "NVSwitch"))
    model = machine.gpu
    if node.nvlink_domain and model and node.gpus:
        name = "NVLink" if model.vendor == "nvidia" else "scale-up"
        speed = f", {_speed(model.scale_up_gbps)} a GPU" if model.scale_up_gbps else ""
        yield _Branch(f"{name} domain {node.nvlink_domain}{speed}")
    if node.power_feeds:
        feeds = ", ".join(node.power_feeds)
        yield _Branch(f"power: {node.power_needed} of {feeds} needed")


def _numa_of(machine: Machine, root: int) -> int:
    of_gpus = [slot.numa for slot in machine.gpus if slot.pcie_root == root]
    return (of_gpus or [n.numa for n in machine.nics if n.pcie_root == root])[0]


def _behind(node: NodeSpec, root: int) -> str:
    machine = node.machine
    gpus = [f"gpu-{i}" for i, slot in enumerate(machine.gpus) if slot.pcie_root == root]
    nics = []
    for index, slot in enumerate(machine.nics):
        if slot.pcie_root == root:
            up = node.uplinks[index] if index < len(node.uplinks) else None
            leads = f", to {up}" if up else ", no link"
            nics.append(f"nic-{index} ({_speed(slot.gbps)}{leads})")
    return ", ".join([*gpus, *nics])


def _one(node: NodeSpec, topology: Topology) -> Iterator[str]:
    yield f"{node.name}: {_machine(node.machine)}"
    yield f"of {topology.name}, {topology.source}"
    yield from (f"{level}: {name}" for level, name in node.places)
    yield ""
    yield from _lines(_Branch(node.name, tuple(_inside(node))))
    yield ""
    yield from _details(node)


def _details(node: NodeSpec) -> Iterator[str]:
    has, gives = capacity(node), allocatable(node)
    yield f"{node.name}, what its Node object says:"
    yield f"  capacity: {_amounts(has)}"
    if gives != has:
        changed = {
            name: amount for name, amount in gives.items() if has.get(name) != amount
        }
        yield f"  allocatable: {_amounts(changed) or 'less'}, the rest as capacity"
    for key, value, effect in node.taints:
        yield f"  taint: {key}{f'={value}' if value else ''}:{effect}"
    yield "  labels:"
    yield from (f"    {key}={value}" for key, value in node.labels)


def _amounts(amounts: dict[str, str]) -> str:
    return ", ".join(f"{name} {amount}" for name, amount in amounts.items())


def _span(switches: Sequence[Switch]) -> str:
    first, last = switches[0].name, switches[-1].name
    return first if len(switches) == 1 else f"{first} to {last}"


def _kind(place: Group) -> str:
    return {
        Level.LEAF: "leaf group",
        Level.SPINE: "spine group",
        Level.CORE: "core group",
        Level.NVLINK: "NVLink domain",
    }.get(place.level or Level.RACK, str(place.level))


def _count(number: int, what: str) -> str:
    if number == 1:
        return f"1 {what}"
    return f"{number:,} {what}{'es' if what.endswith('ch') else 's'}"


def _speed(gbps: int) -> str:
    return f"{gbps:,} Gbit/s"


def _lines(root: _Branch) -> Iterator[str]:
    yield root.text
    yield from _below(root, "")


def _below(branch: _Branch, indent: str) -> Iterator[str]:
    for number, inner in enumerate(branch.inner):
        last = number == len(branch.inner) - 1
        yield f"{indent}{'└─' if last else '├─'} {inner.text}"
        yield from _below(inner, f"{indent}{'   ' if last else '│  '}")


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: max(1, width - 1)]}…"
