"""Which GPUs a Node object says that its machine has."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.importers.quantities import amount
from pytest_knav.topology.machine import GpuModel, GpuSlot, Machine
from pytest_knav.topology.machine_file import KNOWN_MACHINES
from pytest_knav.topology.model import Level
from pytest_knav.topology.presets import PRESETS


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_knav.topology.model import NodeSpec

_NVIDIA: Final = "nvidia.com/gpu"
_AMD: Final = "amd.com/gpu"
_MIG: Final = re.compile(r"nvidia\.com/mig-(?P<profile>\d+g\.\d+gb)(?P<more>\.\w+)?")
# GPU feature discovery adds what a GPU is cut into, or that it is shared
# (NVIDIA/k8s-device-plugin, internal/lm/resource.go).
_PRODUCT: Final = re.compile(r"(?P<product>.+?)(-MIG-(?P<slices>\d+)g\..+)?(-SHARED)?")
# An A100 or later has seven slices for compute (NVIDIA, MIG user guide).
_SLICES: Final = 7
# What clouds call a GPU, where nobody discovers its features.
_CLOUD_KEYS: Final = (
    "cloud.google.com/gke-accelerator",
    "k8s.amazonaws.com/accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
    "gpu.nvidia.com/model",
)
GPUS_MAX: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """
    The GPUs of one node.

    Attributes:
        count: How many there are, whatever they are cut or shared into.
        mig: See `Machine.mig`.

    """

    model: GpuModel
    count: int
    mig: tuple[tuple[str, int], ...] = ()


def gpus_of(
    labels: Mapping[str, str], capacity: Mapping[str, str], what: str
) -> Gpus | None:
    """
    Return the GPUs that labels and capacity of a node tell of; None for none.

    Args:
        labels: Of GPU feature discovery, or AMD's node labeller.
        capacity: The node's.
        what: The node, for messages.

    Raises:
        BadInput: A number is none, or there are more than 1,024.

    """
    found = _nvidia(labels, capacity, what) or _amd(labels, capacity, what)
    if found is not None and found.count > GPUS_MAX:
        raise BadInput(f"{what}: {found.count} GPUs, at most {GPUS_MAX} are possible")
    return found


def machine_like(name: str, gpus: Gpus | None) -> Machine | None:
    """Return a preset's machine with the same GPUs; the one of that name first."""
    if gpus is None:
        return None
    fitting = [
        machine
        for machine in KNOWN_MACHINES.values()
        if machine.gpu is not None
        and machine.gpu.product == gpus.model.product
        and len(machine.gpus) == gpus.count
    ]
    return min(fitting, key=lambda machine: machine.name != name, default=None)


def nvswitches_of(nodes: Iterable[NodeSpec]) -> tuple[tuple[str, int], ...]:
    """Return the NVSwitches of NVLink domains that span nodes, as presets have them."""
    domains = {
        node.nvlink_domain: _nvswitches_like(node.machine)
        for node in nodes
        if node.place(Level.NVLINK) is not None and node.nvlink_domain
    }
    return tuple((domain, number) for domain, number in domains.items() if number)


@functools.cache
def _nvswitches_like(machine: Machine) -> int:
    """Return how many NVSwitches an NVLink domain of such machines has; 0: unknown."""
    if machine.gpu is None:
        return 0
    gpus = Gpus(model=machine.gpu, count=len(machine.gpus))
    like = machine_like(machine.name, gpus)
    preset = PRESETS.get(like.name) if like is not None else None
    found = preset.make(1).nvswitches if preset is not None else ()
    return found[0][1] if found else 0


def machine_named(name: str) -> Machine:
    """
    Return a machine that is known, by its name.

    Raises:
        BadInput: There is none.

    """
    if name not in KNOWN_MACHINES:
        raise BadInput(
            f"machine {name!r} is unknown: use {', '.join(sorted(KNOWN_MACHINES))}"
        )
    return KNOWN_MACHINES[name]


def slots(count: int) -> tuple[GpuSlot, ...]:
    """Return slots of GPUs of which nothing is known."""
    return tuple(GpuSlot(pcie_root=index) for index in range(count))


