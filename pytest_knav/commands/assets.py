"""``knav assets``: get the binaries of the control plane before a test does."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pytest_knav.control_plane.assets import (
    ALL,
    CONTROL_PLANE,
    ON_REQUEST,
    AssetStatus,
    AssetStore,
    StreamProgress,
    disk,
    hosts,
)
from pytest_knav.control_plane.assets.progress import duration
from pytest_knav.errors import AssetError


app = typer.Typer(
    name="assets",
    help="The binaries of the control plane: what is there, and getting the rest.",
    no_args_is_help=True,
)

_KubeVersion = Annotated[
    str | None,
    typer.Option(
        help="Another version of Kubernetes, from its releases.",
        envvar="KNAV_KUBE_VERSION",
        metavar="VERSION",
    ),
]
_Source = Annotated[
    Path | None,
    typer.Option(
        "--assets",
        help="A directory of binaries to look into first.",
        envvar="KNAV_ASSETS",
        metavar="DIR",
    ),
]


@app.command()
def install(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAMES]...",
            help=f"Binaries, or 'all'. By default {', '.join(CONTROL_PLANE)}.",
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            help="Copy them into a directory too, for --knav-assets elsewhere.",
            metavar="DIR",
        ),
    ] = None,
    kube_version: _KubeVersion = None,
    assets: _Source = None,
) -> None:
    """Fetch or build binaries, so that the first test need not."""
    # Somebody asks by hand, so hosts that failed a minute ago get another chance.
    hosts.forget()
    store = AssetStore(
        directory=assets,
        kube_version=kube_version,
        progress=StreamProgress(sys.stderr),
    )
    wanted = ALL if names == ["all"] else tuple(names or CONTROL_PLANE)
    paths = store.paths(*wanted)
    if directory is not None:
        paths = {name: _copy(path, directory) for name, path in paths.items()}
    for name, path in paths.items():
        typer.echo(f"{name} {path}")


@app.command(name="list")
def list_(kube_version: _KubeVersion = None, assets: _Source = None) -> None:
    """Show every binary: its version, and where it is or would come from."""
    store = AssetStore(directory=assets, kube_version=kube_version)
    rows = [_row(store.status(name)) for name in (*ALL, *ON_REQUEST)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


@app.command()
def path(
    name: Annotated[str, typer.Argument(help="The binary.")],
    kube_version: _KubeVersion = None,
    assets: _Source = None,
) -> None:
    """Print the path of a binary that is here already; fetch nothing."""
    status = AssetStore(directory=assets, kube_version=kube_version).status(name)
    if status.path is None:
        raise AssetError(
            f"{name} {status.version} is not on this machine: "
            f"run knav assets install {name}"
        )
    typer.echo(str(status.path))


def _row(status: AssetStatus) -> tuple[str, str, str, str]:
    where = str(status.path) if status.path else f"({status.detail})"
    origin = status.origin
    if status.path is None and status.estimate_s:
        origin_text = f"{origin}, about {duration(status.estimate_s)}"
    else:
        origin_text = origin
    return status.name, status.version, origin_text, where


def _copy(source: Path, directory: Path) -> Path:
    target = directory.absolute() / source.name
    if target == source:
        return target
    needed = source.stat().st_size
    purpose = f"a copy of {source.name}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        disk.require([target.parent], needed, purpose=purpose)
        with (
            disk.explained(target.parent, needed, purpose=purpose),
            tempfile.TemporaryDirectory(prefix=".knav-", dir=target.parent) as near,
        ):
            return Path(shutil.copy2(source, near)).rename(target)
    except OSError as error:
        raise AssetError(f"{target} cannot be written: {error}") from error
