"""Topologies in YAML files: a preset with changes, pools of nodes, or every node."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_knav.errors import BadInput
from pytest_knav.topology.checks import check_topology
from pytest_knav.topology.devices import with_dra
from pytest_knav.topology.dialects import labelled
from pytest_knav.topology.file_text import dump_topology
from pytest_knav.topology.lines import Lines
from pytest_knav.topology.machine_file import KNOWN_MACHINES, read_machine
from pytest_knav.topology.model import LEVELS, Level, NodeSpec, Switch, Topology
from pytest_knav.topology.presets import make_preset
from pytest_knav.topology.presets.catalogue import PRESETS


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pytest_knav.topology.machine import Machine
    from pytest_knav.topology.schema import (
        NodeFile,
        PoolFile,
        TaintFile,
        TopologyFile,
    )

__all__ = ["dump_topology", "json_schema", "load_topology"]


def load_topology(path: Path, nodes: int | None = None) -> Topology:
    """
    Return the topology that a file holds.

    Args:
        path: The file.
        nodes: How many nodes, where the file takes a preset.

    Raises:
        BadInput: There is no such file, or something in it is wrong: with the line and
            the field.

    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"topology {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"topology {path} is no text: {error}") from error
    lines = Lines(path, text)
    return _Reader(path, lines, _parsed(lines)).topology(nodes)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of topology files, for editors."""
    from pytest_knav.topology.schema import TopologyFile  # noqa: PLC0415 - pydantic

    return TopologyFile.model_json_schema()


def _parsed(lines: Lines) -> TopologyFile:
    import pydantic  # noqa: PLC0415 - heavy, and only files need it

    from pytest_knav.topology.schema import TopologyFile  # noqa: PLC0415 - likewise

    try:
        return TopologyFile.model_validate(lines.data)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        more = error.error_count() - 1
        lines.fail(
            lines.place_of(first["loc"]),
            f"{first['msg'][:1].lower()}{first['msg'][1:]}"
            + (f" (and {more} more)" if more else ""),
        )


class _Reader:
    """Turns what a file says into a topology."""

    def __init__(self, path: Path, lines: Lines, file: TopologyFile) -> None:
        self._path = path
        self._lines = lines
        self._file = file
        self._machines = {
            name: read_machine(name, machine, self._fail)
            for name, machine in file.machines.items()
        }

    def topology(self, nodes: int | None) -> Topology:
        """Return the topology, checked."""
        file = self._file
        made = self._from_preset(nodes) if file.preset else self._from_nodes(nodes)
        made = replace(
            made,
            name=file.name,
            source=file.source if "source" in file.model_fields_set else made.source,
            notes=(*made.notes, *file.notes),
            nodes=tuple(self._with_shared(node) for node in made.nodes),
            load=self._load(),
        )
        check_topology(made, self._fail_at)
        listed = isinstance(file.nodes, list)
        try:
            if file.dialects is not None:
                made = labelled(
                    made,
                    [
                        d if isinstance(d, str) else {str(k): v for k, v in d.items()}
                        for d in file.dialects
                    ],
                )
            elif not listed:
                made = labelled(made)
        except BadInput as error:
            self._fail(("dialects",), str(error))
        return with_dra(made) if file.dra else made

    def _from_preset(self, nodes: int | None) -> Topology:
        file = self._file
        if file.preset not in PRESETS:
            self._fail(
                ("preset",),
                f"{file.preset!r} is unknown: use one of {', '.join(sorted(PRESETS))}",
            )
        for name in ("pools", "switches", "nvswitches"):
            if getattr(file, name):
                self._fail((name,), "a preset brings its own: give one or the other")
        if isinstance(file.nodes, list):
            self._fail(("nodes",), "with a preset, give a number")
        count = nodes if nodes is not None else file.nodes
        made = make_preset(file.preset, count)
        # The labels are made again, by the dialects of the file.
        bare = tuple(replace(node, labels=()) for node in made.nodes)
        return replace(made, nodes=bare)

    def _from_nodes(self, nodes: int | None) -> Topology:
        file = self._file
        if nodes is not None:
            raise BadInput(
                f"nodes={nodes}: {self._path} says itself which nodes there are: a "
                "number is for presets"
            )
        if isinstance(file.nodes, int):
            self._fail(("nodes",), "a number of nodes is for a preset: give preset")
        made = [
            self._node(node, ("nodes", i)) for i, node in enumerate(file.nodes or ())
        ]
        for i, pool in enumerate(file.pools):
            made += self._pool(pool, ("pools", i))
        if not made:
            self._fail((), "it has no nodes: give preset, pools or nodes")
        return Topology(
            name=file.name,
            source=file.source,
            nodes=tuple(made),
            switches=tuple(
                Switch(
                    name=switch.name,
                    level=Level(switch.level),
                    uplinks=tuple(switch.uplinks.items()),
                    rail=switch.rail,
                )
                for switch in file.switches
            ),
            nvswitches=tuple(file.nvswitches.items()),
        )

    def _with_shared(self, node: NodeSpec) -> NodeSpec:
        labels = dict(self._file.labels) | dict(node.labels)
        taints = (*node.taints, *map(_taint, self._file.taints))
        return replace(node, labels=tuple(sorted(labels.items())), taints=taints)

    def _node(self, file: NodeFile, at: tuple[Any, ...]) -> NodeSpec:
        machine = self._machine_named(file.machine, (*at, "machine"))
        linked = machine.gpu is not None and machine.gpu.scale_up_gbps > 0
        domain = file.nvlink_domain
        if domain is None:
            domain = file.places.get(Level.NVLINK, "")
            domain = domain or (f"{file.name}/nvlink" if linked else "")
        return NodeSpec(
            name=file.name,
            machine=machine,
            nvlink_domain=domain,
            gpu_uuids=tuple(file.gpu_uuids),
            **self._common(file, machine, at),
        )

    def _pool(self, file: PoolFile, at: tuple[Any, ...]) -> Iterator[NodeSpec]:
        machine = self._machine_named(file.machine, (*at, "machine"))
        common = self._common(file, machine, at)
        linked = machine.gpu is not None and machine.gpu.scale_up_gbps > 0
        for number in range(file.count):
            name = f"{file.name}-{number:04d}"
            places = dict(common["places"])
            feeds = common["power_feeds"]
            if file.nodes_per_rack is not None:
                rack = f"{file.name}-rack-{number // file.nodes_per_rack:03d}"
                places[Level.RACK] = rack
                feeds = feeds or (f"{rack}/feed-a", f"{rack}/feed-b")
            domain = places.get(Level.NVLINK) or (f"{name}/nvlink" if linked else "")
            yield NodeSpec(
                name=name,
                machine=machine,
                nvlink_domain=domain,
                **{**common, "places": _ordered(places), "power_feeds": feeds},
            )

    def _common(
        self, file: NodeFile | PoolFile, machine: Machine, at: tuple[Any, ...]
    ) -> dict[str, Any]:
        uplinks = file.uplinks
        if isinstance(uplinks, str):
            uplinks = [uplinks] * len(machine.nics)
        if uplinks is not None and len(uplinks) > len(machine.nics):
            self._fail(
                (*at, "uplinks"),
                f"{len(uplinks)} uplinks, and {machine.name} has {len(machine.nics)} "
                "NICs",
            )
        return {
            "places": _ordered(file.places),
            "uplinks": tuple(uplinks or ()),
            "power_feeds": tuple(file.power_feeds),
            "power_needed": file.power_needed,
            "labels": tuple(sorted(file.labels.items())),
            "annotations": tuple(sorted(file.annotations.items())),
            "taints": tuple(map(_taint, file.taints)),
            "capacity": tuple((k, str(v)) for k, v in file.capacity.items()),
            "allocatable": tuple((k, str(v)) for k, v in file.allocatable.items()),
        }

    def _machine_named(self, name: str, at: tuple[Any, ...]) -> Machine:
        known = KNOWN_MACHINES | self._machines
        if name not in known:
            self._fail(
                at,
                f"machine {name!r} is unknown: use one of {', '.join(sorted(known))}",
            )
        return known[name]

    def _load(self) -> str:
        if self._file.load is None:
            return ""
        path = self._path.parent / self._file.load
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            self._fail(("load",), f"{path}: {error.strerror}")

    def _fail_at(self, node: str | None, switch: str | None, message: str) -> NoReturn:
        """Fail at a node or a switch of the file, where it can be found there."""
        file = self._file
        listed = file.nodes if isinstance(file.nodes, list) else []
        # From the end: of two of a name, the second is one too many.
        for i, one in reversed(list(enumerate(listed))):
            if one.name == node:
                self._fail(("nodes", i), message)
        for i, pool in reversed(list(enumerate(file.pools))):
            if node is not None and node.rpartition("-")[0] == pool.name:
                self._fail(("pools", i), message)
        for i, one_switch in reversed(list(enumerate(file.switches))):
            if one_switch.name == switch:
                self._fail(("switches", i), message)
        self._fail((), message)

    def _fail(self, at: tuple[Any, ...], message: str) -> NoReturn:
        self._lines.fail(self._lines.place_of(at), message)


def _ordered(places: Mapping[Level, str]) -> tuple[tuple[Level, str], ...]:
    return tuple((level, places[level]) for level in LEVELS if level in places)


def _taint(file: TaintFile) -> tuple[str, str, str]:
    return file.key, file.value, file.effect
