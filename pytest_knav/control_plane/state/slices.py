"""
ResourceSlices by the thousand: the API server is asked about one of each kind.

So it has judged them and said what it adds; a thousand nodes cost one question.
"""

from __future__ import annotations

import functools
import json
import time
import uuid
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane.state import nodes
from pytest_knav.control_plane.state.shapes import completed
from pytest_knav.topology.devices import device_classes, resource_slices


if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from pytest_knav.control_plane.api import Api, JsonObject
    from pytest_knav.topology import NodeSpec, Topology

PREFIX: Final = "/registry/resourceslices/"
_SLICES: Final = "/apis/resource.k8s.io/v1/resourceslices"
_CLASSES: Final = "/apis/resource.k8s.io/v1/deviceclasses"
_DRY_RUN: Final = "dryRun=All&fieldValidation=Strict"


def make(
    api: Api,
    topology: Topology,
    found: Sequence[JsonObject],
    copied: Mapping[str, bytes],
) -> dict[str, bytes]:
    """
    Make the DeviceClasses of a topology, and return the stored keys of its slices.

    Args:
        api: The API server.
        topology: What is simulated; without DRA there is nothing to make.
        found: The Node objects that are there.
        copied: The stored keys of nodes that are to come.

    Raises:
        ClusterError: The API server refused one.

    """
    if not topology.dra:
        return {}
    api.each(
        functools.partial(_create_missing, api, one) for one in device_classes(topology)
    )
    uids = {node["metadata"]["name"]: node["metadata"]["uid"] for node in found}
    for key, value in copied.items():
        if key.startswith(nodes.PREFIX):
            uid = json.loads(value)["metadata"]["uid"]
            uids[key.removeprefix(nodes.PREFIX)] = uid
    specs = [node for node in topology.nodes if node.name in uids]
    return _completed(
        api, [(_kind(n), resource_slices(n, uids[n.name])) for n in specs]
    )


def _completed(
    api: Api, wanted: Iterable[tuple[Hashable, list[JsonObject]]]
) -> dict[str, bytes]:
    values: dict[str, bytes] = {}
    now = nodes.timestamp(time.time())
    asked: dict[tuple[Hashable, int], tuple[JsonObject, JsonObject]] = {}
    for kind, slices in wanted:
        for number, one in enumerate(slices):
            if (kind, number) not in asked:
                answer = api.create(f"{_SLICES}?{_DRY_RUN}", one)
                asked[kind, number] = (one, answer)
            given, answer = asked[kind, number]
            own = {"uid": str(uuid.uuid4()), "creationTimestamp": now}
            born = {**one, "metadata": {**one["metadata"], **own}}
            made = completed(born, given, answer)
            values[PREFIX + one["metadata"]["name"]] = json.dumps(made).encode()
    return values


def _kind(node: NodeSpec) -> Hashable:
    """Return what nodes have in common whose devices have the same fields."""
    machine = node.machine
    return machine.gpu, machine.mig, len(machine.gpus), bool(node.nvlink_domain)


def _create_missing(api: Api, body: JsonObject) -> JsonObject:
    there = api.get_or_none(f"{_CLASSES}/{body['metadata']['name']}")
    return api.create(_CLASSES, body) if there is None else there
