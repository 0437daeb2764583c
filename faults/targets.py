"""
Targets: expressions for what a fault shall hit, resolved when it is injected.

A plan keeps the expression, the journal keeps it together with the names it came to.
Choices are drawn from the run's seed and the number of the step, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pytest_knav.errors import BadInput, InjectionNotObserved


if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from pytest_knav.faults.base import World


class Placed(Protocol):
    """Something that runs on nodes: a handle."""

    @property
    def nodes(self) -> list[str]:
        """Names of its nodes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An expression for node names."""

    text: str
    resolver: Callable[[World, random.Random], tuple[str, ...]]

    def __str__(self) -> str:
        """Return the expression."""
        return self.text

    def resolve(self, world: World, choose: random.Random) -> tuple[str, ...]:
        """
        Return the names it comes to now, sorted.

        Raises:
            InjectionNotObserved: It comes to nothing, so nothing would break.

        """
        names = tuple(sorted(set(self.resolver(world, choose))))
        if not names:
            raise InjectionNotObserved(
                f"the target {self.text} comes to no node now, so nothing would break"
            )
        return names


def target_of(value: object) -> Target:
    """
    Return a target for a target, a node name, or names of nodes.

    Raises:
        BadInput: It is none of these.

    """
    if isinstance(value, Target):
        return value
    if isinstance(value, str):
        return node(value)
    if isinstance(value, list | tuple | set | frozenset) and value:
        targets = [target_of(item) for item in sorted(value, key=str)]
        return Target(
            text=f"[{', '.join(map(str, targets))}]",
            resolver=lambda world, choose: tuple(
                name for target in targets for name in target.resolve(world, choose)
            ),
        )
    raise BadInput(
        f"target={value!r}: give a node name, several, or an expression such as "
        "node_of(handle), rack_of(handle), percent(10)"
    )


def node(name: str) -> Target:
    """Name one node."""

    def resolver(world: World, _: random.Random) -> tuple[str, ...]:
        _known(world, name)
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
    label = _label(placed)

    def resolver(_: World, choose: random.Random) -> tuple[str, ...]:
        nodes = placed.nodes
        if not nodes:
            return ()
        if index is None:
            # By member, not by name: schedulers break ties at random, so the same
            # member is the closest that a seed can come to the same target.
            return (choose.choice(nodes),)
        if not -len(nodes) <= index < len(nodes):
            raise BadInput(
                f"node_of({label}, index={index}): it has {len(nodes)} pods on nodes"
            )
        return (nodes[index],)

    suffix = "" if index is None else f", index={index}"
    return Target(text=f"node_of({label}{suffix})", resolver=resolver)


def rack_of(where: Placed | str) -> Target:
    """
    Return every node of the rack of a node, or of one of a workload's nodes.

    Args:
        where: The name of a node, or a handle: then one of its nodes is chosen by the
            seed.

    """
    label = where if isinstance(where, str) else _label(where)

    def resolver(world: World, choose: random.Random) -> tuple[str, ...]:
        names = [where] if isinstance(where, str) else where.nodes
        if not names:
            return ()
        chosen = choose.choice(names)
        _known(world, chosen)
        return world.topology.rack_of(chosen).nodes

    return Target(text=f"rack_of({label})", resolver=resolver)


def percent(share: float) -> Target:
    """Return a share of all nodes, at least one, chosen by the seed."""
    if isinstance(share, bool) or not isinstance(share, int | float):
        raise BadInput(f"percent({share!r}): give a number above 0, at most 100")
    if not 0 < share <= 100:
        raise BadInput(f"percent({share!r}): give a number above 0, at most 100")

    def resolver(world: World, choose: random.Random) -> tuple[str, ...]:
        names = [n.name for n in world.topology.nodes]
        return tuple(choose.sample(names, max(1, round(len(names) * share / 100))))

    return Target(text=f"percent({share:g})", resolver=resolver)


def minority() -> Target:
    """Return the largest number of nodes that is less than half, by the seed."""

    def resolver(world: World, choose: random.Random) -> tuple[str, ...]:
        names = [n.name for n in world.topology.nodes]
        return tuple(choose.sample(names, (len(names) - 1) // 2))

    return Target(text="minority()", resolver=resolver)


def _known(world: World, name: str) -> None:
    names = [n.name for n in world.topology.nodes]
    if name not in names:
        raise BadInput(
            f"no node {name!r} in {world.topology.name}: "
            f"it has {names[0]} … {names[-1]}"
        )


def _label(placed: Any) -> str:  # noqa: ANN401 - a message for whatever was given
    if isinstance(placed, str) or not hasattr(placed, "nodes"):
        raise BadInput(
            f"{placed!r} runs on no nodes: give what cluster.submit returned"
        )
    return str(getattr(placed, "name", placed))
