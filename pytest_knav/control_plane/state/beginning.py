"""The state that the tests of a topology begin with: nodes Ready, its load Running."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane.state import nodes, slices
from pytest_knav.control_plane.state.begin_load import put_load
from pytest_knav.control_plane.state.model import SUFFIX, VERSION, State
from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.homes import cache_home
from pytest_knav.topology.devices import device_classes, resource_slices


if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.topology import Topology

# What is kept on disk, the least lately used going first.
FILES_MAX: Final = 16
BYTES_MAX: Final = 1024**3
# A write takes seconds; what is as old as this was left by a process that was killed.
_UNFINISHED_S: Final = 3600.0


def begin(plane: ControlPlane, topology: Topology) -> State:
    """
    Bring a cluster without nodes to the beginning of a topology, and return that state.

    A state from an earlier session is taken when there is one of just this kind.

    Raises:
        ClusterError: The nodes did not become Ready.

    """
    path = cached(plane, topology)
    state = _from_cache(path, plane)
    if state is not None:
        return plane.states.begin(state)
    state = add_nodes(plane, topology, [node.name for node in topology.nodes])
    if topology.load:
        put_load(plane, topology)
        state = plane.states.save()
    # Whoever cannot write a cache is slower next time, and that is all.
    with suppress(ClusterError, OSError):
        state.write(path)
        trim(path.parent)
    return state


def add_nodes(plane: ControlPlane, topology: Topology, names: Iterable[str]) -> State:
    """
    Make nodes of a topology; return the state with them when they are Ready.

    Raises:
        ClusterError: One is not usable in time.

    """
    wanted = list(names)
    if not wanted:
        return plane.states.save()
    nodes.make_models(
        plane.api,
        topology,
        wanted,
        lease_s=plane.profile.lease_s,
        revive=plane.states.revive_kubelets,
    )
    found = plane.api.get("/api/v1/nodes")["items"]
    missing = set(wanted) - {node["metadata"]["name"] for node in found}
    made = nodes.copies(topology, missing, found, lease_s=plane.profile.lease_s)
    devices = slices.make(plane.api, topology, found, made)
    state = plane.states.save()
    return plane.states.begin(
        replace(state, values={**devices, **state.values, **made})
    )


def cached(plane: ControlPlane, topology: Topology) -> Path:
    """Return the file of a beginning: named after everything that shapes it."""
    stages = (resources.files("pytest_knav.control_plane") / "stages.yaml").read_text()
    # With a node as it is made now, so that a change of the code makes states anew.
    made = [nodes.manifest_of(node) for node in topology.nodes[:1]]
    if topology.dra:
        made += resource_slices(topology.nodes[0], "")
        made += device_classes(topology)
    shaped_by = (VERSION, plane.entry.key, stages, topology.fingerprint, made)
    digest = hashlib.sha256(repr(shaped_by).encode()).hexdigest()[:12]
    name = f"{topology.name}-{len(topology.nodes)}-{digest}{SUFFIX}"
    return cache_home() / "states" / name


def trim(directory: Path, *, files: int = FILES_MAX, size: int = BYTES_MAX) -> None:
    """
    Remove the least lately used states above a number of files and bytes.

    And what is left of writers that were killed.
    """
    for path in directory.glob(f".*{SUFFIX}-*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _UNFINISHED_S:
                path.unlink()
    found = []
    for path in directory.glob(f"*{SUFFIX}"):
        with suppress(FileNotFoundError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    used = 0
    for kept, (_, length, path) in enumerate(sorted(found, reverse=True), start=1):
        used += length
        if kept > files or used > size:
            path.unlink(missing_ok=True)


def _from_cache(path: Path, plane: ControlPlane) -> State | None:
    try:
        state = State.read(path)
        plane.states.check(state)
        os.utime(path)
    except (BadInput, OSError):
        # There is none, or it is damaged: made anew and written again.
        return None
    return state
