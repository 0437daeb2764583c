"""Node leases as they go into the store: fresh, and held by nobody."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Final

from pytest_knav.control_plane.kwokctl import KUBELET_LABEL, KUBELET_RUNNING
from pytest_knav.control_plane.state import wire
from pytest_knav.errors import BadInput


PREFIX: Final = "/registry/leases/kube-node-lease/"
# Field numbers of ObjectMeta and of an entry of a map (generated.proto, protobuf).
_METADATA, _LABELS, _KEY, _VALUE = 1, 11, 1, 2
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
