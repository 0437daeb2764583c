"""
Targets: expressions for what a fault shall hit, resolved when it is injected.

A plan keeps the expression, the journal keeps it together with the names it came to.
Choices are drawn from the run's seed and the number of the step, nothing else, and
nothing is chosen twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from pytest_knav.errors import BadInput, InjectionNotObserved
from pytest_knav.faults.pools import enough, fitting, gpus_on, known, pool
from pytest_knav.topology import Level


if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from pytest_knav.faults.base import World
    from pytest_knav.topology import NodeSpec, Topology

# Which expressions come to what, for who has written another.
_EXPRESSIONS = {
    "node": "node_of, rack_of, zone_of, a name, a pattern or a share of nodes",
    "gpu": "gpu_of, gpus_of, or a name such as NODE/gpu-0",
    "nic": "nic_of, or a name such as NODE/nic-0",
    "nvlink": "nvlink_of",
    "switch": "leaf_of, spine_of, rail, or the name of a switch",
    "feed": "feed_of, or the name of a feed",
    "place": 'place_of(…, level="rack"), correlated, or the name of a place',
    "pod": "pod_of, pods_of, or NAMESPACE/NAME",
    "component": "the name of a component, such as scheduler",
    "connection": 'between("scheduler", "apiserver")',
}
Kind: TypeAlias = Literal[
    "node",
    "gpu",
    "nic",
    "nvlink",
    "switch",
    "feed",
    "place",
    "pod",
    "component",
    "object",
    "connection",
]


class Placed(Protocol):
    """Something that runs on nodes: a handle."""

    @property
    def nodes(self) -> list[str]:
        """Names of its nodes."""
        ...


@dataclass(frozen=True, slots=True)
class Submitted:
    """
    A node or a workload of the cluster by its name alone: what a saved plan knows.

    Where a workload is meant, it is looked up when the fault is injected.
    """

    name: str

    @property
    def nodes(self) -> list[str]:
        """Return nothing: it is looked up first."""
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    An expression for what is hit.

    Attributes:
        text: The expression, as it was written.
        kind: What it comes to; None where it takes on what the fault is for, as words
            and shares do.
        resolver: Returns the names, for that kind.

    """

    text: str
    resolver: Callable[[World, random.Random, Kind], Sequence[str]]
    kind: Kind | None = None

    def __str__(self) -> str:
        """Return the expression."""
        return self.text

    def resolve(
        self, world: World, choose: random.Random, kind: Kind = "node"
    ) -> tuple[str, ...]:
        """
        Return the names it comes to now, sorted.

        Raises:
            BadInput: It is something else than the fault is for.
            InjectionNotObserved: It comes to nothing, so nothing would break.

        """
        if self.kind not in {None, kind}:
            raise BadInput(
                f"the target {self.text} is a {self.kind}, and this fault is for a "
                f"{kind}: {_EXPRESSIONS.get(kind, 'the name of one')}"
            )
        names = tuple(sorted(set(self.resolver(world, choose, kind))))
        if not names:
            raise InjectionNotObserved(
                f"the target {self.text} comes to no {kind} now, so nothing would break"
            )
        return names


def target_of(value: object) -> Target:
    """
    Return a target for a target, a name, a pattern, or several of them.

    Raises:
        BadInput: It is none of these.

    """
    if isinstance(value, Target):
        return value
    if isinstance(value, str) and value:
        return named(value)
    if isinstance(value, list | tuple | set | frozenset) and value:
        targets = [target_of(item) for item in sorted(value, key=str)]
        return Target(
            text=f"[{', '.join(map(str, targets))}]",
            resolver=lambda world, choose, kind: [
                name
                for target in targets
                for name in target.resolve(world, choose, kind)
            ],
        )
    raise BadInput(
        f"target={value!r}: give a name, a pattern with *, several, or an expression "
        "such as node_of(handle), rack_of(handle), percent(10)"
    )


def named(name: str) -> Target:
    """Return what has a name, or every name that a pattern such as `*-00?0` fits."""

    def resolver(world: World, _: random.Random, kind: Kind) -> Sequence[str]:
        if kind in {"pod", "component", "object"}:
            return (name,)
        if any(mark in name for mark in "*?["):
            return fitting(world, name, kind)
        known(world, name, kind)
        return (name,)

    return Target(text=name, resolver=resolver)


