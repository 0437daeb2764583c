"""``knav exclusion-score``: ways of exclusion side by side, simulated and tried."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import Annotated

import typer

from pytest_knav.errors import BadInput


def exclusion_score(  # noqa: PLR0913 - one for each option
    *,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="How many seeds.")] = 5,
    gpu_hours: Annotated[
        float, typer.Option(min=0, help="GPU-hours that a pod has used when it fails.")
    ] = 8.0,
    external: Annotated[
        str,
        typer.Option(
            help="Your controller, tried on a real control plane beside none and "
            "bayes; {kubeconfig} stands for the cluster's.",
            metavar="COMMAND",
        ),
    ] = "",
    by: Annotated[
        str,
        typer.Option(
            help="What it does to a node: taint:KEY, cordon, label:KEY[=VALUE], "
            "condition:TYPE or unused.",
            metavar="WAY",
        ),
    ] = "",
    plot: Annotated[
        Path | None,
        typer.Option(help="Write the curves there as SVG.", metavar="FILE"),
    ] = None,
    assets: Annotated[
        Path | None,
        typer.Option(
            help="A directory of binaries to look into first.",
            metavar="DIR",
            envvar="KNAV_ASSETS",
        ),
    ] = None,
) -> None:
    """
    Compare no exclusion and every estimator on the same seeded lemon histories.

    A simulation of 100 nodes without a cluster: lemons found, failed pods and seconds
    until then, good nodes excluded, goodput and lost GPU-hours, as a Markdown table.
    With --external two courses follow on a real control plane of 12 nodes, about a
    minute for each seed and side, the same lemons for each; the most seeds are 5.
    """
    from pytest_knav.checks.exclusion import check_way  # noqa: PLC0415 - if asked for
    from pytest_knav.exclusion.curves import svg  # noqa: PLC0415 - likewise
    from pytest_knav.exclusion.score import scores, table  # noqa: PLC0415 - likewise

    if bool(external) != bool(by):
        raise BadInput(
            f"--external={external!r} --by={by!r}: give both: the command, and what it "
            "does to a node, such as --by=cordon"
        )
    if by:
        check_way(by)
    if plot is not None and not plot.parent.is_dir():
        raise BadInput(f"--plot={plot}: there is no directory {plot.parent}")
    found = []
    if external:
        from pytest_knav.commands.exclusion_trial import trial  # noqa: PLC0415 - heavy

        found += trial(
            external,
            by,
            seeds=range(min(seeds, 5)),
            gpu_hours=gpu_hours,
            assets=assets,
            say=lambda text: typer.echo(text, err=True),
        )
    found = [*scores(range(seeds), gpu_hours), *found]
    typer.echo(table(found), nl=False)
    if plot is not None:
        plot.write_text(svg(found))
