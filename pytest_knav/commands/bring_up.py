"""Making a cluster that stays: everything that can be wrong is found out early."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_knav.control_plane import ports, registry
from pytest_knav.control_plane.assets import AssetStore, StreamProgress
from pytest_knav.control_plane.config import make_config
from pytest_knav.control_plane.plane import Binaries, ControlPlane
from pytest_knav.control_plane.state.beginning import begin
from pytest_knav.topology import make_topology


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_knav.control_plane.config import ClusterConfig
    from pytest_knav.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user asked for."""

    name: str
    topology: str
    nodes: int | None
    time_profile: str
    control_plane: str
    port: int | None
    assets: Path | None
    kube_version: str | None


def bring_up(wish: Wish, say: Callable[[str], None]) -> Path:
    """
    Make a cluster with all of its nodes Ready, and leave it running.

    Until it is finished it belongs to this process: whatever ends the process before
    that, nothing is left but what the next start or `knav cluster prune` removes.

    Args:
        wish: What is asked for.
        say: Told of each step.

    Returns:
        The path of its kubeconfig.

    Raises:
        HarnessError: It could not be made; nothing of it is left then.

    """
    topology = make_topology(wish.topology, wish.nodes)
    store = AssetStore(
        directory=wish.assets,
        kube_version=wish.kube_version,
        progress=StreamProgress(sys.stderr),
    )
    config = make_config(
        versions=store.versions(),
        nodes=len(topology.nodes),
        time_profile=wish.time_profile,
        control_plane=wish.control_plane,
    )
    _check_name_and_port(wish)
    began = time.monotonic()
    kubeconfig = _make(wish, topology, config, Binaries.of(store), say)
    took_s = time.monotonic() - began
    say(f"cluster {wish.name!r} is up after {took_s:.1f}s")
    return kubeconfig


def _check_name_and_port(wish: Wish) -> None:
    """Find out before minutes go into binaries; both are claimed properly later."""
    registry.check_name(wish.name)
    if wish.port is not None:
        ports.reserve_exactly(wish.name, wish.port)
        ports.release(wish.name)


def _make(
    wish: Wish,
    topology: Topology,
    config: ClusterConfig,
    binaries: Binaries,
    say: Callable[[str], None],
) -> Path:
    say(f"starting the control plane of {wish.name!r}")
    plane = ControlPlane.create(
        wish.name,
        config,
        binaries,
        owned=True,
        port=wish.port,
        description=topology.name,
    )
    try:
        begin(plane, topology)
        plane.close()
        registry.keep(plane.entry)
    except BaseException:
        say(f"removing what there is of {wish.name!r}")
        plane.delete()
        raise
    say(f"{len(topology.nodes)} nodes of {topology.name} are Ready")
    return plane.entry.kubeconfig