def node_of(placed: Placed, index: int | None = None) -> Target:
    """
    Return the node of one pod of a workload.

    Args:
        placed: A handle.
        index: Which of its pods, in the order of `handle.pods`; by default one is
            chosen by the seed.

    """
    return _member("node_of", "node", placed, index, lambda handle: handle.nodes)


def pod_of(placed: Any, index: int | None = None) -> Target:  # noqa: ANN401 - a handle
    """
    Return one pod of a workload.

    Args:
        placed: A handle.
        index: Which of its pods, in the order of `handle.pods`; by default one is
            chosen by the seed.

    """
    return _member("pod_of", "pod", placed, index, _pod_names)


def pods_of(placed: Any) -> Target:  # noqa: ANN401 - a handle
    """Return every live pod of a workload."""
    return Target(
        text=f"pods_of({_label(placed)})",
        kind="pod",
        resolver=lambda world, _, __: _pod_names(_submitted(world, placed)),
    )


def gpu_of(placed: Any, index: int | None = None) -> Target:  # noqa: ANN401 - a handle
    """
    Return one GPU that a workload has.

    Args:
        placed: A handle.
        index: Which of its GPUs, in the order of `handle.gpus`; by default one is
            chosen by the seed.

    """
    return _member("gpu_of", "gpu", placed, index, lambda handle: handle.gpus)


def gpus_of(where: Placed | str, count: int | None = None) -> Target:
    """
    Return GPUs of a node, or of one of a workload's nodes.

    Args:
        where: The name of a node, or a handle.
        count: How many of them, chosen by the seed; by default all.

    """
    found = around(
        where, "gpus_of", "gpu", lambda _, node: [gpu.name for gpu in gpus_on(node)]
    )
    if count is None:
        return found
    text = f"{found.text.removesuffix(')')}, count={count})"
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise BadInput(f"{text}: give a whole number from 1")

    def resolver(world: World, choose: random.Random, kind: Kind) -> Sequence[str]:
        names = list(found.resolver(world, choose, kind))
        if names:
            enough(text, count, len(names), kind)
        return choose.sample(names, min(count, len(names)))

    return Target(text=text, kind="gpu", resolver=resolver)


def rack_of(where: Placed | str) -> Target:
    """
    Return every node of the rack of a node, or of one of a workload's nodes.

    Args:
        where: The name of a node, or a handle: then one of its nodes is chosen by the
            seed.

    """
    return around(where, "rack_of", "node", _nodes_at(Level.RACK))


def zone_of(where: Placed | str) -> Target:
    """Return every node of the zone of a node, or of one of a workload's nodes."""
    return around(where, "zone_of", "node", _nodes_at(Level.ZONE))


def feed_of(where: Placed | str) -> Target:
    """Return every power feed of a node, or of one of a workload's nodes."""
    return around(where, "feed_of", "feed", lambda _, node: node.power_feeds)


def leaf_of(where: Placed | str) -> Target:
    """
    Return the leaf switches of a node, or of one of a workload's nodes.

    Where each rail has a leaf switch of its own, they are all of the node's.
    """
    return around(
        where,
        "leaf_of",
        "switch",
        lambda _, node: [leaf for leaf in node.uplinks if leaf is not None],
    )


def spine_of(where: Placed | str) -> Target:
    """Return the spine switches above a node, or above one of a workload's nodes."""

    def above(topology: Topology, node: NodeSpec) -> Sequence[str]:
        leaves = {leaf for leaf in node.uplinks if leaf is not None}
        return [up for leaf in leaves for up, _ in topology.switch(leaf).uplinks]

    return around(where, "spine_of", "switch", above)


