"""``knav topology``: what can be simulated, and what it consists of."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from pytest_knav.commands import numbers
from pytest_knav.commands.tables import lines_of
from pytest_knav.commands.topology_import import import_
from pytest_knav.commands.topology_render import render
from pytest_knav.errors import BadInput


app = typer.Typer(
    name="topology",
    help="The clusters that can be simulated: racks, switches, nodes, GPUs.",
    no_args_is_help=True,
)
app.command(name="import")(import_)
app.command()(render)


@app.command(name="list")
def list_() -> None:
    """Show every topology at its own size."""
    from pytest_knav.topology import PRESETS, make_topology  # noqa: PLC0415

    rows: list[tuple[str, ...]] = [("NAME", "NODES", "RACKS", "GPUS", "WHAT IT IS")]
    for name, preset in sorted(PRESETS.items()):
        made = make_topology(name)
        counts = (len(made.nodes), len(made.racks), made.gpus)
        rows.append((name, *map(str, counts), preset.title))
    for line in lines_of(rows):
        typer.echo(line)


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE", help="A name from knav topology list, or a YAML file."
        ),
    ],
    *,
    nodes: Annotated[
        int | None,
        typer.Option(
            help="How many nodes; by default its own number.",
            metavar="N",
            parser=numbers.whole,
        ),
    ] = None,
    node: Annotated[
        str | None,
        typer.Option(help="Show this node alone, and all about it.", metavar="NAME"),
    ] = None,
    depth: Annotated[
        str,
        typer.Option(
            help="Where the tree ends: zone, spine, leaf, rack, node or inside (one).",
            metavar="LEVEL",
        ),
    ] = "inside",
) -> None:
    """Show a topology as a tree, equal parts folded; lines are cut in a terminal."""
    from pytest_knav.topology import make_topology  # noqa: PLC0415
    from pytest_knav.topology.picture import describe  # noqa: PLC0415
    from pytest_knav.topology.picture.tree import DEPTHS  # noqa: PLC0415

    chosen = next((one for one in DEPTHS if one == depth), None)
    if chosen is None:
        raise BadInput(f"--depth {depth}: use one of {', '.join(DEPTHS)}")
    topology = make_topology(name, nodes)
    if node is not None and node not in {one.name for one in topology.nodes}:
        first, last = topology.nodes[0].name, topology.nodes[-1].name
        raise BadInput(
            f"--node {node}: {name} has none of that name; it has "
            f"{len(topology.nodes):,}, {first} to {last}"
        )
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in describe(topology, depth=chosen, node=node, width=width):
        typer.echo(line)


@app.command()
def schema() -> None:
    """
    Print the JSON Schema of topology files, for editors.

    In VS Code and others with yaml-language-server, save it and begin a file with
    `# yaml-language-server: $schema=<where it was saved>`.
    """
    import json  # noqa: PLC0415 - only here

    from pytest_knav.topology.file import json_schema  # noqa: PLC0415 - pydantic

    typer.echo(json.dumps(json_schema(), indent=2))
