"""``knav cluster``: control planes that stay, for looking around and for pytest."""

from __future__ import annotations

import shlex
from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import Annotated

import typer

from pytest_knav.commands import numbers
from pytest_knav.errors import BadInput, ClusterError


app = typer.Typer(
    name="cluster",
    help="Clusters that stay after the command: up, down, and what is there.",
    no_args_is_help=True,
)


@app.command()
def up(  # noqa: PLR0913 - one a flag
    *,
    name: Annotated[
        str, typer.Option(help="Its name on this machine.", metavar="NAME")
    ] = "knav",
    topology: Annotated[
        str,
        typer.Option(help="What is simulated.", metavar="NAME", envvar="KNAV_TOPOLOGY"),
    ] = "dgx-h100",
    nodes: Annotated[
        int | None,
        typer.Option(
            help="How many nodes; by default the topology's own number.",
            metavar="N",
            envvar="KNAV_NODES",
            parser=numbers.whole,
        ),
    ] = None,
    time_profile: Annotated[
        str,
        typer.Option(
            help="How fast failures are noticed: fast or real.",
            metavar="PROFILE",
            envvar="KNAV_TIME_PROFILE",
        ),
    ] = "fast",
    control_plane: Annotated[
        str,
        typer.Option(
            help="fast: no client rate limits, no sync to disk; plain: neither.",
            metavar="KIND",
            envvar="KNAV_CONTROL_PLANE",
        ),
    ] = "fast",
    port: Annotated[
        int | None,
        typer.Option(
            help="The API server's port; by default a free one.",
            metavar="PORT",
            parser=numbers.port,
        ),
    ] = None,
    assets: Annotated[
        Path | None,
        typer.Option(
            help="A directory of binaries to look into first.",
            metavar="DIR",
            envvar="KNAV_ASSETS",
        ),
    ] = None,
    kube_version: Annotated[
        str | None,
        typer.Option(
            help="Another version of Kubernetes, from its releases.",
            metavar="VERSION",
            envvar="KNAV_KUBE_VERSION",
        ),
    ] = None,
) -> None:
    """Make a cluster that stays; print its kubeconfig and how to use it."""
    from pytest_knav.commands.bring_up import Wish, bring_up  # noqa: PLC0415 - heavy

    wish = Wish(
        name=name,
        topology=topology,
        nodes=nodes,
        time_profile=time_profile,
        control_plane=control_plane,
        port=port,
        assets=assets,
        kube_version=kube_version,
    )
    kubeconfig = bring_up(wish, lambda text: typer.echo(text, err=True))
    typer.echo(kubeconfig)
    typer.echo(f"export KUBECONFIG={shlex.quote(str(kubeconfig))}")


@app.command(name="list")
def list_() -> None:
    """Show every cluster of yours on this machine, also those of running tests."""
    from pytest_knav.commands.inventory import table  # noqa: PLC0415 - heavy

    for line in table():
        typer.echo(line)


@app.command()
def down(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAMES]...", help="Which.")
    ] = None,
    *,
    all_: Annotated[
        bool,
        typer.Option("--all", help="All but those of tests that run right now."),
    ] = False,
) -> None:
    """End clusters and remove their files."""
    from pytest_knav.control_plane import registry  # noqa: PLC0415 - heavy

    if bool(names) == all_:
        raise BadInput("name the clusters to end, or give --all")
    if all_:
        doomed = [e for e in registry.entries() if e.owner is None or e.dead]
    else:
        doomed = [registry.find(name) for name in dict.fromkeys(names or ())]
    for entry in doomed:
        registry.remove(entry)
        typer.echo(f"removed {entry.name}")
    if not doomed:
        typer.echo("nothing to remove")


@app.command()
def prune() -> None:
    """Remove the clusters whose test run died without removing them."""
    from pytest_knav.control_plane import registry  # noqa: PLC0415 - heavy

    removed = registry.prune()
    for name in removed:
        typer.echo(f"removed {name}")
    if not removed:
        typer.echo("nothing to remove")


@app.command()
def kubeconfig(
    name: Annotated[str, typer.Argument(help="Which cluster.")] = "knav",
) -> None:
    """Print the path of a cluster's kubeconfig, and nothing else."""
    from pytest_knav.control_plane import registry  # noqa: PLC0415 - heavy

    entry = registry.find(name)
    if not entry.kubeconfig.exists():
        raise ClusterError(
            f"cluster {name!r} was never finished: "
            f"`knav cluster down {name}` removes it"
        )
    typer.echo(entry.kubeconfig)
