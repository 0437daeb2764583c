"""
The port at which a node's kubelet serves: another cluster's KWOK serves at its own.

metrics-server, `kubectl logs` and the API server's proxy take it from the node's
status, so a transplant must not bring that of the cluster it was taken from.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane.state import wire


if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "/registry/minions/"
# Node.status, NodeStatus.daemonEndpoints, NodeDaemonEndpoints.kubeletEndpoint and
# DaemonEndpoint.Port (k8s.io/api/core/v1/generated.proto).
_STATUS, _ENDPOINTS, _KUBELET, _PORT = 3, 6, 1, 1


def at_port(values: Mapping[str, bytes], port: int) -> dict[str, bytes]:
    """Return the values of a state, with the kubelets of its nodes at a port."""
    return {
        key: _moved(value, port) if key.startswith(PREFIX) else value
        for key, value in values.items()
    }


def _moved(stored: bytes, port: int) -> bytes:
    if not stored.startswith(wire.MAGIC):
        return _moved_json(stored, port)
    message = wire.unpack(stored)
    status = wire.first(message, _STATUS)
    endpoints = wire.first(message, _STATUS, _ENDPOINTS)
    if status is None or endpoints is None:
        return stored
    kubelet = wire.of_int(_PORT, port)
    endpoints = wire.replaced(endpoints, _KUBELET, kubelet)
    status = wire.replaced(status, _ENDPOINTS, endpoints)
    return wire.repack(stored, wire.replaced(message, _STATUS, status))


def _moved_json(stored: bytes, port: int) -> bytes:
    node = json.loads(stored)
    endpoints = node.get("status", {}).get("daemonEndpoints")
    if not endpoints or "kubeletEndpoint" not in endpoints:
        return stored
    endpoints["kubeletEndpoint"] = {"Port": port}
    return json.dumps(node).encode()
