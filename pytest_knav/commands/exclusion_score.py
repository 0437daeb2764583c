"""``knav exclusion-score``: the estimators side by side, by simulation."""

from __future__ import annotations

from typing import Annotated

import typer


def exclusion_score(
    seeds: Annotated[int, typer.Option(min=1, max=100, help="How many seeds.")] = 5,
    gpu_hours: Annotated[
        float, typer.Option(min=0, help="GPU-hours that a pod has used when it fails.")
    ] = 8.0,
) -> None:
    """
    Compare no exclusion and every estimator on the same seeded lemon histories.

    A simulation of 100 nodes without a cluster: lemons found, failed pods until then,
    good nodes excluded, goodput and lost GPU-hours, as a Markdown table.
    """
    from pytest_knav.exclusion.score import scores, table  # noqa: PLC0415 - if asked for

    typer.echo(table(scores(range(seeds), gpu_hours)), nl=False)