def _nvidia(
    labels: Mapping[str, str], capacity: Mapping[str, str], what: str
) -> Gpus | None:
    mig = {m: q for name, q in capacity.items() if (m := _profile(name))}
    present = any(amount(quantity, what) for quantity in mig.values())
    whole = int(amount(capacity.get(_NVIDIA, "0"), f"{what}: {_NVIDIA}"))
    if not whole and not present:
        return None
    product, slices = _product(labels)
    said = labels.get("nvidia.com/gpu.count", "")
    count = int(said) if said.isdecimal() and int(said) else max(whole, 1)
    if slices:
        # With the strategy `single`, each slice counts as a GPU.
        count = -(-count // max(1, _SLICES // slices))
    known = _model(product)
    memory = labels.get("nvidia.com/gpu.memory", "")
    model = GpuModel(
        product=product,
        vendor="nvidia",
        family=labels.get("nvidia.com/gpu.family", known.family if known else ""),
        resource=_NVIDIA,
        memory_mib=_memory(memory, slices, known),
        power_w=known.power_w if known else 0,
        compute=_compute(labels) or (known.compute if known else ""),
        scale_up_gbps=known.scale_up_gbps if known else 0,
    )
    return Gpus(model=model, count=count, mig=_each(mig, count, what))


def _memory(said: str, slices: int, known: GpuModel | None) -> int:
    """Return the memory of a whole GPU; labels tell of a slice where it is cut."""
    if known is not None and (slices or not said.isdecimal()):
        return known.memory_mib
    return int(said) if said.isdecimal() else 0


def _amd(
    labels: Mapping[str, str], capacity: Mapping[str, str], what: str
) -> Gpus | None:
    count = int(amount(capacity.get(_AMD, "0"), f"{what}: {_AMD}"))
    if not count:
        return None
    product = labels.get("amd.com/gpu.product-name", "unknown-AMD-GPU")
    known = _model(product)
    vram = labels.get("amd.com/gpu.vram", "").removesuffix("G")
    memory = int(vram) * 1024 if vram.isdecimal() else 0
    family = labels.get("amd.com/gpu.family", "")
    if known is not None:
        same = round(known.memory_mib / 1024) * 1024 == memory or not memory
        model = replace(known, memory_mib=known.memory_mib if same else memory)
    else:
        model = GpuModel(
            product=product,
            vendor="amd",
            family=family,
            resource=_AMD,
            memory_mib=memory,
            power_w=0,
        )
    return Gpus(model=model, count=count)


def _product(labels: Mapping[str, str]) -> tuple[str, int]:
    """Return the product, and how many slices each of what is counted has."""
    said = labels.get("nvidia.com/gpu.product")
    if said is None:
        cloud = (labels[key] for key in _CLOUD_KEYS if labels.get(key))
        return next(cloud, "unknown-NVIDIA-GPU"), 0
    found = _PRODUCT.fullmatch(said)
    if found is None:
        return said, 0
    return found["product"], int(found["slices"] or 0)


def _compute(labels: Mapping[str, str]) -> str:
    parts = (
        labels.get(f"nvidia.com/gpu.compute.{part}") for part in ("major", "minor")
    )
    return ".".join(part for part in parts if part)


@functools.cache
def _model(product: str) -> GpuModel | None:
    models = (machine.gpu for machine in KNOWN_MACHINES.values())
    return next((m for m in models if m is not None and m.product == product), None)


def _profile(resource: str) -> str:
    found = _MIG.fullmatch(resource)
    if found is None:
        return ""
    # The device plugin writes `+me` as `.me`.
    return found["profile"] + (found["more"] or "").replace(".", "+")


def _each(mig: Mapping[str, str], count: int, what: str) -> tuple[tuple[str, int], ...]:
    """Return how each GPU is cut, if all are cut alike; else nothing."""
    amounts = {
        profile: int(amount(quantity, what)) for profile, quantity in mig.items()
    }
    if any(number % count for number in amounts.values()):
        return ()
    return tuple((p, number // count) for p, number in amounts.items() if number)
