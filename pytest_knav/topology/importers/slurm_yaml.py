"""SLURM's `topology.yaml` (25.05 and later): several topologies, one is the default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.importers.slurm import names_at
from pytest_knav.topology.importers.tree import Entry, SwitchTree, check


if TYPE_CHECKING:
    from pytest_knav.topology.importers.marked import Marked

SOURCE: Final = "SLURM topology.yaml"
_KINDS: Final = ("tree", "block", "flat")


def read(document: Marked) -> SwitchTree:
    """
    Return what the default topology of a `topology.yaml` says; else the first one.

    Raises:
        BadInput: It is wrong; with file, line and field.

    """
    units = [_unit(item) for item in document.items()]
    if not units:
        raise BadInput(f"{document.at}: the list of topologies is empty")
    chosen = next((unit for unit in units if _is_default(unit)), units[0])
    others = [unit["topology"].text() for unit in units if unit is not chosen]
    dropped = [
        f"topology {name}: another one of the file is the default" for name in others
    ]
    switches: list[Entry] = []
    blocks: list[Entry] = []
    if "flat" in chosen:
        raise BadInput(f"{chosen['flat'].at}: a flat topology has no tree to import")
    if "tree" in chosen:
        switches = [_switch(item) for item in chosen["tree"].need("switches").items()]
    else:
        fields = chosen["block"].mapping("block_sizes", "blocks")
        if "block_sizes" in fields:
            dropped.append("block_sizes: how SLURM's scheduler groups blocks")
        blocks = [_block(item) for item in chosen["block"].need("blocks").items()]
    tree = SwitchTree(
        source=SOURCE,
        switches=tuple(switches),
        blocks=tuple(blocks),
        dropped=tuple(dropped),
    )
    return check(tree)


def _unit(item: Marked) -> dict[str, Marked]:
    fields = item.mapping("topology", "cluster_default", *_KINDS)
    item.need("topology")
    kinds = [kind for kind in _KINDS if kind in fields]
    if len(kinds) != 1:
        raise BadInput(
            f"{item.at} needs just one of {', '.join(_KINDS)}, it has "
            f"{', '.join(kinds) or 'none'}"
        )
    return fields


def _is_default(unit: dict[str, Marked]) -> bool:
    found = unit.get("cluster_default")
    return found is not None and found.value in {"true", "True", "yes"}


def _switch(item: Marked) -> Entry:
    fields = item.mapping("switch", "children", "nodes")
    name = item.need("switch").text()
    if len({"children", "nodes"} & set(fields)) != 1:
        raise BadInput(f"{item.at}: switch {name!r} needs either children or nodes")
    return Entry(
        name=name,
        at=item.at,
        nodes=_names(fields, "nodes"),
        switches=_names(fields, "children"),
    )


def _block(item: Marked) -> Entry:
    fields = item.mapping("block", "nodes")
    name = item.need("block").text()
    return Entry(name=name, at=item.at, nodes=_names(fields, "nodes"))


def _names(fields: dict[str, Marked], key: str) -> tuple[str, ...]:
    found = fields.get(key)
    if found is None:
        return ()
    return names_at(found.text(), f"{found.path}:{found.line}", found.field)
