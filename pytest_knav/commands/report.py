"""``knav report``: pages, pictures and traces of a stored run, without a cluster."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_knav.reports.record import TestRecord
    from pytest_knav.reports.timeline import Timeline


def report(  # noqa: PLR0913 - one for each format
    run: Annotated[
        Path,
        typer.Argument(
            help="A run, or the directory of one test in it; .knav/runs/latest is the "
            "last run."
        ),
    ],
    *,
    html: Annotated[
        bool,
        typer.Option(
            "--html", help="timeline.html, a page that needs no network; the default."
        ),
    ] = False,
    svg: Annotated[
        bool, typer.Option("--svg", help="timeline.svg, a still picture.")
    ] = False,
    png: Annotated[
        bool,
        typer.Option(
            "--png",
            help="timeline.png, the same for what shows no SVG; needs "
            "pytest-knav[png].",
        ),
    ] = False,
    perfetto: Annotated[
        bool,
        typer.Option(
            "--perfetto",
            help="timeline.perfetto.json, for ui.perfetto.dev or chrome://tracing.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to write, for a single test.  [default: the test's directory]",
            metavar="DIR",
        ),
    ] = None,
) -> None:
    """
    Write the timeline of each test of a stored run; no cluster is needed.

    Prints the path of every file that was written.
    """
    html = html or not (svg or png or perfetto)
    makers = _makers(html=html, svg=svg, png=png, perfetto=perfetto)
    tests = _tests(run)
    if output is not None and len(tests) > 1:
        raise BadInput(
            f"--output {output}: {run} has {len(tests)} tests, and their files have "
            "the same names: give the directory of one of them"
        )
    for directory in tests:
        timeline = _timeline(directory)
        target = output or directory
        target.mkdir(parents=True, exist_ok=True)
        for name, make in makers.items():
            path = target / name
            made = make(timeline)
            path.write_bytes(made if isinstance(made, bytes) else made.encode())
            typer.echo(path)


def _makers(
    *, html: bool, svg: bool, png: bool, perfetto: bool
) -> Mapping[str, Callable[[Timeline], str | bytes]]:
    from pytest_knav.reports import png as drawing  # noqa: PLC0415 - only if used
    from pytest_knav.reports import timeline  # noqa: PLC0415 - likewise

    if png:
        # Before a long history is read.
        drawing.check_png()
    every: tuple[tuple[bool, str, Callable[[Timeline], str | bytes]], ...] = (
        (html, timeline.PAGE, timeline.html),
        (svg, "timeline.svg", timeline.still),
        (png, "timeline.png", lambda found: drawing.png(timeline.still(found))),
        (perfetto, "timeline.perfetto.json", timeline.trace),
    )
    return {name: make for wanted, name, make in every if wanted}


def _tests(run: Path) -> list[Path]:
    """
    Return the directories of a run's tests that have a history.

    Raises:
        BadInput: There is none.

    """
    if not run.is_dir():
        raise BadInput(f"{run} is no directory: give a run, such as .knav/runs/latest")
    home = run.parent if run.name == "history" else run
    places = [home] if (home / "history").is_dir() else sorted(home.iterdir())
    found = [p for p in places if any((p / "history").glob("history-*.jsonl.gz"))]
    if not found:
        raise BadInput(
            f"{run} holds no history: tests that passed leave none by default, run "
            "them with --knav-keep=always"
        )
    return found


def _timeline(directory: Path) -> Timeline:
    from pytest_knav.history import read_history  # noqa: PLC0415 - only if used
    from pytest_knav.reports.timeline import read_timeline  # noqa: PLC0415 - likewise

    stored = read_history(directory / "history")
    record = _record(directory)
    found = read_timeline(stored, facts=() if record is None else record.facts())
    if stored.truncated:
        typer.echo(f"the history is not whole: {stored.truncated}", err=True)
    return found


def _record(directory: Path) -> TestRecord | None:
    """Return what is known of a test: more, if it came to its end."""
    from pytest_knav.reports.record import left_in  # noqa: PLC0415 - only if used

    return left_in(directory)
