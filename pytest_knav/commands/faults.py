"""``knav faults``: what can be broken, what it stands for, what it proves."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_knav.commands.tables import lines_of
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from pytest_knav.faults import Fault

app = typer.Typer(
    name="faults",
    help="The faults: what each changes, stands for and certifies.",
    no_args_is_help=True,
)


@app.command(name="list")
def list_() -> None:
    """Show every fault with the failures that it stands for."""
    rows = [("NAME", "FAMILY", "LAYER", "STANDS FOR")]
    for name, fault in known().items():
        card = fault.card
        rows.append((name, card.family, card.layer, card.stands_for))
    for line in lines_of(rows):
        typer.echo(line)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name from knav faults list.")],
) -> None:
    """Show what a fault changes, by what it is seen, and what it certifies."""
    faults = known()
    if name not in faults:
        raise BadInput(f"fault {name!r} is unknown: use one of {', '.join(faults)}")
    card = faults[name].card
    typer.echo(f"{name}({', '.join(inspect.signature(faults[name]).parameters)})\n")
    typer.echo(inspect.getdoc(faults[name]))
    typer.echo(f"\nFamily: {card.family}, layer: {card.layer}.")
    typer.echo(f"Signals: {', '.join(card.signals)}.")
    typer.echo(f"Certifies: {card.certifies}.")


def known() -> dict[str, type[Fault]]:
    """Return every public fault by name: by family, then by name."""
    from pytest_knav import faults  # noqa: PLC0415 - with the modules of all families

    public = [getattr(faults, name) for name in faults.__all__]
    found = [
        thing
        for thing in public
        if inspect.isclass(thing)
        and issubclass(thing, faults.Fault)
        and not inspect.isabstract(thing)
    ]
    found.sort(key=lambda fault: (fault.card.family, fault.__name__))
    return {fault.__name__: fault for fault in found}
