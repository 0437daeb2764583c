"""``knav selfbench``: what pytest-knav costs and gains, beside plain kwokctl."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import Annotated

import typer

from pytest_knav.commands import numbers


def selfbench(  # noqa: PLR0913 - one a flag
    *,
    size: Annotated[
        str,
        typer.Option(
            help="small (100 nodes, 1,000 pods), 1k (ten times as many) or 5k.",
            metavar="SIZE",
        ),
    ] = "small",
    rounds: Annotated[
        int,
        typer.Option(
            help="How often each case is measured; the median counts.",
            metavar="N",
            parser=numbers.whole,
        ),
    ] = 3,
    plain: Annotated[
        bool | None,
        typer.Option(
            "--plain/--no-plain",
            help="Also plain kwokctl. On by default, but at 5k, where it takes long.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="One case with what it needs; can be given again.", metavar="CASE"
        ),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="Write all figures there as JSON.", metavar="FILE"),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(help="Write the tables there as Markdown.", metavar="FILE"),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Write cost against size there as SVG.", metavar="FILE"),
    ] = None,
    from_: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help="Measure nothing, show what --json wrote; can be given again.",
            metavar="FILE",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 when a target is missed.")
    ] = False,
    assets: Annotated[
        Path | None,
        typer.Option(
            help="A directory of binaries to look into first.",
            metavar="DIR",
            envvar="KNAV_ASSETS",
        ),
    ] = None,
) -> None:
    """Measure speed, CPU and memory of clusters, ours and plain kwokctl's."""
    from pytest_knav.selfbench.command import Wish, selfbench  # noqa: PLC0415 - heavy

    wish = Wish(
        size=size,
        rounds=rounds,
        plain=plain,
        only=tuple(only or ()),
        json=json,
        write=write,
        plot=plot,
        sources=tuple(from_ or ()),
        check=check,
        assets=assets,
    )
    code = selfbench(wish, typer.echo)
    if code:
        raise typer.Exit(code)
