"""``knav cluster``: control planes that stay, for looking around and for pytest."""

from __future__ import annotations

import functools
import shlex
from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import Annotated

import typer

from pytest_knav.commands import numbers
from pytest_knav.errors import BadInput, ClusterError


app = typer.Typer(
    name="cluster",
    help="Clusters that stay after the command: up, down, saved, restored.",
    no_args_is_help=True,
)

_Which = Annotated[str, typer.Argument(metavar="[NAME]", help="Which cluster.")]
_From = (
    "A state from `save`, the directory of a run in which a test failed, or objects "
    "from `kwokctl snapshot save --format k8s`."
)
_Live = typer.Option("--live", help="Let everything run; else nothing moves in it.")


@app.command()
def up(  # noqa: PLR0913 - one a flag
    *,
    name: Annotated[
        str, typer.Option(help="Its name on this machine.", metavar="NAME")
    ] = "knav",
    topology: Annotated[
        str | None,
        typer.Option(
            help="What is simulated.  [default: dgx-h100]",
            metavar="NAME",
            envvar="KNAV_TOPOLOGY",
        ),
    ] = None,
    nodes: Annotated[
        int | None,
        typer.Option(
            help="How many nodes; by default the topology's own number.",
            metavar="N",
            envvar="KNAV_NODES",
            parser=numbers.whole,
        ),
    ] = None,
    dra: Annotated[
        bool,
        typer.Option(
            "--dra",
            help="GPUs as devices of dynamic resource allocation: ResourceSlices in "
            "place of amounts of the nodes.",
        ),
    ] = False,
    time_profile: Annotated[
        str | None,
        typer.Option(
            help="How fast failures are noticed: fast or real.  [default: fast]",
            metavar="PROFILE",
            envvar="KNAV_TIME_PROFILE",
        ),
    ] = None,
    control_plane: Annotated[
        str | None,
        typer.Option(
            help="fast: no client rate limits, no sync to disk; plain: neither.  "
            "[default: fast]",
            metavar="KIND",
            envvar="KNAV_CONTROL_PLANE",
        ),
    ] = None,
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
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help=f"Begin with what is kept: {_From}", metavar="FILE"
        ),
    ] = None,
    live: Annotated[bool, _Live] = False,
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
        source=source,
        live=live,
        dra=dra,
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
def save(
    name: _Which = "knav",
    *,
    to: Annotated[Path, typer.Option(help="The file to write.", metavar="FILE")],
) -> None:
    """Write the state of a cluster to a file: every object as it is now."""
    from pytest_knav.commands import states  # noqa: PLC0415 - heavy

    typer.echo(states.save(name, to))


@app.command()
def restore(
    name: _Which = "knav",
    *,
    source: Annotated[Path, typer.Option("--from", help=_From, metavar="FILE")],
    live: Annotated[bool, _Live] = False,
) -> None:
    """Make a cluster hold what a file holds, and nothing else; then hold it still."""
    from pytest_knav.commands import states  # noqa: PLC0415 - heavy

    say = functools.partial(typer.echo, err=True)
    for line in states.restore(name, source, say, live=live):
        typer.echo(line)


@app.command()
def wake(name: _Which = "knav") -> None:
    """Let a cluster go on that `restore` or `up --from` holds still."""
    from pytest_knav.commands import states  # noqa: PLC0415 - heavy

    typer.echo(states.wake(name))


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
