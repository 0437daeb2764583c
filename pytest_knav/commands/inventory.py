"""What ``knav cluster list`` shows: every cluster, and whether it still works."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from pytest_knav.commands.tables import lines_of
from pytest_knav.control_plane import processes, registry
from pytest_knav.control_plane.api import Api, read_kubeconfig, total
from pytest_knav.control_plane.state.standing import standing
from pytest_knav.errors import HarnessError


if TYPE_CHECKING:
    from pytest_knav.control_plane.registry import ClusterEntry

_HEADER = ("NAME", "AGE", "STATE", "NODES", "TOPOLOGY", "API SERVER", "OWNER")
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def table() -> list[str]:
    """Return one line a cluster, with a header; one sentence when there is none."""
    rows = [_row(entry) for entry in registry.entries()]
    if not rows:
        return ["no clusters; `knav cluster up` makes one"]
    return lines_of([_HEADER, *rows])


def age(seconds: float) -> str:
    """Return an age in its two largest units: ``3d4h``, ``12m5s``."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count or parts or size == 1:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])


def state(entry: ClusterEntry) -> tuple[str, str, str]:
    """Return the state of a cluster, its number of nodes and its API server's URL."""
    if entry.dead:
        return "dead owner", "-", _server(entry)
    if not processes.of_directory(entry.directory):
        return "stopped", "-", _server(entry)
    try:
        endpoint = read_kubeconfig(entry.kubeconfig)
    except HarnessError:
        return "starting", "-", "-"
    api = Api(endpoint)
    try:
        if not api.ready():
            return "not answering", "-", endpoint.server
        how = standing(entry)
        shown = "running" if how == "moving" else how
        return shown, str(total(api, "/api/v1/nodes")), endpoint.server
    except (HarnessError, json.JSONDecodeError):
        return "not answering", "-", endpoint.server
    finally:
        api.close()


def _row(entry: ClusterEntry) -> tuple[str, ...]:
    how, nodes, server = state(entry)
    kept = "left for a next run" if entry.spare else "kept"
    owner = kept if entry.owner is None else str(entry.owner.pid)
    old = age(time.time() - entry.created)
    return entry.name, old, how, nodes, entry.description or "-", server, owner


def _server(entry: ClusterEntry) -> str:
    try:
        return read_kubeconfig(entry.kubeconfig).server
    except HarnessError:
        return "-"
