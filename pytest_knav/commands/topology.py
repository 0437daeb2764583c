"""``knav topology``: what can be simulated, and what it consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pytest_knav.commands import numbers
from pytest_knav.commands.tables import lines_of


if TYPE_CHECKING:
    from pytest_knav.topology import Topology

app = typer.Typer(
    name="topology",
    help="The clusters that can be simulated: racks, nodes, GPUs.",
    no_args_is_help=True,
)
_RACKS_SHOWN = 8


@app.command(name="list")
def list_() -> None:
    """Show every topology at its own size."""
    from pytest_knav.topology import PRESETS, make_topology  # noqa: PLC0415

    rows: list[tuple[str, ...]] = [("NAME", "NODES", "RACKS", "GPUS", "SOURCE")]
    for name in sorted(PRESETS):
        made = make_topology(name)
        counts = (len(made.nodes), len(made.racks), made.gpus)
        rows.append((name, *map(str, counts), made.source))
    for line in lines_of(rows):
        typer.echo(line)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name from knav topology list.")],
    nodes: Annotated[
        int | None,
        typer.Option(
            help="How many nodes; by default its own number.",
            metavar="N",
            parser=numbers.whole,
        ),
    ] = None,
) -> None:
    """Show racks, nodes and labels of a topology."""
    from pytest_knav.topology import make_topology  # noqa: PLC0415

    for line in describe(make_topology(name, nodes)):
        typer.echo(line)


def describe(topology: Topology) -> list[str]:
    """Return a topology in words: totals, one node with its labels, the racks."""
    first = topology.nodes[0]
    racks = topology.racks
    counts = f"{len(topology.nodes)} nodes in {len(racks)} racks, {topology.gpus} GPUs"
    gpus = f"{first.gpus} {first.gpu_resource}"
    rest = f"{first.cpus} cpu, {first.memory_gib} GiB memory, at most {first.pods} pods"
    lines = [
        f"{topology.name}: {counts}",
        f"source: {topology.source}",
        "",
        f"a node, such as {first.name}:",
        f"  {gpus}, {rest}",
        *(f"  {key}={value}" for key, value in first.labels),
        "",
        "racks:",
        *(
            f"  {rack.name}: {rack.nodes[0]} to {rack.nodes[-1]} ({len(rack.nodes)})"
            for rack in racks[:_RACKS_SHOWN]
        ),
    ]
    if len(racks) > _RACKS_SHOWN:
        lines.append(f"  and {len(racks) - _RACKS_SHOWN} more, to {racks[-1].name}")
    return lines
