"""Which pods use a GPU, and by what the control plane knows of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane.changes import Edit, ObjectRef, node
from pytest_knav.errors import BadInput
from pytest_knav.metrics.assignment import Assignment
from pytest_knav.topology.devices import gpu_of_device


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

DEVICE_TAINT: Final = "gpu.nvidia.com/xid"


def split(name: str) -> tuple[str, int]:
    """Return node and index of a GPU's name."""
    owner, _, index = name.rpartition("/gpu-")
    return owner, int(index)


def pods_on(world: World, targets: Sequence[str]) -> list[str]:
    """
    Return the running pods that hold a GPU, as `namespace/name`.

    With devices of DRA the API says it; with extended resources it is the pod that the
    metrics name: the lowest free GPUs in the order in which pods came.
    """
    if world.topology.dra:
        found = _of_claims(world, set(targets))
    else:
        assignment = Assignment(world.topology)
        assignment.look(world.history)
        holders = (
            assignment.holders(owner).get(index) for owner, index in map(split, targets)
        )
        found = {"/".join(holder.key) for holder in holders if holder is not None}
    live = world.history.latest("Pod").values()
    running = {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in live
        if pod.get("status", {}).get("phase") == "Running"
    }
    return sorted(found & running)


def unusable(world: World, targets: Sequence[str], value: str) -> list[Change]:
    """
    Return the changes by which a scheduler sees that GPUs cannot be used.

    Where they are devices, each gets a taint with the effect NoExecute
    (DRADeviceTaints, KEP-5055); else its node offers one less, as after a device plugin
    has called a GPU unhealthy.

    Raises:
        BadInput: A node does not offer them any more.

    """
    if world.topology.dra:
        return [_taint(world, name, value) for name in targets]
    lost = Counter(split(name)[0] for name in targets)
    return [_fewer(world, owner, count) for owner, count in lost.items()]


def _of_claims(world: World, targets: set[str]) -> set[str]:
    uids = set()
    for claim in world.history.latest("ResourceClaim").values():
        status = claim.get("status", {})
        results = status.get("allocation", {}).get("devices", {}).get("results", ())
        gpus = {gpu_of_device(r["driver"], r["pool"], r["device"]) for r in results}
        if gpus & targets:
            uids |= {user["uid"] for user in status.get("reservedFor", ())}
    pods = world.history.latest("Pod")
    return {
        f"{pods[uid]['metadata']['namespace']}/{pods[uid]['metadata']['name']}"
        for uid in uids
        if uid in pods
    }


def _taint(world: World, name: str, value: str) -> Change:
    found = _slice_of(world, name)
    if found is None:
        raise BadInput(f"{name} is in no ResourceSlice of the cluster")
    slice_name, device = found
    way = (
        "spec",
        "devices",
        {"name": device},
        "taints",
        {"key": DEVICE_TAINT, "effect": "NoExecute"},
    )
    return Edit(
        ref=ObjectRef(kind="ResourceSlice", name=slice_name),
        way=way,
        value={"key": DEVICE_TAINT, "effect": "NoExecute", "value": value},
        signal="device taint",
    )


def _slice_of(world: World, name: str) -> tuple[str, str] | None:
    for found in world.history.latest("ResourceSlice").values():
        spec = found.get("spec", {})
        for device in _devices(spec):
            if gpu_of_device(spec["driver"], spec["pool"]["name"], device) == name:
                return found["metadata"]["name"], device
    return None


def _devices(spec: dict[str, Any] | Any) -> Iterator[str]:  # noqa: ANN401 - an object
    for device in spec.get("devices", ()):
        yield device["name"]


def _fewer(world: World, owner: str, count: int) -> Change:
    resource = world.topology.node(owner).gpu_resource
    found = world.history.get("Node", "", owner) or {}
    there_are = int(found.get("status", {}).get("allocatable", {}).get(resource, 0))
    if there_are < count:
        raise BadInput(
            f"node {owner} offers {there_are} {resource}, so {count} cannot be lost"
        )
    return Edit(
        ref=node(owner),
        way=("status", "allocatable", resource),
        value=str(there_are - count),
        subresource="status",
        signal="allocatable",
    )