def rail(number: int, of: Placed | str | None = None) -> Target:
    """
    Return the leaf switches of a rail.

    Args:
        number: The rail, from 0.
        of: A node or a handle: then only the switch of that node's rail.

    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise BadInput(f"rail({number!r}): give the number of a rail, from 0")

    def all_of(world: World, _: random.Random, __: Kind) -> Sequence[str]:
        switches = world.topology.switches
        rails = {s.rail for s in switches if s.rail is not None}
        if number not in rails:
            raise BadInput(
                f"rail({number}): {world.topology.name} has "
                f"{'rails 0 to ' + str(max(rails)) if rails else 'no rails'}"
            )
        return [s.name for s in switches if s.rail == number]

    if of is None:
        return Target(text=f"rail({number})", kind="switch", resolver=all_of)
    here = leaf_of(of)

    def one_of(world: World, choose: random.Random, kind: Kind) -> Sequence[str]:
        return sorted(
            set(all_of(world, choose, kind))
            & set(here.resolver(world, choose, "switch"))
        )

    label = of if isinstance(of, str) else _label(of)
    return Target(text=f"rail({number}, of={label})", kind="switch", resolver=one_of)


def around(
    where: Placed | str,
    word: str,
    kind: Kind,
    names: Callable[[Topology, NodeSpec], Sequence[str]],
) -> Target:
    """Return what surrounds a node, or one of a workload's nodes."""
    label = where if isinstance(where, str) else _label(where)

    def resolver(world: World, choose: random.Random, _: Kind) -> Sequence[str]:
        nodes = _nodes_of(world, where)
        if not nodes:
            return ()
        chosen = choose.choice(nodes)
        known(world, chosen, "node")
        found = names(world.topology, world.topology.node(chosen))
        if not found:
            raise BadInput(
                f"{word}({label}): {chosen} of {world.topology.name} has none, so "
                "this fault cannot be expressed with it"
            )
        return found

    return Target(text=f"{word}({label})", kind=kind, resolver=resolver)


def _pod_names(handle: Any) -> list[str]:  # noqa: ANN401 - a handle
    return [f"{pod.namespace}/{pod.name}" for pod in handle.pods]


def _nodes_of(world: World, where: Placed | str) -> list[str]:
    if isinstance(where, Submitted) and where.name in pool(world, "node"):
        return [where.name]
    return [where] if isinstance(where, str) else _submitted(world, where).nodes


def _submitted(world: World, placed: Any) -> Any:  # noqa: ANN401 - a handle
    """Return the handle of a workload that is given by its name."""
    if not isinstance(placed, Submitted):
        return placed
    handles = world.handles
    if placed.name not in handles:
        raise BadInput(
            f"no workload {placed.name!r} was submitted to the cluster: "
            f"there are {', '.join(sorted(handles)) or 'none'}"
        )
    return handles[placed.name]


def _member(
    word: str,
    kind: Kind,
    placed: Any,  # noqa: ANN401 - a handle
    index: int | None,
    names: Callable[[Any], Sequence[str]],
) -> Target:
    """Return one of what a workload has: of an index, or chosen by the seed."""
    label = _label(placed)

    def resolver(world: World, choose: random.Random, _: Kind) -> Sequence[str]:
        found = names(_submitted(world, placed))
        return _one_of(found, index, choose, f"{word}({label}, index={index})")

    suffix = "" if index is None else f", index={index}"
    return Target(text=f"{word}({label}{suffix})", kind=kind, resolver=resolver)


def _nodes_at(level: Level) -> Callable[[Topology, NodeSpec], Sequence[str]]:
    def nodes(topology: Topology, node: NodeSpec) -> Sequence[str]:
        place = node.place(level)
        return () if place is None else topology.places(level)[place]

    return nodes


def _one_of(
    names: Sequence[str], index: int | None, choose: random.Random, text: str
) -> Sequence[str]:
    if not names:
        return ()
    if index is None:
        # By member, not by name: schedulers break ties at random, so the same
        # member is the closest that a seed can come to the same target.
        return (choose.choice(names),)
    if not -len(names) <= index < len(names):
        raise BadInput(f"{text}: it has {len(names)} of them")
    return (names[index],)


def _label(placed: Any) -> str:  # noqa: ANN401 - a message for whatever was given
    if isinstance(placed, str) or not hasattr(placed, "nodes"):
        raise BadInput(
            f"{placed!r} runs on no nodes: give what cluster.submit returned"
        )
    return str(getattr(placed, "name", placed))
