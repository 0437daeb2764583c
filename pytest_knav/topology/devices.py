"""
GPUs as devices of dynamic resource allocation (DRA): ResourceSlices and DeviceClasses.

Field names are those of `resource.k8s.io/v1` in Kubernetes 1.36; the classes are those
of NVIDIA/k8s-dra-driver-gpu 2026-05 (Helm chart) and ROCm/k8s-gpu-dra-driver.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.device_attributes import Object, devices_of
from pytest_knav.topology.dialects.vendors import mig_resource
from pytest_knav.topology.manifests import gpu_amounts


if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_knav.topology.model import NodeSpec, Topology

API_VERSION: Final = "resource.k8s.io/v1"
# ResourceSliceMaxDevicesWithAdvancedFeatures, and not ResourceSliceMaxDevices (128): a
# slice with more could never get a taint.
DEVICES_MAX: Final = 64
DRIVERS: Final = {"nvidia": "gpu.nvidia.com", "amd": "gpu.amd.com"}
_INDEX: Final = re.compile(r"gpu-(\d+)(-.*)?")


def with_dra(topology: Topology) -> Topology:
    """
    Return a topology whose GPUs are devices, and no longer amounts of its nodes.

    Not both: a pod could take the same GPU twice, once by each way. Requests for the
    extended resource are served all the same, by the DeviceClass that names it
    (KEP-5004).

    Raises:
        BadInput: It has no GPUs, or some of a vendor whose driver is not known.

    """
    if not topology.gpus:
        raise BadInput(f"dra=True: topology {topology.name!r} has no GPUs")
    unknown = {
        node.machine.gpu.vendor: node.name
        for node in topology.nodes
        if node.machine.gpu and node.gpus and node.machine.gpu.vendor not in DRIVERS
    }
    for vendor, name in unknown.items():
        raise BadInput(
            f"dra=True: node {name} has GPUs of {vendor!r}, and DRA drivers are known "
            f"for {', '.join(DRIVERS)}"
        )
    return replace(
        topology, dra=True, nodes=tuple(_without_amounts(n) for n in topology.nodes)
    )


def device_classes(topology: Topology) -> list[Object]:
    """
    Return the DeviceClasses of the drivers that a topology needs.

    NVIDIA's `gpu.nvidia.com` names the extended resource `nvidia.com/gpu`, as its Helm
    chart has it. Those that do the same for AMD and for each MIG profile are ours.
    """
    found: dict[str, Object] = {}
    for machine in topology.machines:
        gpu = machine.gpu
        if gpu is None or not machine.gpus:
            continue
        driver = DRIVERS[gpu.vendor]
        own = f"device.driver == '{driver}'"
        kind = f"{own} && device.attributes['{driver}'].type"
        if gpu.vendor == "amd":
            found[driver] = _class(driver, own, gpu.resource)
            continue
        found[driver] = _class(driver, f"{kind} == 'gpu'", gpu.resource)
        found["mig.nvidia.com"] = _class("mig.nvidia.com", f"{kind} == 'mig'", "")
        for profile, _ in machine.mig:
            resource = mig_resource(gpu, profile)
            name = f"{resource.partition('/')[2]}.nvidia.com"
            one = f"device.attributes['{driver}'].profile == '{profile}'"
            found[name] = _class(name, f"{kind} == 'mig' && {one}", resource)
    return list(found.values())


def device_class(topology: Topology) -> str:
    """Return the DeviceClass of whole GPUs; empty where GPUs are no devices."""
    if not topology.dra:
        return ""
    return f"gpu.{topology.gpu_resource.partition('/')[0]}"


def resource_slices(node: NodeSpec, node_uid: str) -> list[Object]:
    """
    Return the ResourceSlices of a node: one pool, as many slices as its devices need.

    Args:
        node: The node.
        node_uid: The uid of its Node object, which owns them.

    """
    devices = list(devices_of(node))
    model = node.machine.gpu
    if model is None or not devices:
        return []
    driver = DRIVERS[model.vendor]
    parts = [
        devices[at : at + DEVICES_MAX] for at in range(0, len(devices), DEVICES_MAX)
    ]
    return [
        {
            "apiVersion": API_VERSION,
            "kind": "ResourceSlice",
            "metadata": {
                "name": f"{node.name}-{driver}-{number}",
                "ownerReferences": [_owner(node, node_uid)],
            },
            "spec": {
                "driver": driver,
                "nodeName": node.name,
                "pool": {
                    "name": node.name,
                    "generation": 1,
                    "resourceSliceCount": len(parts),
                },
                "devices": part,
            },
        }
        for number, part in enumerate(parts)
    ]


def device_names(node: NodeSpec, indexes: Iterable[int]) -> list[str]:
    """Return the devices that some GPUs of a node are, or are cut into."""
    wanted = set(indexes)
    names = [device["name"] for device in devices_of(node)]
    return [name for name in names if _index(name) in wanted]


def gpu_of_device(driver: str, pool: str, device: str) -> str:
    """
    Return the name of the GPU that a device is, or is cut from: `dgx-h100-0003/gpu-5`.

    A device of another driver is named after its pool: `pool/device`.
    """
    index = _index(device) if driver in DRIVERS.values() else None
    return f"{pool}/{device}" if index is None else f"{pool}/gpu-{index}"


def _index(device: str) -> int | None:
    found = _INDEX.fullmatch(device)
    return int(found[1]) if found else None


def _without_amounts(node: NodeSpec) -> NodeSpec:
    amounts = gpu_amounts(node)
    if not amounts:
        return node
    capacity = [(name, "") for name in amounts]
    kept = [pair for pair in node.capacity if pair[0] not in amounts]
    allocatable = tuple(p for p in node.allocatable if p[0] not in amounts)
    return replace(node, capacity=(*kept, *capacity), allocatable=allocatable)


def _class(name: str, expression: str, resource: str) -> Object:
    spec: Object = {"selectors": [{"cel": {"expression": expression}}]}
    if resource:
        spec["extendedResourceName"] = resource
    return {
        "apiVersion": API_VERSION,
        "kind": "DeviceClass",
        "metadata": {"name": name},
        "spec": spec,
    }


def _owner(node: NodeSpec, uid: str) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": uid}
