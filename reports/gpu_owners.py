"""Who has which GPU: by their claims, or by counting what pods ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.topology.devices import gpu_of_device
from pytest_knav.topology.dialects.vendors import mig_resource
from pytest_knav.topology.manifests import whole
from pytest_knav.workloads.pods import WORKLOAD_LABEL


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_knav.topology import NodeSpec, Topology

    Object = Mapping[str, Any]

_FINAL_PHASES: Final = frozenset({"Succeeded", "Failed"})
_HASH: Final = "pod-template-hash"


@dataclass(slots=True)
class _Gpus:
    """Who has which GPU of one node; without DRA the API says only how many."""

    spec: NodeSpec
    owners: dict[int, str] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)

    def slots(self, resource: str) -> Iterator[int]:
        """Yield the index of the GPU behind each unit of a resource, in order."""
        machine = self.spec.machine
        model = machine.gpu
        if model is None:
            return
        cuts = {mig_resource(model, cut): number for cut, number in machine.mig}
        each = cuts.get(resource, int(not cuts and resource == model.resource))
        for index in range(self.spec.gpus):
            yield from (index,) * each

    def take(self, resource: str, number: int, owner: str) -> None:
        """Give the next units of a resource to an owner; more than there are is not."""
        begun = self.used.get(resource, 0)
        self.used[resource] = begun + number
        for index in list(self.slots(resource))[begun : begun + number]:
            self.owners.setdefault(index, owner)


def holds(pod: Object) -> bool:
    """Return whether a pod has a node and takes what it asked for."""
    phase = pod.get("status", {}).get("phase")
    return bool(pod.get("spec", {}).get("nodeName")) and phase not in _FINAL_PHASES


def owners(
    topology: Topology, pods: Iterable[Object], claims: Iterable[Object]
) -> dict[str, str]:
    """Return what has each GPU, by its name; what nobody has is not there."""
    devices = devices_of(claims)
    of_node = {node.name: _Gpus(node) for node in topology.nodes if node.gpus}
    found: dict[str, str] = {}
    ordered = sorted(
        pods,
        key=lambda p: (
            p["metadata"].get("creationTimestamp", ""),
            p["metadata"]["name"],
        ),
    )
    for pod in ordered:
        owner = workload_of(pod)
        named = devices.get(pod["metadata"].get("uid", ""), ())
        found.update(dict.fromkeys(named, owner))
        gpus = of_node.get(pod["spec"]["nodeName"])
        if gpus is not None and not named:
            for resource, number in requests_of(pod).items():
                gpus.take(resource, number, owner)
    for name, gpus in of_node.items():
        found.update({f"{name}/gpu-{i}": who for i, who in gpus.owners.items()})
    return found


def devices_of(claims: Iterable[Object]) -> dict[str, list[str]]:
    """Return the devices that claims give to pods, by the uid of the pod."""
    found: dict[str, list[str]] = {}
    for claim in claims:
        status = claim.get("status") or {}
        results = ((status.get("allocation") or {}).get("devices") or {}).get("results")
        names = [
            gpu_of_device(one["driver"], one["pool"], one["device"])
            for one in results or ()
        ]
        for user in status.get("reservedFor") or ():
            found.setdefault(user.get("uid", ""), []).extend(names)
    return found


def requests_of(pod: Object) -> dict[str, int]:
    """Return the extended resources that a pod asks for: those with a domain."""
    found: dict[str, int] = {}
    for container in pod["spec"].get("containers") or ():
        amounts = container.get("resources") or {}
        # Extended resources cannot be overcommitted: a limit alone is a request.
        wanted = {**(amounts.get("limits") or {}), **(amounts.get("requests") or {})}
        for name, amount in wanted.items():
            if "/" in name:
                found[name] = found.get(name, 0) + whole(str(amount))
    return found


def workload_of(pod: Object) -> str:
    """Return what a pod belongs to: our workload, its controller, or nothing."""
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    owners = [o for o in metadata.get("ownerReferences") or () if o.get("controller")]
    name = labels.get(WORKLOAD_LABEL) or (owners[0]["name"] if owners else "")
    if not labels.get(WORKLOAD_LABEL) and labels.get(_HASH):
        name = name.removesuffix(f"-{labels[_HASH]}")
    namespace = metadata.get("namespace", "default")
    shown = name or metadata["name"]
    return shown if namespace == "default" else f"{namespace}/{shown}"
