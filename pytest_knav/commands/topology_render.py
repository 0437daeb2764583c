"""``knav topology render``: a topology as an SVG, as it is bought or as it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_knav.commands import numbers
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from pytest_knav.topology import Topology
    from pytest_knav.topology.picture import Status

_NAMES_SHOWN = 5


def render(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE", help="A name from knav topology list, or a YAML file."
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to write it; - for standard output; a name that ends in .png "
            "makes it one (needs pytest-knav[png]).  [default: <name>.svg]",
            metavar="FILE",
        ),
    ] = None,
    nodes: Annotated[
        int | None,
        typer.Option(
            help="How many; by default as many as the cluster has, or its own number.",
            metavar="N",
            parser=numbers.whole,
        ),
    ] = None,
    kubeconfig: Annotated[
        str | None,
        typer.Option(
            help="Colour it by what runs there now: a kubeconfig, or a name from "
            "knav cluster list.",
            metavar="FILE|NAME",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Colour it by a test's history: the directory of its artifacts.",
            metavar="DIR",
        ),
    ] = None,
) -> None:
    """
    Draw racks, switches, nodes and GPUs as an SVG, or as a PNG.

    With a cluster or a test, colours and marks say who has which GPU and what is
    broken; of a test, as it was just before its first fault was taken back.
    """
    text = _svg(name, nodes, kubeconfig, run)
    if str(output) == "-":
        typer.echo(text, nl=False)
        return
    path = output or Path(f"{Path(name).stem}.svg")
    path.write_bytes(_png(text) if path.suffix == ".png" else text.encode())
    typer.echo(path)


def _png(svg: str) -> bytes:
    from pytest_knav.reports.png import png  # noqa: PLC0415 - only if used

    return png(svg)


def _svg(name: str, nodes: int | None, kubeconfig: str | None, run: Path | None) -> str:
    from pytest_knav.topology import make_topology  # noqa: PLC0415 - only if used
    from pytest_knav.topology.picture import svg  # noqa: PLC0415 - as above

    if kubeconfig is not None and run is not None:
        raise BadInput("--kubeconfig and --run: give one of them")
    if kubeconfig is not None:
        return _of_cluster(name, nodes, kubeconfig)
    if run is not None:
        return _of_test(name, nodes, run)
    return svg(make_topology(name, nodes))


def _of_cluster(name: str, nodes: int | None, kubeconfig: str) -> str:
    import time  # noqa: PLC0415 - only here

    from pytest_knav.control_plane import registry  # noqa: PLC0415 - heavy
    from pytest_knav.control_plane.api import Api, read_kubeconfig  # noqa: PLC0415
    from pytest_knav.reports.topology_picture import (  # noqa: PLC0415 - as above
        status_of,
    )
    from pytest_knav.topology.picture import svg  # noqa: PLC0415 - as above

    path = Path(kubeconfig)
    if not path.is_file():
        path = registry.find(kubeconfig).kubeconfig
    api = Api(read_kubeconfig(path))
    try:
        objects = {
            kind: (api.get_or_none(where) or {}).get("items", [])
            for kind, where in _lists().items()
        }
    finally:
        api.close()
    names = [node["metadata"]["name"] for node in objects["Node"]]
    topology = _matching(name, nodes, names, f"cluster {kubeconfig}")
    moment = f"{kubeconfig}, {time.strftime('%Y-%m-%d %H:%M:%S')}"
    status: Status = status_of(topology, objects, moment=moment)
    return svg(topology, status)


def _lists() -> dict[str, str]:
    """Return the lists of the API that a picture is made from, by kind."""
    from pytest_knav.history.resources import DEFAULT_RESOURCES  # noqa: PLC0415
    from pytest_knav.reports.topology_picture import KINDS  # noqa: PLC0415

    return {one.kind: one.path for one in DEFAULT_RESOURCES if one.kind in KINDS}


def _of_test(name: str, nodes: int | None, run: Path) -> str:
    from pytest_knav.history import History  # noqa: PLC0415 - only if used
    from pytest_knav.reports.topology_picture import picture  # noqa: PLC0415

    history = History.load(_history_in(run))
    names = [node["metadata"]["name"] for node in history.latest("Node").values()]
    return picture(_matching(name, nodes, names, f"--run {run}"), history)


def _history_in(run: Path) -> Path:
    if (run / "history").is_dir():
        return run / "history"
    inner = sorted(path.parent.name for path in run.glob("*/history"))
    if inner:
        more = f" and {len(inner) - _NAMES_SHOWN} more"
        shown = ", ".join(inner[:_NAMES_SHOWN])
        raise BadInput(
            f"--run {run} has several tests: give the directory of one: "
            f"{shown}{more if len(inner) > _NAMES_SHOWN else ''}"
        )
    raise BadInput(
        f"--run {run} has no history: give the artifacts of a test, as its failure "
        "names them; --knav-keep always keeps those of passed tests"
    )


def _matching(name: str, nodes: int | None, names: list[str], where: str) -> Topology:
    """Return the topology, checked to be the one that these nodes are of."""
    from pytest_knav.topology import PRESETS, make_topology  # noqa: PLC0415

    if nodes is None and name in PRESETS and names:
        nodes = len(names)
    topology = make_topology(name, nodes)
    known = {node.name for node in topology.nodes}
    if not known & set(names):
        raise BadInput(
            f"{where} has no node of topology {name!r}: it has "
            f"{', '.join(names[:_NAMES_SHOWN]) or 'none'}, and the topology "
            f"{', '.join(sorted(known)[:_NAMES_SHOWN])}"
        )
    return topology
