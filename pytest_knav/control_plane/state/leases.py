"""Node leases as they go into the store: fresh, and held by nobody."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane.kwokctl import KUBELET_LABEL, KUBELET_RUNNING
from pytest_knav.control_plane.state import wire
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "/registry/leases/kube-node-lease/"
_NODES: Final = "/registry/minions/"
# Field numbers of ObjectMeta, OwnerReference and an entry of a map (generated.proto).
_METADATA, _LABELS, _OWNERS, _OWNER_UID, _KEY, _VALUE = 1, 11, 13, 4, 1, 2
_PLAYED: Final = b"".join(
    wire.of_bytes(number, text.encode())
    for number, text in ((_KEY, KUBELET_LABEL), (_VALUE, KUBELET_RUNNING))
)
# Field numbers of coordination/v1 Lease and LeaseSpec (generated.proto), of ObjectMeta
# and of MicroTime.
_SPEC, _HOLDER, _RENEWED = 2, 1, 4
_SECONDS, _NANOS = 1, 2


def renewed_at(stored: bytes) -> float:
    """
    Return when a stored lease was last renewed, as seconds since the epoch.

    Raises:
        BadInput: Its time is none.

    """
    if not stored.startswith(wire.MAGIC):
        text = (json.loads(stored).get("spec") or {}).get("renewTime")
        return _seconds(text) if text else 0.0
    time_of = wire.first(wire.unpack(stored), _SPEC, _RENEWED)
    if time_of is None:
        return 0.0
    parts = {field.number: field.value for field in wire.fields(time_of)}
    seconds, nanos = parts.get(_SECONDS, 0), parts.get(_NANOS, 0)
    if not isinstance(seconds, int) or not isinstance(nanos, int):
        raise BadInput("a stored lease has a time that is none")
    return seconds + nanos / 1e9


def is_held(stored: bytes) -> bool:
    """Return whether a stored lease has a holder."""
    if not stored.startswith(wire.MAGIC):
        return bool((json.loads(stored).get("spec") or {}).get("holderIdentity"))
    return wire.first(wire.unpack(stored), _SPEC, _HOLDER) is not None


def owners(stored: bytes) -> frozenset[str]:
    """Return the uids of the nodes that a stored lease belongs to."""
    if not stored.startswith(wire.MAGIC):
        references = json.loads(stored)["metadata"].get("ownerReferences") or ()
        return frozenset(str(reference.get("uid")) for reference in references)
    metadata = wire.first(wire.unpack(stored), _METADATA) or b""
    references = (
        field.value for field in wire.fields(metadata) if field.number == _OWNERS
    )
    return frozenset(
        (wire.first(reference, _OWNER_UID) or b"").decode()
        for reference in references
        if isinstance(reference, bytes)
    )


def of_node(saved: bytes, stored: bytes) -> bytes:
    """Return the lease in the store, unless it is of another node than the saved."""
    return stored if owners(stored) <= owners(saved) else saved


def renewed(saved: bytes, stored: bytes | None, lease_s: float) -> bytes | None:
    """
    Return a fresh lease, or None where the one in the store is as good.

    Args:
        saved: As a state has it.
        stored: As it is in the store, of which the node may have made a new one.
        lease_s: How long a lease lasts.

    """
    lease = saved if stored is None else of_node(saved, stored)
    if lease is stored:
        age_s = time.time() - renewed_at(lease)
        # One of the future was written before the clock was set back.
        if 0 <= age_s < lease_s / 2:
            return None
    return fresh(lease)


def left_to_kwok(values: Mapping[str, bytes]) -> frozenset[str]:
    """
    Return the leases of a state that a KWOK makes which begins afresh.

    It looks for a lease before it has listed any, is told that there is one already,
    and tries again when a renewal would be due (kwok 0.8, node_lease_controller.go,
    sync): for two seconds no node would be played. What is not there it makes at once.
    """
    return frozenset(
        PREFIX + key.removeprefix(_NODES)
        for key, node in values.items()
        if key.startswith(_NODES) and is_played(node)
    )


def is_played(node: bytes) -> bool:
    """Return whether a stored node has a kubelet that KWOK plays."""
    if not node.startswith(wire.MAGIC):
        labels = json.loads(node)["metadata"].get("labels") or {}
        return bool(labels.get(KUBELET_LABEL) == KUBELET_RUNNING)
    metadata = wire.first(wire.unpack(node), _METADATA) or b""
    return any(
        field.number == _LABELS and field.value == _PLAYED
        for field in wire.fields(metadata)
    )


def fresh(stored: bytes, now: float | None = None) -> bytes:
    """
    Return a stored lease renewed now and held by nobody.

    Without a holder KWOK takes it at once; with the holder of another KWOK it would
    wait until the lease has expired.
    """
    now = time.time() if now is None else now
    if not stored.startswith(wire.MAGIC):
        lease = json.loads(stored)
        lease["spec"] = {**(lease.get("spec") or {}), "renewTime": micro_time(now)}
        lease["spec"].pop("holderIdentity", None)
        return json.dumps(lease).encode()
    message = wire.unpack(stored)
    spec = wire.first(message, _SPEC) or b""
    at = wire.of_int(_SECONDS, int(now))
    at += wire.of_int(_NANOS, int(now % 1 * 1_000_000) * 1_000)
    spec = wire.replaced(wire.replaced(spec, _HOLDER, None), _RENEWED, at)
    return wire.repack(stored, wire.replaced(message, _SPEC, spec))


def micro_time(now: float) -> str:
    """Return a moment as a Kubernetes MicroTime."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seconds(text: object) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError as error:
        raise BadInput(f"a stored lease has a time that is none: {text!r}") from error
