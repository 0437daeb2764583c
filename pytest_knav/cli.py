"""
The `knav` command: its sub-commands put together, its errors made readable.

A command that fails says why in one message on stderr. Exit codes: 1 something could
not be done, 2 the command was given something wrong, 130 interrupted.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_knav import __version__
from pytest_knav.commands import assets, cluster, faults, topology
from pytest_knav.commands.check import check
from pytest_knav.commands.compare import compare
from pytest_knav.commands.doctor import doctor
from pytest_knav.commands.exclusion import exclusion
from pytest_knav.commands.exclusion_score import exclusion_score
from pytest_knav.commands.gate import gate
from pytest_knav.commands.init import init
from pytest_knav.commands.report import report
from pytest_knav.commands.selfbench import selfbench
from pytest_knav.errors import BadInput, HarnessError


if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn


app = typer.Typer(
    name="knav",
    help="Chaos tests for the schedulers of GPU clusters: what surrounds pytest.",
    no_args_is_help=True,
    add_completion=False,
    # Plain text costs half the time to load and reads the same in a log.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(init)
app.command()(doctor)
app.command()(selfbench)
app.command()(compare)
app.command()(exclusion)
app.command()(exclusion_score)
app.command()(check)
app.command()(report)
app.command()(gate)
app.add_typer(assets.app)
app.add_typer(cluster.app)
app.add_typer(topology.app)
app.add_typer(faults.app)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - Typer calls it
    if wanted:
        typer.echo(f"pytest-knav {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run the command line and exit; the entry point of the script `knav`."""
    # A CI system ends a job with SIGTERM: clean up as for Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app(prog_name="knav")
    except HarnessError as error:
        _fail(str(error), 2 if isinstance(error, BadInput) else 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}", 1)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"knav: {message}", err=True)
    sys.exit(code)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
