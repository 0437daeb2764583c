"""Nodes that crash together are let go in the order of their next renewals."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from pytest_knav.faults import NodeCrash


if TYPE_CHECKING:
    from pytest_knav.faults.base import World


def world(renewed_s: dict[str, float]) -> World:
    """Return a cluster whose leases were renewed then; others were never."""

    def lease(kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        assert (kind, namespace) == ("Lease", "kube-node-lease")
        return {"metadata": {"uid": name}} if name in renewed_s else None

    def last_of(uid: str) -> SimpleNamespace:
        return SimpleNamespace(monotonic=renewed_s[uid])

    history = SimpleNamespace(get=lease, last_of=last_of)
    return cast("Any", SimpleNamespace(history=history))


def let_go(renewed_s: dict[str, float], *nodes: str) -> list[str]:
    """Return the nodes in the order in which a crash of them lets them go."""
    changes = NodeCrash(nodes).changes(world(renewed_s), nodes)
    return [cast("Any", change).ref.name for change in changes]


def test_the_node_that_renews_next_is_let_go_first() -> None:
    """Else it would renew while the others are written: a crash seconds late."""
    assert let_go({"a": 30.0, "b": 10.0, "c": 20.0}, "a", "b", "c") == ["b", "c", "a"]


def test_a_node_without_a_renewal_is_let_go_at_once() -> None:
    """Its first renewal may come any moment."""
    assert let_go({"a": 10.0}, "a", "b") == ["b", "a"]


def test_nodes_renewed_together_keep_their_order() -> None:
    """Where the time does not decide, the name does: not the order of the target."""
    assert let_go({"b": 10.0, "a": 10.0}, "b", "a") == ["a", "b"]
