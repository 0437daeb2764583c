"""
What NVIDIA Topograph writes and reads, apart from labels and SLURM's files.

Its models (docs/modeling.md): switches with children, blocks of nodes. The output of
its `graph` engine (docs/engines/graph.md): instances with their switches, the nearest
first.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.importers.keys import known_keys
from pytest_knav.topology.importers.slurm import names_at
from pytest_knav.topology.importers.tree import Entry, SwitchTree, check
from pytest_knav.topology.model import Level


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_knav.topology.importers.marked import Marked

MODEL: Final = "Topograph model"
GRAPH: Final = "Topograph graph"
# The domain of accelerators in a model's annotations, and in a graph's labels.
_DOMAIN: Final = "accelerator.topology.test/domain"
_GRAPH_DOMAIN: Final = "accelerator.topograph.run/domain"
_WIDE: Final = {Level.REGION, Level.ZONE}


def read(document: Marked) -> SwitchTree:
    """
    Return what a model or a graph says.

    Raises:
        BadInput: It is wrong; with file, line and field.

    """
    if "instances" in document.mapping():
        return check(_graph(document))
    return check(_model(document))


def _model(document: Marked) -> SwitchTree:
    fields = document.mapping("switches", "blocks")
    given = fields["switches"].mapping() if "switches" in fields else {}
    children: dict[str, list[str]] = {}
    nodes: dict[str, list[str]] = {name: [] for name in given}
    at = {name: switch.at for name, switch in given.items()}
    annotations: dict[str, dict[str, str]] = {}
    own: dict[str, dict[str, str]] = {}
    for name, switch in given.items():
        parts = switch.mapping("name", "labels", "annotations", "switches")
        below = parts["switches"].items() if "switches" in parts else []
        children[name] = [child.text() for child in below]
        own[name] = _texts(parts, "labels")
        annotations[name] = _texts(parts, "annotations")
        for child in below:
            # A leaf without labels need not be defined.
            at.setdefault(child.text(), child.at)
            nodes.setdefault(child.text(), [])
    parent = {child: name for name, below in children.items() for child in below}
    labels: dict[str, dict[str, str]] = {}
    domains: dict[str, list[str]] = {}
    loose: list[str] = []
    for block in document.need("blocks").items():
        parts = block.mapping("switch", "nodes", "labels", "annotations")
        hosts = [
            name
            for item in block.need("nodes").items()
            for name in names_at(item.text(), f"{item.path}:{item.line}", item.field)
        ]
        way: list[str] = []
        if "switch" in parts:
            leaf = parts["switch"].text()
            if leaf not in nodes:
                raise BadInput(
                    f"{parts['switch'].at}: switch {leaf!r} is defined nowhere"
                )
            nodes[leaf] += hosts
            way = _way(leaf, parent)
        theirs = _merged([*(own.get(s, {}) for s in way), _texts(parts, "labels")])
        labels |= dict.fromkeys(hosts, theirs)
        noted = [*(annotations.get(s, {}) for s in way), _texts(parts, "annotations")]
        domain = _merged(noted).get(_DOMAIN)
        if domain:
            domains.setdefault(domain, []).extend(hosts)
        loose += hosts
    return SwitchTree(
        source=MODEL,
        switches=tuple(
            Entry(
                name=name,
                at=at[name],
                nodes=tuple(nodes[name]),
                switches=tuple(children.get(name, ())),
            )
            for name in nodes
        ),
        blocks=_blocks(domains, document.path),
        loose=tuple(loose),
        labels=labels,
        places=_places(labels),
    )


def _graph(document: Marked) -> SwitchTree:
    fields = document.mapping("instances")
    nodes: dict[str, list[str]] = {}
    children: dict[str, dict[str, None]] = {}
    parent: dict[str, tuple[str, str]] = {}
    labels: dict[str, dict[str, str]] = {}
    at: dict[str, str] = {}
    domains: dict[str, list[str]] = {}
    for item in fields["instances"].items():
        parts = item.mapping("id", "network_layers", "labels")
        name = item.need("id").text()
        if name in labels:
            raise BadInput(f"{item.at}: the instance {name!r} is there twice")
        layers = parts["network_layers"].items() if "network_layers" in parts else []
        way = [layer.text() for layer in layers]
        for switch, layer in zip(way, layers, strict=True):
            at.setdefault(switch, layer.at)
            children.setdefault(switch, {})
            nodes.setdefault(switch, [])
        if way:
            nodes[way[0]].append(name)
        for below, above in itertools.pairwise(way):
            if parent.setdefault(below, (above, item.at))[0] != above:
                raise BadInput(
                    f"{item.at}: switch {below!r} is below {above!r} and, at "
                    f"{parent[below][1]}, below {parent[below][0]!r}: a tree is needed"
                )
            children[above][below] = None
        labels[name] = _texts(parts, "labels")
        if _GRAPH_DOMAIN in labels[name]:
            domains.setdefault(labels[name][_GRAPH_DOMAIN], []).append(name)
    return SwitchTree(
        source=GRAPH,
        switches=tuple(
            Entry(name=n, at=at[n], nodes=tuple(nodes[n]), switches=tuple(children[n]))
            for n in nodes
        ),
        blocks=_blocks(domains, document.path),
        loose=tuple(labels),
        labels=labels,
        places=_places(labels),
    )


def _way(switch: str, parent: Mapping[str, str]) -> list[str]:
    """Return the switches from the top down to one; a circle is found later."""
    way = [switch]
    while way[-1] in parent and parent[way[-1]] not in way:
        way.append(parent[way[-1]])
    return way[::-1]


def _blocks(domains: Mapping[str, list[str]], path: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(name=name, at=path, nodes=tuple(nodes)) for name, nodes in domains.items()
    )


def _texts(parts: Mapping[str, Marked], key: str) -> dict[str, str]:
    if key not in parts:
        return {}
    return {name: value.text() for name, value in parts[key].mapping().items()}


def _merged(many: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {key: value for one in many for key, value in one.items()}


def _places(labels: Mapping[str, Mapping[str, str]]) -> dict[str, dict[Level, str]]:
    """Return the zones and regions that are among labels."""
    wide = {key: level for level, key in known_keys() if level in _WIDE}
    return {
        node: {wide[key]: value for key, value in own.items() if key in wide}
        for node, own in labels.items()
    }
