"""``knav topology import``: a real cluster as a topology file, and its load."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pytest_knav.commands import numbers
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_knav.topology.importers import Anonymiser, Imported

_HEAD_CHARACTERS: Final = 64 * 1024
_NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LOAD_HEAD: Final = """\
# What runs in the cluster from the beginning; the topology file names this one.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What was asked for."""

    file: Path
    source: str | None
    load: tuple[Path, ...]
    levels: tuple[str, ...]
    rack_size: int | None
    machine: str | None
    anonymise: bool
    salt: str | None
    name: str
    output: Path
    force: bool


def import_(  # noqa: PLR0913 - one for each option
    *,
    file: Annotated[
        Path,
        typer.Argument(
            help="kubectl get nodes -o yaml, SLURM's topology.conf or topology.yaml, "
            "or what NVIDIA Topograph wrote.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The topology file to write.")
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="nodes, slurm or topograph; by default the content says it.",
        ),
    ] = None,
    load: Annotated[
        list[Path] | None,
        typer.Option(
            help="What runs in it, as kubectl get pods,jobs,… -A -o yaml; may be "
            "repeated. It goes into a second file beside the first.",
        ),
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(
            metavar="KEY,KEY,…",
            help="Label keys of switches and racks, widest first; level=KEY says which "
            "level a key is.",
        ),
    ] = None,
    rack_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=numbers.whole,
            help="Nodes in a rack where no label says it; 0 for no racks.",
        ),
    ] = None,
    machine: Annotated[
        str | None,
        typer.Option(help="What SLURM's nodes are, such as dgx-h100."),
    ] = None,
    anonymise: Annotated[
        bool, typer.Option("--anonymise", help="Replace every name.")
    ] = False,
    salt: Annotated[
        str | None,
        typer.Option(help="With the same salt the same names come out."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Its name; by default that of the output.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over files that are there.")
    ] = False,
) -> None:
    """Make a topology file of a real cluster."""
    wish = _Wish(
        file=file,
        source=source,
        load=tuple(load or ()),
        levels=tuple(filter(None, (levels or "").split(","))),
        rack_size=rack_size,
        machine=machine,
        anonymise=anonymise,
        salt=salt,
        name=name or output.name.partition(".")[0],
        output=output,
        force=force,
    )
    for line in _run(wish):
        typer.echo(line)


def _run(wish: _Wish) -> list[str]:
    """Import, write the files, and return the report."""
    from pytest_knav.topology.importers import (  # noqa: PLC0415 - for those who use it
        Anonymiser,
        load_of,
    )

    targets = _check(wish)
    salt = wish.salt or secrets.token_hex(8)
    anonymiser = Anonymiser(salt) if wish.anonymise else None
    found, names = _imported(wish, anonymiser)
    lines = found.lines
    if wish.load:
        given = (item for path in wish.load for item in _objects(path))
        load = load_of(given, names)
        lines += load.lines
        objects = anonymiser.load(load.objects) if anonymiser else load.objects
        _write(targets[1], _LOAD_HEAD + _list_of(objects), force=wish.force)
    if anonymiser is not None:
        lines += [
            "anonymised: names of nodes, places, namespaces, workloads; uids, images",
            f"kept: the values of {', '.join(anonymiser.kept) or 'no label'}",
        ]
        if wish.salt is None:
            lines.append(f"the same names come out again with --salt {salt}")
    _write(wish.output, _text_of(found, targets), force=wish.force)
    return [*lines, *(f"written: {target}" for target in targets)]


def _check(wish: _Wish) -> list[Path]:
    """Return the files to write, when they may be written."""
    if wish.salt is not None and not wish.anonymise:
        raise BadInput("--salt is for --anonymise")
    if not _NAME.fullmatch(wish.name):
        raise BadInput(
            f"--name {wish.name!r}: letters, digits, '-', '_' and '.' are allowed, the "
            "first and last a letter or digit"
        )
    targets = [wish.output]
    if wish.load:
        targets.append(wish.output.with_name(f"{wish.name}.load.yaml"))
    for target in targets:
        if target.exists() and not wish.force:
            raise BadInput(f"{target} is there already: --force writes over it")
        if target.resolve() in {path.resolve() for path in (wish.file, *wish.load)}:
            raise BadInput(f"{target} is what is imported: give another --output")
    return targets


