"""Kinds of machine as topology files describe them."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from pytest_knav.topology.machine import GpuModel, GpuSlot, Machine, NicSlot
from pytest_knav.topology.presets import gpus


if TYPE_CHECKING:
    from pytest_knav.topology.model import Topology
    from pytest_knav.topology.schema import MachineFile

KNOWN_MACHINES: Final = {
    machine.name: machine
    for machine in vars(gpus).values()
    if isinstance(machine, Machine)
}
_KNOWN_GPUS: Final = {
    gpu.product: gpu for gpu in vars(gpus).values() if isinstance(gpu, GpuModel)
}
_REQUIRED: Final = ("cpus", "memory_gib")


class Fail(Protocol):
    """Raises an error at a place of the file."""

    def __call__(self, at: tuple[Any, ...], message: str) -> NoReturn:
        """Raise BadInput."""
        ...


def read_machine(name: str, file: MachineFile, fail: Fail) -> Machine:
    """
    Return the machine that a file describes.

    Args:
        name: What the file calls it.
        file: The description.
        fail: Called with the place of what is wrong, and what is wrong.

    """
    at = ("machines", name)
    base: dict[str, Any] = {"name": name, **_given(file)}
    if file.like is not None:
        if file.like not in KNOWN_MACHINES:
            names = ", ".join(sorted(KNOWN_MACHINES))
            fail((*at, "like"), f"machine {file.like!r} is unknown: use one of {names}")
        like = KNOWN_MACHINES[file.like]
        base = {f.name: getattr(like, f.name) for f in fields(like)} | base
    for key in _REQUIRED:
        if base.get(key) is None:
            fail((*at, key), "give it, or `like` with a known machine")
    if file.gpu is not None:
        base["gpu"] = _gpu(file.gpu, (*at, "gpu"), fail)
    if base.get("gpus") and base.get("gpu") is None:
        fail((*at, "gpu"), "it has GPUs: say of which kind")
    machine = Machine(**base)
    _check_slots(machine, at, fail)
    return machine


def _check_slots(machine: Machine, at: tuple[Any, ...], fail: Fail) -> None:
    """Every slot is in a NUMA node that is there, next to a NIC that is there."""
    places = [("gpus", i, gpu.numa) for i, gpu in enumerate(machine.gpus)]
    places += [("nics", i, nic.numa) for i, nic in enumerate(machine.nics)]
    for kind, index, numa in places:
        if numa >= machine.numa_nodes:
            fail(
                (*at, kind, index, "numa"),
                f"NUMA node {numa}, and numa_nodes is {machine.numa_nodes}",
            )
    for index, gpu in enumerate(machine.gpus):
        if gpu.nic is not None and gpu.nic >= len(machine.nics):
            fail(
                (*at, "gpus", index, "nic"),
                f"NIC {gpu.nic}, and there are {len(machine.nics)}",
            )


def machine_names(topology: Topology) -> dict[Machine, str]:
    """Return a name of its own for each machine of a topology."""
    names: dict[Machine, str] = {}
    for machine in topology.machines:
        name, number = machine.name, 2
        while name in names.values():
            name, number = f"{machine.name}-{number}", number + 1
        names[machine] = name
    return names


def machine_data(machine: Machine, name: str) -> dict[str, Any]:
    """Return a machine as a file describes it, under a name."""
    data = asdict(machine)
    if data["name"] == name:
        del data["name"]
    data["gpus"] = [dict(slot) for slot in data["gpus"]]
    data["nics"] = [dict(slot) for slot in data["nics"]]
    data["mig"], data["labels"] = dict(machine.mig), dict(machine.labels)
    return {key: value for key, value in data.items() if value not in (None, [], {})}


def _given(file: MachineFile) -> dict[str, Any]:
    """Return what the file says, as a machine has it; without the kind of GPU."""
    given = {
        key: value
        for key in file.model_fields_set - {"like", "gpu"}
        if (value := getattr(file, key)) is not None
    }
    for key in ("mig", "labels"):
        if key in given:
            given[key] = tuple(given[key].items())
    for key, kind in (("gpus", GpuSlot), ("nics", NicSlot)):
        if key in given:
            given[key] = _slots(given[key], kind)
    return given


def _gpu(given: Any, at: tuple[Any, ...], fail: Fail) -> GpuModel:  # noqa: ANN401 - a name, or pydantic's
    if not isinstance(given, str):
        return GpuModel(**given.model_dump())
    if given not in _KNOWN_GPUS:
        names = ", ".join(sorted(_KNOWN_GPUS))
        fail(at, f"GPU {given!r} is unknown: describe it, or use one of {names}")
    return _KNOWN_GPUS[given]


def _slots(given: Any, kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 - two kinds
    if isinstance(given, int):
        return tuple(kind(pcie_root=number) for number in range(given))
    return tuple(kind(**slot.model_dump()) for slot in given)
