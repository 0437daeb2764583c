"""In a transplant the kubelets of nodes are served by the KWOK of the new cluster."""

from __future__ import annotations

import json

from pytest_knav.control_plane.state import endpoints, wire


KEY = endpoints.PREFIX + "n0"


def node(*status: bytes) -> bytes:
    """Return a stored node with some fields of its status."""
    message = wire.of_bytes(1, wire.of_bytes(1, b"n0")) + wire.of_bytes(
        3, b"".join(status)
    )
    kind = wire.of_bytes(1, b"v1") + wire.of_bytes(2, b"Node")
    return wire.MAGIC + wire.of_bytes(1, kind) + wire.of_bytes(2, message)


def port_of(stored: bytes) -> bytes | None:
    """Return the kubelet's endpoint of a stored node."""
    return wire.first(wire.unpack(stored), 3, 6, 1)


def test_the_port_of_a_stored_node_is_replaced() -> None:
    """And nothing else of it."""
    phase = wire.of_bytes(3, b"Running")
    old = wire.of_bytes(6, wire.of_bytes(1, wire.of_int(1, 19668)))

    moved = endpoints.at_port({KEY: node(phase, old), "/registry/pods/p": b"x"}, 15859)

    assert port_of(moved[KEY]) == wire.of_int(1, 15859)
    assert wire.first(wire.unpack(moved[KEY]), 3, 3) == b"Running"
    assert wire.first(wire.unpack(moved[KEY]), 1, 1) == b"n0"
    assert moved["/registry/pods/p"] == b"x"


def test_the_port_of_a_node_in_json_is_replaced() -> None:
    """As copies of models are stored."""
    made = {"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}, "a": "b"}}

    moved = endpoints.at_port({KEY: json.dumps(made).encode()}, 2)

    made["status"]["daemonEndpoints"] = {"kubeletEndpoint": {"Port": 2}}
    assert json.loads(moved[KEY]) == made


def test_a_node_without_a_port_is_left_alone() -> None:
    """It was never played."""
    for stored in (node(), b'{"metadata": {}}'):
        assert endpoints.at_port({KEY: stored}, 2) == {KEY: stored}
