"""
One GPU, or a part of one, as a device of a ResourceSlice: its name and attributes.

They are those of the vendors' drivers: NVIDIA/k8s-dra-driver-gpu 2026-05
(cmd/gpu-kubelet-plugin/deviceinfo.go, mig.go) and ROCm/k8s-gpu-dra-driver
(docs/driver-attributes.md). The drivers publish no index, NUMA node or NVLink domain of
a GPU: `index`, `numaNode` and `nvlinkDomain` are ours.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.topology.dialects.vendors import (
    AMD_DRIVER,
    NVIDIA_CUDA,
    NVIDIA_DRIVER,
    mig_memory_mib,
)


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_knav.topology.model import Gpu, NodeSpec

# DeviceAttributeMaxValueLength.
_STRING_MAX: Final = 64
_FIRST_RENDER: Final = 128
_PCIE_ROOT: Final = "resource.kubernetes.io/pcieRoot"
_PCI_BUS_ID: Final = "resource.kubernetes.io/pciBusID"
_UUIDS: Final = uuid.UUID("1f3bbf0c-1c3a-5a52-9d6f-6b6e61760002")
# GPU instance profile and memory slices by compute slices (NVIDIA MIG user guide).
_MIG_PROFILES: Final = {1: (19, 1), 2: (14, 2), 3: (9, 4), 4: (5, 4), 7: (0, 8)}

Object = dict[str, Any]


def devices_of(node: NodeSpec) -> Iterator[Object]:
    """Yield the devices that a node's GPUs are, by index."""
    buses = _bus_ids(node)
    for index in range(node.gpus):
        gpu = node.gpu(index)
        if gpu.model.vendor == "amd":
            yield _amd(gpu, buses[index])
        elif node.machine.mig:
            yield from _mig(gpu, buses[index], node.machine.mig)
        else:
            attributes = {
                "type": {"string": "gpu"},
                "uuid": {"string": gpu.uuid},
                **_nvidia(gpu, buses[index]),
            }
            yield _device(f"gpu-{index}", attributes, gpu.model.memory_mib)


def _device(name: str, attributes: Object, memory_mib: int) -> Object:
    device: Object = {"name": name, "attributes": attributes}
    if memory_mib:
        device["capacity"] = {"memory": {"value": f"{memory_mib}Mi"}}
    return device


def _nvidia(gpu: Gpu, bus: str) -> Object:
    attributes: Object = {
        "productName": {"string": _product_name(gpu.model.product)},
        "brand": {"string": "Nvidia"},
        "architecture": {"string": gpu.model.family.title()},
        "driverVersion": {"version": NVIDIA_DRIVER},
        "cudaDriverVersion": {"version": f"{NVIDIA_CUDA}.0"},
        **_place(gpu, bus),
    }
    if gpu.model.compute:
        attributes["cudaComputeCapability"] = {"version": f"{gpu.model.compute}.0"}
    return attributes


def _mig(gpu: Gpu, bus: str, cut: Sequence[tuple[str, int]]) -> Iterator[Object]:
    start = 0
    for profile, number in cut:
        digits = re.match(r"\d+", profile)
        found = _MIG_PROFILES.get(int(digits[0]) if digits else 1, (19, 1))
        for _ in range(number):
            short = re.sub(r"[^a-z0-9]+", "-", profile.replace(".", "").lower())
            name = f"gpu-{gpu.index}-mig-{short}-{found[0]}-{start}"
            attributes = {
                "type": {"string": "mig"},
                "uuid": {"string": f"MIG-{uuid.uuid5(_UUIDS, f'{gpu.name}/{name}')}"},
                "parentUUID": {"string": gpu.uuid},
                "profile": {"string": profile},
                **_nvidia(gpu, bus),
            }
            yield _device(name, attributes, mig_memory_mib(profile))
            start += found[1]


def _amd(gpu: Gpu, bus: str) -> Object:
    render = _FIRST_RENDER + gpu.index
    attributes = {
        "type": {"string": "amdgpu"},
        "pciAddr": {"string": bus},
        "cardIndex": {"int": gpu.index},
        "renderIndex": {"int": render},
        "family": {"string": gpu.model.family},
        "productName": {"string": gpu.model.product},
        "driverVersion": {"version": AMD_DRIVER},
        **_place(gpu, bus),
    }
    return _device(f"gpu-{gpu.index}-{render}", attributes, gpu.model.memory_mib)


def _place(gpu: Gpu, bus: str) -> Object:
    """Return where a GPU sits: standard attributes, and ours."""
    place: Object = {
        _PCIE_ROOT: {"string": f"pci{_pci_domain(gpu.pcie_root)}"},
        _PCI_BUS_ID: {"string": bus},
        "index": {"int": gpu.index},
        "numaNode": {"int": gpu.numa},
    }
    if gpu.nvlink_domain:
        domain = gpu.nvlink_domain
        if len(domain) > _STRING_MAX:
            domain = str(uuid.uuid5(_UUIDS, domain))
        place["nvlinkDomain"] = {"string": domain}
    return place


def _pci_domain(root: int) -> str:
    """Return the PCI domain and bus of a root: `0000:30`."""
    return f"{root // 16:04x}:{root % 16 * 16:02x}"


def _bus_ids(node: NodeSpec) -> list[str]:
    """Return the PCI address of each GPU: behind its root, one after the other."""
    used: dict[int, int] = {}
    addresses = []
    for slot in node.machine.gpus:
        used[slot.pcie_root] = behind = used.get(slot.pcie_root, 0) + 1
        domain, _, bus = _pci_domain(slot.pcie_root).partition(":")
        addresses.append(f"{domain}:{int(bus, 16) + behind:02x}:00.0")
    return addresses


def _product_name(product: str) -> str:
    """Return the name that GPU feature discovery made a label of."""
    spaced = product.replace("-", " ")
    return re.sub(r" (SXM\d) ", r"-\1-", spaced)
