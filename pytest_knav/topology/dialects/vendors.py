"""Labels about machines and their GPUs, as the vendors' own labellers write them."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Final

from pytest_knav.topology.model import Level


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.topology.machine import GpuModel
    from pytest_knav.topology.model import NodeSpec

# Our choice of what is installed on every simulated node. Labels and devices agree.
NVIDIA_DRIVER: Final = "570.133.20"
NVIDIA_CUDA: Final = "12.8"
AMD_DRIVER: Final = "6.12.12"
_FABRICS: Final = uuid.UUID("5d6f5e0a-4d2b-5c0f-8f0e-6b6e61760001")
_MIG: Final = re.compile(r"(?P<slices>\d+)g\.(?P<gigabytes>\d+)gb(\+.*)?")


def machine_labels(node: NodeSpec) -> Mapping[str, str]:
    """Return what a kubelet, and the cloud's controller, say of a machine."""
    return {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": node.machine.name,
    }


def gfd_labels(node: NodeSpec) -> Mapping[str, str]:
    """
    Return what GPU feature discovery says of a node.

    Left away are its timestamp, its deprecated `cuda.driver.*` and `cuda.runtime.*`,
    and counts of engines and multiprocessors, which the model does not know.
    """
    gpu = node.machine.gpu
    if gpu is None or gpu.vendor != "nvidia" or not node.gpus:
        return {}
    major, _, minor = gpu.compute.partition(".")
    driver, cuda = NVIDIA_DRIVER.split("."), NVIDIA_CUDA.split(".")
    labels = {
        "cuda.driver-version.full": NVIDIA_DRIVER,
        "cuda.driver-version.major": driver[0],
        "cuda.driver-version.minor": driver[1],
        "cuda.driver-version.revision": driver[2],
        "cuda.runtime-version.full": NVIDIA_CUDA,
        "cuda.runtime-version.major": cuda[0],
        "cuda.runtime-version.minor": cuda[1],
        "gpu.compute.major": major,
        "gpu.compute.minor": minor,
        "gpu.count": str(node.gpus),
        "gpu.family": gpu.family,
        "gpu.machine": node.machine.name,
        "gpu.memory": str(gpu.memory_mib),
        "gpu.mode": "compute",
        "gpu.present": "true",
        "gpu.product": gpu.product,
        "gpu.replicas": "0" if node.machine.mig else "1",
        "gpu.sharing-strategy": "none",
        "mig.capable": str(bool(major) and int(major) >= 8).lower(),
        **_mig_labels(node, gpu),
    }
    return {f"nvidia.com/{key}": value for key, value in labels.items() if value}


def _mig_labels(node: NodeSpec, gpu: GpuModel) -> dict[str, str]:
    """Return what the strategy `mixed` adds (internal/lm/mig-strategy.go)."""
    if not node.machine.mig:
        return {}
    labels = {"mig.strategy": "mixed"}
    for profile, each in node.machine.mig:
        prefix = f"mig-{profile.replace('+', '.')}"
        slices = mig_slices(profile)
        labels |= {
            f"{prefix}.count": str(each * node.gpus),
            f"{prefix}.memory": str(mig_memory_mib(profile)),
            f"{prefix}.product": f"{gpu.product}-MIG-{profile.replace('+', '.')}",
            f"{prefix}.replicas": "1",
            f"{prefix}.sharing-strategy": "none",
            f"{prefix}.slices.ci": str(slices),
            f"{prefix}.slices.gi": str(slices),
        }
    return labels


def mig_resource(gpu: GpuModel, profile: str) -> str:
    """Return the extended resource of a MIG profile: `nvidia.com/mig-1g.10gb`."""
    # The device plugin writes `+me` as `.me` (internal/resource/nvml-mig-device.go).
    domain = gpu.resource.partition("/")[0]
    return f"{domain}/mig-{profile.replace('+', '.')}"


def mig_slices(profile: str) -> int:
    """Return how many compute slices a MIG profile has; 1 where its name says none."""
    found = _MIG.fullmatch(profile)
    return int(found["slices"]) if found else 1


def mig_memory_mib(profile: str) -> int:
    """Return the memory that a MIG profile's name says, in MiB."""
    found = _MIG.fullmatch(profile)
    return int(found["gigabytes"]) * 1024 if found else 0


def amd_labels(node: NodeSpec) -> Mapping[str, str]:
    """Return what AMD's node labeller says of a node, as far as the model knows it."""
    gpu = node.machine.gpu
    if gpu is None or gpu.vendor != "amd" or not node.gpus:
        return {}
    labels = {"driver-version": AMD_DRIVER}
    for kind, value in (
        ("family", gpu.family),
        ("product-name", gpu.product),
        ("vram", f"{round(gpu.memory_mib / 1024)}G"),
    ):
        # Both forms are written (cmd/k8s-node-labeller/main.go, createLabels).
        labels[kind] = value
        labels[f"beta/{kind}"] = value
        labels[f"beta/{kind}.{value}"] = str(node.gpus)
    return {
        f"{'beta.' if key.startswith('beta/') else ''}"
        f"amd.com/gpu.{key.removeprefix('beta/')}": value
        for key, value in labels.items()
    }


def clique(level: Level, name: str) -> str:
    """Return the fabric's UUID and the clique in it, as GPUs of NVLink domains say."""
    if level is not Level.NVLINK:
        return name
    return f"{uuid.uuid5(_FABRICS, name)}.1"