def _imported(
    wish: _Wish, anonymiser: Anonymiser | None
) -> tuple[Imported, frozenset[str]]:
    """Return the topology, and the real names of its nodes."""
    from pytest_knav.topology.importers import (  # noqa: PLC0415 - as above
        SOURCES,
        source_of,
    )

    source = wish.source or source_of(_head(wish.file), str(wish.file))
    if source not in SOURCES:
        raise BadInput(f"--from {source!r}: use {', '.join(SOURCES)}")
    if source == "nodes":
        return _of_nodes(wish, anonymiser)
    return _of_tree(wish, source, anonymiser)


def _of_nodes(
    wish: _Wish, anonymiser: Anonymiser | None
) -> tuple[Imported, frozenset[str]]:
    from pytest_knav.topology.importers import import_nodes  # noqa: PLC0415 - as above

    if wish.machine is not None:
        raise BadInput("--machine is for SLURM and Topograph: Node objects say it")
    objects = _objects(wish.file)
    nodes = [item for item in objects if item.get("kind") == "Node"]
    if not nodes:
        raise BadInput(f"{wish.file} holds no Node objects")
    names = frozenset(str((n.get("metadata") or {}).get("name")) for n in nodes)
    levels = wish.levels
    if anonymiser is not None:
        nodes = anonymiser.nodes(nodes)
        levels = tuple(_anonymous(level, anonymiser) for level in levels)
    found = import_nodes(nodes, name=wish.name, levels=levels, rack_size=wish.rack_size)
    others = len(objects) - len(names)
    if others and wish.file not in wish.load:
        line = f"{others} objects that are no Nodes: give the file to --load as well"
        found = replace(found, dropped=(*found.dropped, line))
    return found, names


def _of_tree(
    wish: _Wish, source: str, anonymiser: Anonymiser | None
) -> tuple[Imported, frozenset[str]]:
    from pytest_knav.topology.importers import (  # noqa: PLC0415 - as above
        import_tree,
        machine_named,
        read_tree,
    )

    if wish.levels:
        raise BadInput("--levels is for Node objects: a tree of switches has its own")
    if wish.machine is None:
        raise BadInput(
            f"{wish.file} does not say what its nodes are: give --machine, such as "
            "dgx-h100"
        )
    try:
        text = wish.file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{wish.file} is no text: {error}") from error
    tree = read_tree(text, str(wish.file), source)
    names = frozenset(tree.nodes)
    if anonymiser is not None:
        tree = anonymiser.tree(tree)
    found = import_tree(
        tree,
        machine_named(wish.machine),
        name=wish.name,
        # No racks is what there is without the option.
        rack_size=wish.rack_size or None,
    )
    return found, names


def _anonymous(level: str, anonymiser: Anonymiser) -> str:
    name, equals, key = level.rpartition("=")
    return f"{name}{equals}{anonymiser.key(key)}"


def _head(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_HEAD_CHARACTERS)


def _objects(path: Path) -> list[dict[str, Any]]:
    from pytest_knav.control_plane.state import snapshot  # noqa: PLC0415 - as above

    found = snapshot.read(path, lambda text: typer.echo(text, err=True))
    if isinstance(found, list):
        return found
    raise BadInput(
        f"{path} is a state of pytest-knav: `knav cluster up --from` makes a cluster "
        "of it as it is"
    )


def _list_of(objects: Iterable[dict[str, Any]]) -> str:
    import yaml  # noqa: PLC0415 - as above

    class Dumper(yaml.CSafeDumper):
        """YAML without anchors, as kubectl writes it."""

        def ignore_aliases(self, _data: object) -> bool:
            return True

    document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, width=1000)


def _text_of(found: Imported, targets: list[Path]) -> str:
    from pytest_knav.topology.file import dump_topology  # noqa: PLC0415 - as above

    text = dump_topology(found.topology)
    return text + "".join(f"load: {target.name}\n" for target in targets[1:])


def _write(path: Path, text: str, *, force: bool) -> None:
    # Not even what came into being since the check is written over.
    with path.open("w" if force else "x", encoding="utf-8") as file:
        file.write(text)
