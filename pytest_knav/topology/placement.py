"""Where the pods of a gang lie closest together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_knav.topology.graph import Graph
    from pytest_knav.topology.model import Level, NodeSpec

    Nodes: TypeAlias = Sequence[NodeSpec]
    # For each number of nodes: what the cheapest choice costs, and which it is.
    Table: TypeAlias = list[tuple[int, tuple[NodeSpec, ...]]]

# Nodes to choose from times nodes to choose, up to which every choice is weighed: the
# work grows with it, and this is about a second.
EXACT: Final = 1_000_000
# A choice costs one for each place it lies in, a wider place more than all narrower
# ones; least of all counts what it leaves free there.
_PLACE: Final = 2**15
_FREE: Final = 2**20


def best_nodes(
    graph: Graph,
    count: int,
    among: Iterable[str] | None = None,
    without: Sequence[str] = (),
) -> tuple[str, ...]:
    """
    Return the nodes that lie closest together.

    The narrowest place that has enough of them, there as few narrower places as can
    be, the widest of these first, and among equals those that they fill best, so that
    larger gangs find room elsewhere; then the first in the order of the topology.
    Every choice is weighed up to `EXACT`; of more nodes, large groups are taken first.

    Args:
        graph: The indexed topology.
        count: How many.
        among: The names to choose from; by default all.
        without: Components that are down; what they take with them is no choice.

    Raises:
        BadInput: There are not so many.

    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise BadInput(f"best_nodes({count!r}): give a whole number from 1")
    names = graph.order if among is None else dict.fromkeys(among)
    for name in names:
        if name not in graph.order:
            kind = graph.component(name).kind
            raise BadInput(f"best_nodes(among=…): {name} is a {kind.value}: give nodes")
    lost = graph.blast_radius(*without).lost_nodes
    left = [graph.topology.node(n) for n in graph.order if n in names and n not in lost]
    if count > len(left):
        raise BadInput(f"best_nodes({count}): there are {len(left)} to choose from")
    chosen = _chosen(left, count, graph.topology.levels)
    return tuple(sorted((n.name for n in chosen), key=graph.order.__getitem__))


def _chosen(nodes: Nodes, count: int, levels: Sequence[Level]) -> Nodes:
    exact = len(nodes) * count <= EXACT
    for level in reversed(levels):
        enough = [g for g in _groups(nodes, level) if len(g) >= count]
        if enough and exact:
            tables = [_table(group, count, levels) for group in enough]
            return min((table[count] for table in tables), key=lambda c: c[0])[1]
        if enough:
            return _filled(min(enough, key=len), count, levels)
    return (
        _table(nodes, count, levels)[count][1]
        if exact
        else _filled(nodes, count, levels)
    )


def _table(nodes: Nodes, most: int, levels: Sequence[Level]) -> Table:
    """Return the cheapest choice of each number of nodes, up to the most."""
    if not levels:
        return [(0, tuple(nodes[:k])) for k in range(min(most, len(nodes)) + 1)]
    place = _FREE * _PLACE ** (len(levels) - 1)
    table: Table = [(0, ())]
    for group in _groups(nodes, levels[0]):
        inside = _table(group, most, levels[1:])
        free = [(0, ())] + [
            (cost + place + len(group) - taken, chosen)
            for taken, (cost, chosen) in enumerate(inside)
            if taken
        ]
        table = _joined(table, free, most)
    return table


def _joined(first: Table, second: Table, most: int) -> Table:
    """Return the cheapest choices out of two groups together."""
    joined: Table = []
    for k in range(min(most, len(first) + len(second) - 2) + 1):
        ways = range(max(0, k - len(first) + 1), min(k, len(second) - 1) + 1)
        # Of equals the one with the least of the second group: the first in order.
        taken = min(ways, key=lambda t: first[k - t][0] + second[t][0])
        (cost, some), (more, others) = first[k - taken], second[taken]
        joined.append((cost + more, some + others))
    return joined


def _filled(nodes: Nodes, count: int, levels: Sequence[Level]) -> list[NodeSpec]:
    """Return a number of nodes out of few places: the largest first."""
    if count >= len(nodes) or not levels:
        return list(nodes[:count])
    chosen: list[NodeSpec] = []
    for group in sorted(_groups(nodes, levels[0]), key=len, reverse=True):
        if len(chosen) == count:
            break
        chosen += _filled(group, min(count - len(chosen), len(group)), levels[1:])
    return chosen


def _groups(nodes: Nodes, level: Level) -> Sequence[list[NodeSpec]]:
    """Return the nodes of each place of a level, in order."""
    groups: dict[str, list[NodeSpec]] = {}
    for node in nodes:
        # A node without a place at a level is a place of its own.
        groups.setdefault(node.place(level) or f"node {node.name}", []).append(node)
    return list(groups.values())
