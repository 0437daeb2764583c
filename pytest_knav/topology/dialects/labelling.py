"""A topology with the labels of dialects on its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from pytest_knav.errors import BadInput
from pytest_knav.topology.dialects.dialect import check_value
from pytest_knav.topology.dialects.table import (
    DIALECTS,
    dialect_named,
    levels_dialect,
)


if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_knav.topology.dialects.dialect import Dialect
    from pytest_knav.topology.model import NodeSpec, Topology

    Wanted: TypeAlias = str | Dialect | Mapping[str, str]


def labelled(topology: Topology, dialects: Iterable[Wanted] | None = None) -> Topology:
    """
    Return a topology whose nodes carry the labels of dialects.

    Labels that a node, or its machine, has of its own win.

    Args:
        topology: What is to be labelled.
        dialects: Names, mappings of levels to label keys, or `Dialect` objects; by
            default those that are on by default, as far as they have something to say.

    Raises:
        BadInput: There is no such dialect, one cannot express the topology, or
            Kubernetes would refuse a value; with dialect, level and value.

    """
    if dialects is None:
        chosen = [dialect for dialect in DIALECTS.values() if dialect.default]
    else:
        chosen = [_dialect(wanted) for wanted in dialects]
        for dialect in chosen:
            _check_expressible(dialect, topology)
    good: set[str] = set()
    nodes = tuple(
        replace(node, labels=_labels(node, chosen, good)) for node in topology.nodes
    )
    return replace(topology, nodes=nodes)


def _dialect(wanted: Wanted) -> Dialect:
    if isinstance(wanted, str):
        return dialect_named(wanted)
    return levels_dialect(wanted) if isinstance(wanted, Mapping) else wanted


def _check_expressible(dialect: Dialect, topology: Topology) -> None:
    missing = [level for level, _ in dialect.levels if level not in topology.levels]
    if not missing:
        return
    about = any(dialect.about(node) for node in topology.nodes[:1])
    if dialect.whole or (len(missing) == len(dialect.levels) and not about):
        keys = dict(dialect.levels)
        lacking = ", ".join(f"{level} ({keys[level]})" for level in missing)
        raise BadInput(
            f"dialect {dialect.name} cannot express topology {topology.name!r}: it "
            f"needs the level {lacking}, and the topology has "
            f"{', '.join(topology.levels) or 'none'}"
        )


def _labels(
    node: NodeSpec, dialects: Iterable[Dialect], good: set[str]
) -> tuple[tuple[str, str], ...]:
    labels: dict[str, str] = {}
    for dialect in dialects:
        labels |= dialect.labels(node)
    labels |= dict(node.machine.labels)
    labels |= dict(node.labels)
    for key, value in labels.items():
        # Most values are those of the node before.
        if value not in good:
            check_value(value, f"node {node.name}", key)
            good.add(value)
    return tuple(sorted(labels.items()))
