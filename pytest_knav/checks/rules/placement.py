"""Nothing is started on what is known to be bad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_knav.checks.facts import HARD_EFFECTS, Taint, matches
from pytest_knav.checks.rules.base import Rule


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_knav.checks.facts import PodFact, PodSpec
    from pytest_knav.checks.places import Device, NodeState
    from pytest_knav.checks.world import World
    from pytest_knav.history.record import Record

USUAL_S = 5.0
_CORDON = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
_UNREADY = Taint("node.kubernetes.io/not-ready", "", "NoSchedule")


class PlacementRule(Rule):
    """
    No scheduler puts a pod on a node that is gone, tainted, cordoned or not Ready, nor
    gives it a tainted device.

    A binding that was decided just before is not blamed: the node must have been bad
    for some seconds, in which the control plane was well. Pods that tolerate it, and
    pods that had their node from the beginning, are not looked at.
    """

    name: ClassVar[str] = "placement"
    kinds: ClassVar[frozenset[str]] = frozenset(
        {"Pod", "Node", "ResourceClaim", "ResourceSlice"}
    )

    def __init__(self, world: World, *, after_s: float = USUAL_S) -> None:
        super().__init__(world)
        self._after_s = after_s
        self._allocated: dict[str, frozenset[Device]] = {}

    @property
    def title(self) -> str:
        """Return what it asks for."""
        return (
            "placement: nothing on a failed, tainted or cordoned target later than "
            f"{self._after_s:g}s after its detection"
        )

    def bound(self, pod: PodFact, at: float) -> None:
        """Judge a binding."""
        self.looked_at += 1
        node = self.world.nodes[pod.node or ""]
        for since, what in _wrong_with(node, pod.spec):
            seconds = self.world.well_for(since, at)
            text = (
                f"pod {pod.spec.name} was bound to {pod.node}, which had been "
                f"{what} for {at - since:.1f}s"
            )
            self.measured(at, seconds, self._after_s, text)

    def claim(self, record: Record, after: Mapping[str, Any] | None, at: float) -> None:
        """Judge an allocation of devices."""
        devices = frozenset(devices_of(after or {}))
        old = self._allocated.pop(record.uid, frozenset())
        if devices:
            self._allocated[record.uid] = devices
        if devices - old:
            self.looked_at += 1
        tolerations = list(_tolerations(after or {}))
        for device in sorted(devices - old):
            for taint, since in self.world.devices.tainted.get(device, {}).items():
                tolerated = any(matches(one, taint) for one in tolerations)
                if tolerated or taint.effect not in HARD_EFFECTS:
                    continue
                text = (
                    f"claim {record.name} was given {'/'.join(device[1:])}, which had "
                    f"had the taint {taint} for {at - since:.1f}s"
                )
                seconds = self.world.well_for(since, at)
                self.measured(at, seconds, self._after_s, text)


def devices_of(claim: Mapping[str, Any]) -> Iterator[Device]:
    """Yield the devices that a claim has to itself."""
    allocation = (claim.get("status") or {}).get("allocation") or {}
    for result in (allocation.get("devices") or {}).get("results") or ():
        # An administrator's look, or a share, leaves the device to others too.
        if not result.get("adminAccess") and not result.get("shareID"):
            yield result["driver"], result["pool"], result["device"]


def _tolerations(claim: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what any request of a claim tolerates."""
    devices = (claim.get("spec") or {}).get("devices") or {}
    for request in devices.get("requests") or ():
        exactly, others = request.get("exactly"), request.get("firstAvailable")
        for one in (exactly or {}, *(others or ())):
            yield from one.get("tolerations") or ()


def _wrong_with(node: NodeState, spec: PodSpec) -> Iterator[tuple[float, str]]:
    if node.gone_s is not None:
        yield node.gone_s, "gone"
        return
    for taint, since in node.since.items():
        if taint.effect in HARD_EFFECTS and not spec.tolerates(taint):
            yield since, f"tainted with {taint}"
    if node.cordoned_s is not None and not spec.tolerates(_CORDON):
        yield node.cordoned_s, "cordoned"
    if node.unready_s is not None and not spec.tolerates(_UNREADY):
        yield node.unready_s, "not Ready"
