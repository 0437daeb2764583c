"""
Making a cluster that stays: everything that can be wrong is found out early.

It begins with the nodes of a topology, or with what a file holds (`--from`).
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_knav.commands.states import Source, after, agree, config_of
from pytest_knav.control_plane import ports, registry
from pytest_knav.control_plane.assets import AssetStore, StreamProgress
from pytest_knav.control_plane.config import make_config
from pytest_knav.control_plane.plane import Binaries, ControlPlane
from pytest_knav.control_plane.state.beginning import begin
from pytest_knav.errors import BadInput
from pytest_knav.topology import make_topology
from pytest_knav.topology.devices import with_dra


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_knav.control_plane.config import ClusterConfig

TOPOLOGY = "dgx-h100"
TIME_PROFILE = "fast"
CONTROL_PLANE = "fast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user asked for; None stands for what was not said."""

    name: str
    topology: str | None
    nodes: int | None
    time_profile: str | None
    control_plane: str | None
    port: int | None
    assets: Path | None
    kube_version: str | None
    source: Path | None = None
    live: bool = False
    dra: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """
    What is made.

    Attributes:
        config: The settings of the control plane.
        description: What `knav cluster list` shows.
        fill: Brings a new cluster to its beginning and says what that is.

    """

    config: ClusterConfig
    description: str
    fill: Callable[[ControlPlane], str]


def bring_up(wish: Wish, say: Callable[[str], None]) -> Path:
    """
    Make a cluster with all of its nodes Ready, or as a file has it; leave it running.

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
    if wish.live and wish.source is None:
        raise BadInput("--live is for --from: a new cluster runs by itself")
    if wish.dra and wish.source is not None:
        raise BadInput(
            "--dra is for a new cluster: a file of --from says what there is"
        )
    source = Source.read(wish.source, say) if wish.source else None
    store = AssetStore(
        directory=wish.assets,
        kube_version=wish.kube_version,
        progress=StreamProgress(sys.stderr),
    )
    if source is not None:
        plan = _from_source(wish, source, store.versions())
    else:
        plan = _from_topology(wish, store.versions())
    _check_name_and_port(wish)
    began = time.monotonic()
    entry = _make(wish, plan, Binaries.of(store), say)
    took_s = time.monotonic() - began
    say(f"cluster {wish.name!r} is up after {took_s:.1f}s")
    for line in after(entry):
        say(line)
    return entry.kubeconfig


def _from_topology(wish: Wish, versions: Mapping[str, str]) -> _Plan:
    topology = make_topology(wish.topology or TOPOLOGY, wish.nodes)
    if wish.dra and not topology.dra:
        topology = with_dra(topology)

    def fill(plane: ControlPlane) -> str:
        begin(plane, topology)
        return f"{len(topology.nodes)} nodes of {topology.name} are Ready"

    config = make_config(
        versions=dict(versions),
        nodes=len(topology.nodes),
        time_profile=wish.time_profile or TIME_PROFILE,
        control_plane=wish.control_plane or CONTROL_PLANE,
    )
    return _Plan(config=config, description=topology.name, fill=fill)


def _from_source(wish: Wish, source: Source, versions: Mapping[str, str]) -> _Plan:
    agree(source, "--topology", wish.topology, source.topology)
    agree(source, "--nodes", wish.nodes, source.nodes)
    config = config_of(
        source,
        versions,
        time_profile=wish.time_profile,
        control_plane=wish.control_plane,
    )
    return _Plan(
        config=config,
        description=source.description,
        fill=lambda plane: source.fill(plane, live=wish.live),
    )


def _check_name_and_port(wish: Wish) -> None:
    """Find out before minutes go into binaries; both are claimed properly later."""
    registry.check_name(wish.name)
    if wish.port is not None:
        ports.reserve_exactly(wish.name, wish.port)
        ports.release(wish.name)


def _make(
    wish: Wish, plan: _Plan, binaries: Binaries, say: Callable[[str], None]
) -> registry.ClusterEntry:
    say(f"starting the control plane of {wish.name!r}")
    plane = ControlPlane.create(
        wish.name,
        plan.config,
        binaries,
        owned=True,
        port=wish.port,
        description=plan.description,
    )
    try:
        done = plan.fill(plane)
        plane.close()
        registry.keep(plane.entry)
    except BaseException:
        say(f"removing what there is of {wish.name!r}")
        plane.delete()
        raise
    say(done)
    return plane.entry
