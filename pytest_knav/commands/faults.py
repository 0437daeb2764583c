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
    for name, fault in _catalogue().items():
        card = fault.card
        rows.append((name, card.family, card.layer, card.stands_for))
    for line in lines_of(rows):
        typer.echo(line)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name from knav faults list.")],
) -> None:
    """Show what a fault changes, by what it is seen, and what it certifies."""
    faults = _catalogue()
    if name not in faults:
        raise BadInput(f"fault {name!r} is unknown: use one of {', '.join(faults)}")
    card = faults[name].card
    typer.echo(f"{name}({', '.join(inspect.signature(faults[name]).parameters)})\n")
    typer.echo(inspect.getdoc(faults[name]))
    typer.echo(f"\nFamily: {card.family}, layer: {card.layer}.")
    typer.echo(f"Signals: {', '.join(card.signals)}.")
    typer.echo(f"Stands for: {card.stands_for}.")
    typer.echo(f"Known from: {card.source}.")
    typer.echo(f"Lasts: {card.lasts}. Taken back: {card.undone}.")
    typer.echo(f"Certifies: {card.certifies}.")
    typer.echo(f"Does not certify: {card.does_not_certify}.")


def _catalogue() -> dict[str, type[Fault]]:
    # With the modules of all families.
    from pytest_knav.faults.catalogue import catalogue  # noqa: PLC0415

    return catalogue()
