"""Which devices pods have: what the allocations of their ResourceClaims say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_knav.topology.devices import DRIVERS, gpu_of_device


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_GPU_DOMAINS: Final = tuple(f"{vendor}.com/" for vendor in DRIVERS)


def devices_of(pod_uid: str, claims: Iterable[Mapping[str, Any]]) -> list[str]:
    """
    Return the devices that are allocated to claims which a pod has reserved.

    A GPU is called `node/gpu-5`, another device `pool/device`.
    """
    found: list[str] = []
    for claim in claims:
        status = claim.get("status") or {}
        users = status.get("reservedFor") or ()
        if not any(user.get("uid") == pod_uid for user in users):
            continue
        devices = (status.get("allocation") or {}).get("devices") or {}
        found += [
            gpu_of_device(result["driver"], result["pool"], result["device"])
            for result in devices.get("results") or ()
        ]
    return sorted(found, key=_natural)


def asks_for_gpus(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod asks for GPUs as an extended resource."""
    return any(
        name.startswith(_GPU_DOMAINS) and str(amount) != "0"
        for container in (pod.get("spec") or {}).get("containers") or ()
        for name, amount in (
            (container.get("resources") or {}).get("requests") or {}
        ).items()
    )


def _natural(name: str) -> tuple[str, int, str]:
    """Return what to sort names by: gpu-10 comes after gpu-9."""
    stem, _, number = name.rpartition("-")
    return (stem, int(number), "") if number.isdecimal() else (stem, -1, number)
