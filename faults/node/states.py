"""How nodes look in the history, for the moments of faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.control_plane.changes import Report, node
from pytest_knav.control_plane.kwokctl import KUBELET_LABEL
from pytest_knav.control_plane.nodes import node_info
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Signal


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World


def all_tainted(
    world: World, targets: Sequence[str], key: str, *, tainted: bool
) -> Signal | None:
    """Return that every target that is there carries a taint, or that none does."""
    for name in targets:
        found = world.history.get("Node", "", name)
        if found is None:
            continue
        if any(taint == key for taint, _ in node_info(found).taints) != tainted:
            return None
    word = "with" if tainted else "without"
    return Signal(name="taint", evidence=f"{len(targets)} nodes {word} the taint {key}")


def all_ready(
    world: World, targets: Sequence[str], ready: str, *, taint: str = ""
) -> Signal | None:
    """Return that the Ready condition of every target is so; with the taint or not."""
    for name in targets:
        found = world.history.get("Node", "", name)
        if found is not None and node_info(found).ready != ready:
            return None
    if taint and not all_tainted(world, targets, taint, tainted=ready != "True"):
        return None
    return Signal(name="ready", evidence=f"{len(targets)} nodes Ready={ready}")


def check_there(fault: str, world: World, nodes: Sequence[str]) -> None:
    """
    Return when every node is in the cluster.

    Raises:
        BadInput: One is not: it was deleted, or never made.

    """
    missing = [n for n in nodes if world.history.get("Node", "", n) is None]
    if missing:
        raise BadInput(
            f"{fault}: {missing[0]} is not in the cluster{_more(missing)}: nothing is "
            "left of it to break"
        )


def check_alive(fault: str, world: World, nodes: Sequence[str]) -> None:
    """
    Return when every node has a kubelet that can fail, and is Ready.

    Raises:
        BadInput: One is not in the cluster, is not Ready, or is not played by KWOK.

    """
    check_there(fault, world, nodes)
    for name in nodes:
        info = node_info(world.history.get("Node", "", name) or {})
        if KUBELET_LABEL not in dict(info.labels):
            raise BadInput(
                f"{fault}: {name} has no kubelet that could fail: it does not carry "
                f"the label {KUBELET_LABEL} by which KWOK plays it"
            )
        if info.ready != "True":
            raise BadInput(
                f"{fault}: {name} has failed already (Ready={info.ready}): clear what "
                "holds it first, or wait until it is Ready"
            )


def told_by_kubelet(
    names: Sequence[str], reason: str, message: str, *, warning: bool = False
) -> list[Change]:
    """Return the Event that each node's kubelet writes; `{node}` is its name."""
    # A kubelet's Events about its node have the node's name as uid
    # (pkg/kubelet/kubelet.go, nodeRef).
    return [
        Report(
            ref=node(name),
            uid=name,
            component="kubelet",
            reason=reason,
            message=message.format(node=name),
            warning=warning,
            signal="event",
        )
        for name in names
    ]


def _more(names: Sequence[str]) -> str:
    return f", and {len(names) - 1} more are not" if len(names) > 1 else ""
