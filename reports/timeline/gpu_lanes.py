"""Which GPU a pod has over time: as its claim says, or the first that are free."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.reports.gpu_owners import devices_of, requests_of
from pytest_knav.reports.timeline.model import Columns
from pytest_knav.topology.devices import gpu_of_device
from pytest_knav.topology.manifests import whole


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Object = Mapping[str, Any]

_NUMBER: Final = re.compile(r"(\d+)")


class GpuLanes:
    """
    The GPUs of a cluster and who has them.

    With extended resources nobody but the kubelet knows which GPU a pod has: the first
    free ones are taken. With DRA the allocation says it.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.spans = Columns(("gpu", "start", "end", "workload", "pod"))
        self.used = 0
        self._numbers: dict[str, int] = {}
        self._units: dict[str, dict[str, list[int]]] = {}
        # Of each GPU that somebody has: since when, workload, pod.
        self._taken: dict[int, tuple[int, int, int]] = {}
        self._of_pod: dict[str, list[int]] = {}
        # What claims say: by claim and pod, and by pod and claim.
        self._claimed: dict[str, dict[str, list[str]]] = {}
        self._named: dict[str, dict[str, list[str]]] = {}
        self._who: dict[str, tuple[int, int]] = {}

    def add_node(self, node: Object) -> int:
        """Take in the GPUs of a node, and return how many it has."""
        name = node["metadata"]["name"]
        amounts = (node.get("status") or {}).get("capacity") or {}
        units = self._units.setdefault(name, {})
        for resource, amount in amounts.items():
            if is_gpu(resource) and resource not in units:
                short = _short(resource)
                units[resource] = [
                    self._number(f"{name}/{short}-{i}")
                    for i in range(whole(str(amount)))
                ]
        return sum(map(len, units.values()))

    def add_devices(self, resource_slice: Object) -> None:
        """Take in the GPUs of a device slice."""
        spec = resource_slice.get("spec") or {}
        pool = (spec.get("pool") or {}).get("name", "")
        for device in spec.get("devices") or ():
            name = gpu_of_device(spec.get("driver", ""), pool, device["name"])
            if "/gpu-" in name:
                self._number(name)

    def bind(self, pod: Object, at: int, workload: int, number: int) -> None:
        """Give a pod that is bound to a node what it asks for."""
        uid = pod["metadata"]["uid"]
        self._who[uid] = (workload, number)
        named = [n for names in self._named.get(uid, {}).values() for n in names]
        if named:
            self._give(uid, map(self._number, named), at)
            return
        units = self._units.get(pod["spec"]["nodeName"], {})
        for resource, count in requests_of(pod).items():
            free = [u for u in units.get(resource, ()) if u not in self._taken]
            self._give(uid, free[:count], at)

    def claim(self, uid: str, claim: Object | None, at: int) -> None:
        """Hear of a claim as it is now; None when it is gone."""
        before = self._claimed.pop(uid, {})
        now = devices_of([claim]) if claim is not None else {}
        for pod in before:
            self._named[pod].pop(uid, None)
            if not self._named[pod]:
                del self._named[pod]
        if any(now.values()):
            self._claimed[uid] = now
            for pod, names in now.items():
                self._named.setdefault(pod, {})[uid] = names
        for pod in before:
            if pod not in now:
                self.release(pod, at)
        for pod, names in now.items():
            if pod in self._who and pod not in before:
                self.release(pod, at, gone=False)
                self._give(pod, map(self._number, names), at)

    def release(self, uid: str, at: int, *, gone: bool = True) -> None:
        """Take back what a pod has."""
        if gone:
            self._who.pop(uid, None)
        for gpu in self._of_pod.pop(uid, ()):
            since, workload, pod = self._taken.pop(gpu)
            self.used -= 1
            self.spans.add(gpu, since, at, workload, pod)

    def finish(self, at: int) -> None:
        """End what lasts."""
        for uid in list(self._of_pod):
            self.release(uid, at)

    def _give(self, uid: str, gpus: Iterable[int], at: int) -> None:
        workload, pod = self._who[uid]
        for gpu in gpus:
            if gpu not in self._taken:
                self._taken[gpu] = (at, workload, pod)
                self._of_pod.setdefault(uid, []).append(gpu)
                self.used += 1

    def _number(self, name: str) -> int:
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number


def is_gpu(resource: str) -> bool:
    """Return whether an extended resource is of GPUs or parts of them."""
    return "/" in resource and ("gpu" in resource or "/mig-" in resource)


def natural(name: str) -> list[tuple[int, str]]:
    """Return by what names with numbers in them are sorted as people do."""
    return [
        (int(part), "") if part.isdigit() else (0, part) for part in _NUMBER.split(name)
    ]


def _short(resource: str) -> str:
    kind = resource.rpartition("/")[2]
    return "gpu" if kind in {"gpu", "gpu.shared"} else kind
