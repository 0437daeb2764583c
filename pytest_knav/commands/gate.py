"""``knav gate``: may this be merged, by what a stored run has shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def gate(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="A run that has ended, such as .knav/runs/latest; several count "
            "together."
        ),
    ],
    *,
    file: Annotated[
        Path,
        typer.Option(help="What a merge needs, as YAML.", metavar="FILE"),
    ] = Path("gate.yaml"),
    summary: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the answer as Markdown, for a pull request.",
            metavar="FILE",
        ),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(
            help="Keep these runs as the baseline of this name, in .knav/baselines, "
            "whatever the answer is.",
            metavar="NAME",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the answer as JSON.")
    ] = False,
) -> None:
    """
    Say whether runs have what a merge needs: BLOCK, SHIP or RERUN, and why.

    Exit code 0: SHIP; 1: BLOCK, a rule is broken; 10: RERUN, one could not be judged;
    2: the command was given something wrong. No cluster is needed.
    """
    from pytest_knav.gate import (  # noqa: PLC0415 - only if used
        judge,
        load_gate,
        read_baseline,
        read_run,
        save_baseline,
    )
    from pytest_knav.gate.summary import markdown  # noqa: PLC0415 - likewise

    asked = load_gate(file)
    run = read_run(runs)
    rule = asked.recovery_p95
    # Before it is saved: a run is not held against itself.
    baseline = read_baseline(rule.vs) if rule is not None and rule.vs else None
    answer = judge(asked, run, baseline)
    if save is not None:
        typer.echo(f"saved as {save_baseline(run, save)}", err=True)
    if summary is not None:
        summary.write_text(markdown(answer, run), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(answer.as_data(), indent=2))
    else:
        typer.echo(str(answer))
        for finding in answer.findings:
            typer.echo(f"  {finding.status:<12}  {finding.text}")
    if answer.exit_code:
        raise typer.Exit(answer.exit_code)
