"""What runs in a cluster from the beginning: bound, Running, and left alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import yaml

from pytest_knav.control_plane.state import loading
from pytest_knav.control_plane.state.nodes import timestamp
from pytest_knav.control_plane.state.running import running
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.topology import Topology


def put_load(plane: ControlPlane, topology: Topology) -> None:
    """
    Put the load of a topology into a cluster that has its nodes.

    Pods with a node are Running afterwards. Those without one are the scheduler's.

    Raises:
        BadInput: The load is no list of objects, the API server refuses one, or GPUs
            are devices in this topology.
        ClusterError: It could not be put in.

    """
    if not topology.load:
        return
    if topology.dra:
        raise BadInput(
            f"topology {topology.name!r} begins with a load, whose pods have GPUs as "
            "amounts: leave dra=True away, or the load"
        )
    now = timestamp(time.time())
    objects = [
        running(one, number, now) if _is_to_run(one) else one
        for number, one in enumerate(objects_of(topology))
    ]
    try:
        loading.load(plane, objects)
    except BadInput as error:
        raise BadInput(f"the load of topology {topology.name!r}: {error}") from error


def objects_of(topology: Topology) -> list[Mapping[str, Any]]:
    """
    Return the objects of a topology's load.

    Raises:
        BadInput: It is no list of objects.

    """
    what = f"the load of topology {topology.name!r}"
    try:
        document = yaml.load(topology.load, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise BadInput(f"{what} is no YAML: {' '.join(str(error).split())}") from error
    items = document.get("items") if isinstance(document, dict) else None
    if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
        raise BadInput(f"{what} is no Kubernetes List with items")
    return items


def _is_to_run(item: Mapping[str, Any]) -> bool:
    """Return whether it is a pod on a node about whose state nothing is said."""
    spec = item.get("spec")
    if item.get("kind") != "Pod" or not isinstance(spec, dict) or item.get("status"):
        return False
    # What is wrong with it otherwise, the API server says.
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    whole = all(
        isinstance(one, dict) and {"name", "image"} <= one.keys() for one in containers
    )
    return bool(spec.get("nodeName") and spec.get("containers") and whole)
