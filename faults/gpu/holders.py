"""Which pods use a GPU, and by what the control plane knows of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from pytest_knav.control_plane.changes import Create, Edit, ObjectRef, node
from pytest_knav.errors import BadInput
from pytest_knav.metrics.assignment import Assignment
from pytest_knav.topology.devices import gpu_of_device


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

By = Literal["slice", "rule"]
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


def unusable(
    world: World, targets: Sequence[str], value: str, by: By = "slice"
) -> list[Change]:
    """
    Return the changes by which a scheduler sees that GPUs cannot be used.

    Where they are devices, each gets a taint with the effect NoExecute
    (DRADeviceTaints, KEP-5055); else its node offers one less, as after a device plugin
    has called a GPU unhealthy.

    Args:
        world: The cluster.
        targets: The GPUs.
        value: Of the taints: the XID.
        by: Who taints devices: `slice`, their driver in the ResourceSlice, or `rule`,
            an operator by a DeviceTaintRule.

    Raises:
        BadInput: A node does not offer them any more.

    """
    if world.topology.dra:
        make = _rule if by == "rule" else _taint
        return [make(world, name, value) for name in targets]
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


def check_by(fault: str, by: object) -> None:
    """
    Return when devices can be tainted by it.

    Raises:
        BadInput: They cannot.

    """
    if by not in get_args(By):
        raise BadInput(f"{fault}(by={by!r}): use one of {', '.join(get_args(By))}")


def check_gpus(
    fault: str, world: World, targets: Sequence[str], by: By = "slice"
) -> None:
    """
    Return when the GPUs are still offered, and this cluster can taint them that way.

    Raises:
        BadInput: One has failed already, its node is gone, or there are no devices.

    """
    for name in targets:
        owner, _ = split(name)
        if world.history.get("Node", "", owner) is None:
            raise BadInput(f"{fault}: {owner} is not in the cluster, nor is {name}")
        if world.topology.dra and _slice_of(world, name) is None:
            raise BadInput(
                f"{fault}: {name} is in no ResourceSlice of the cluster, so it has "
                "failed already, or its driver offers it under another name"
            )
    if by == "slice":
        return
    if not world.topology.dra:
        raise BadInput(
            f"{fault}: by='rule' taints devices, and here GPUs are amounts of their "
            "nodes: mark the test knav(dra=True)"
        )
    rules = ObjectRef(kind="DeviceTaintRule", name="")
    if world.plane.api.get_or_none(rules.collection) is None:
        raise BadInput(
            f"{fault}: this cluster serves no DeviceTaintRule "
            f"({rules.collection}): it needs Kubernetes 1.36 and the feature gate "
            "DRADeviceTaintRules"
        )


def _rule(world: World, name: str, value: str) -> Change:
    owner, index = split(name)
    _, device, spec = _found(world, name)
    rule = ObjectRef(kind="DeviceTaintRule", name=f"xid-{owner}-gpu-{index}")
    taint = {"key": DEVICE_TAINT, "effect": "NoExecute", "value": value}
    selector = {
        "driver": spec["driver"],
        "pool": spec["pool"]["name"],
        "device": device,
    }
    body = {
        "apiVersion": rule.collection.removeprefix("/apis/").rpartition("/")[0],
        "kind": "DeviceTaintRule",
        "metadata": {"name": rule.name},
        "spec": {"deviceSelector": selector, "taint": taint},
    }
    return Create(ref=rule, body=body, signal="device taint")


def _found(world: World, name: str) -> tuple[str, str, Mapping[str, Any]]:
    found = _slice_of(world, name)
    if found is None:
        raise BadInput(f"{name} is in no ResourceSlice of the cluster")
    return found


def _taint(world: World, name: str, value: str) -> Change:
    slice_name, device, _ = _found(world, name)
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


def _slice_of(world: World, name: str) -> tuple[str, str, Mapping[str, Any]] | None:
    """Return the slice that offers a GPU, its device there, and the slice's spec."""
    for found in world.history.latest("ResourceSlice").values():
        spec = found.get("spec", {})
        for device in _devices(spec):
            if gpu_of_device(spec["driver"], spec["pool"]["name"], device) == name:
                return found["metadata"]["name"], device, spec
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
