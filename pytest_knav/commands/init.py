"""``knav init``: a first test file that runs as it is, with a green and a red test."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from pytest_knav.errors import BadInput


FILE_NAME = "test_chaos.py"
_TEMPLATE = "test_chaos.py.txt"


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where to; made if need be.")
    ] = Path(),
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite a file that is there.")
    ] = False,
) -> None:
    """Write a commented test file: one chaos test that passes, one that fails."""
    target = directory / FILE_NAME
    if target.exists() and not force:
        raise BadInput(f"{target} exists: move it away, or overwrite it with --force")
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is not a directory")
    directory.mkdir(parents=True, exist_ok=True)
    target.write_text(template())
    where = "" if directory == Path() else f"cd {directory} && "
    typer.echo(f"wrote {target}")
    typer.echo(f"run it:  {where}pytest -m chaos")
    typer.echo("One test passes, the other fails on purpose; the file says why.")
    typer.echo("Runs leave their histories in .knav/: put that into .gitignore.")


def template() -> str:
    """Return the text of the test file."""
    folder = resources.files("pytest_knav.commands") / "templates"
    return (folder / _TEMPLATE).read_text()
