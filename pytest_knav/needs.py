"""What a test needs of its cluster: its `knav` mark, filled up from the options."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_knav.control_plane.config import make_config
from pytest_knav.control_plane.settings import settings_of
from pytest_knav.errors import BadInput
from pytest_knav.fixtures import names
from pytest_knav.scheduling import Group
from pytest_knav.systems.finding import STOCK, called, find_system
from pytest_knav.topology import Topology, make_topology
from pytest_knav.topology.devices import with_dra
from pytest_knav.topology.presets import FILE_ENDINGS


if TYPE_CHECKING:
    import pytest

    from pytest_knav.control_plane.config import ClusterConfig
    from pytest_knav.options import Settings
    from pytest_knav.systems import System
    from pytest_knav.utilization.model import Load

MARK_ARGUMENTS = (
    "topology",
    "nodes",
    "dra",
    "utilization",
    "feature_gates",
    "isolated",
    "leader_election",
    "network",
    "system",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """
    The cluster that a test asks for.

    Attributes:
        topology: Racks and nodes.
        feature_gates: Gates on top of the default ones, sorted.
        isolated: Whether it wants a control plane that no other test uses.
        time_profile: The run's; `fast` depends on the number of nodes.
        load: How busy every pod is; None: nobody has said.
        system: The scheduler or operator under test; None: the stock one alone.
        leader_election: Whether the components elect a leader; see `LeaderLost`.
        network: Whether there is a proxy in every link between two components.
        scheduler_config: A KubeSchedulerConfiguration as YAML; empty: the stock one.

    """

    topology: Topology
    feature_gates: tuple[tuple[str, bool], ...] = ()
    isolated: bool = False
    time_profile: str = "fast"
    load: Load | None = None
    system: System | None = None
    leader_election: bool = False
    network: bool = False
    scheduler_config: str = ""

    def config(
        self, versions: Mapping[str, str], control_plane: str = "fast"
    ) -> ClusterConfig:
        """Return the settings of the control plane that this asks for."""
        return make_config(
            versions=dict(versions),
            nodes=len(self.topology.nodes),
            time_profile=self.time_profile,
            control_plane=control_plane,
            feature_gates=dict(self.feature_gates),
            system="" if self.system is None else self.system.digest,
            leader_election=self.leader_election,
            network=self.network,
            scheduler_config=self.scheduler_config,
        )

    @property
    def system_name(self) -> str:
        """Return what the system under test is called."""
        return STOCK if self.system is None else self.system.name

    @property
    def plane(self) -> tuple[float, str]:
        """
        Return what stands for the key of the control plane that this asks for.

        It is equal where the keys are, and known without a look at the binaries, whose
        versions are the same all through a run.
        """
        config = self.config({})
        return (config.profile.lease_s, config.key)

    @property
    def order(self) -> tuple[Any, ...]:
        """Return what to sort tests by, so that clusters are rarely changed."""
        return (
            self.isolated,
            *self.plane,
            self.topology.name,
            len(self.topology.nodes),
            self.topology.dra,
        )

    @property
    def group(self) -> Group:
        """Return what makes tests good neighbours on one worker."""
        lease_s, key = self.plane
        return Group(
            plane=f"{key} (lease {lease_s:g}s){', isolated' * self.isolated}",
            topology=f"{self.topology.name} ({len(self.topology.nodes)} nodes"
            f"{', DRA' * self.topology.dra})",
        )


def needs_of(item: pytest.Item, settings: Settings) -> Needs:
    """
    Return what a test needs.

    Raises:
        BadInput: The mark is wrong, or an option says something else than the mark.

    """
    marked = _marked(item)
    topology = _topology_of(item, marked, settings)
    gates = marked.get("feature_gates", {})
    if not isinstance(gates, Mapping) or not all(
        isinstance(gate, str) and isinstance(on, bool) for gate, on in gates.items()
    ):
        raise BadInput(
            f"knav(feature_gates={gates!r}): give a dict such as "
            '{"GangScheduling": True}'
        )
    settled = settings_of(names.own_cluster_config(item))
    isolated = _flag("isolated", marked)
    if _flag("dra", marked) and not topology.dra:
        topology = with_dra(topology)
    return Needs(
        topology=topology,
        feature_gates=tuple(sorted({**settled.feature_gates, **gates}.items())),
        isolated=isolated,
        time_profile=settings.time_profile,
        load=_load(marked),
        system=system_of(item, marked, settings),
        leader_election=_flag("leader_election", marked),
        network=_flag("network", marked),
        scheduler_config=settled.scheduler_config,
    )


def system_of(
    item: pytest.Item, marked: Mapping[str, Any], settings: Settings
) -> System | None:
    """
    Return the system under test: of the mark, of the option, of the user's fixture.

    Raises:
        BadInput: There is none, or the option says something else than the mark.

    """
    chosen = getattr(item, "callspec", None)
    option = settings.system
    if chosen is not None and "knav_system" in chosen.params:
        option = chosen.params["knav_system"]
    if "system" in marked:
        wanted = _fill("system", marked, option, settings)
        return find_system(wanted, item.path.parent)
    if option is not None:
        return find_system(option, item.config.invocation_params.dir)
    own = names.own_system(item)
    return None if own is None else called(own, "the fixture knav_system")


def _load(marked: Mapping[str, Any]) -> Load | None:
    if "utilization" not in marked:
        return None
    from pytest_knav.utilization.model import (  # noqa: PLC0415 - few tests have it
        marked_load,
    )

    return marked_load(marked["utilization"])


def _topology_of(
    item: pytest.Item, marked: Mapping[str, Any], settings: Settings
) -> Topology:
    """Return the topology of a name, of a file beside the test, or the one given."""
    wanted = _fill("topology", marked, settings.topology, settings)
    nodes = _fill("nodes", marked, settings.nodes, settings)
    if isinstance(wanted, Topology):
        if "nodes" in marked:
            raise BadInput(
                f"knav(topology=…, nodes={nodes!r}): the topology that is given has "
                f"{len(wanted.nodes)} nodes: leave nodes away"
            )
        return wanted
    if not isinstance(wanted, str):
        raise BadInput(
            f"knav(topology={wanted!r}): give the name of a topology, the path of a "
            ".yaml file, or a Topology"
        )
    if not wanted.endswith(FILE_ENDINGS):
        return _made(wanted, nodes, 0)
    # Beside the test where the mark says it, else where pytest was started.
    here = (
        item.path.parent if "topology" in marked else item.config.invocation_params.dir
    )
    path = (here / wanted).resolve()
    stamp = path.stat().st_mtime_ns if path.exists() else 0
    return _made(str(path), nodes, stamp)


@functools.lru_cache(maxsize=32)
def _made(name: str, nodes: int | None, _stamp: int) -> Topology:
    """Return a topology once for all tests that ask for it, as long as it is so."""
    return make_topology(name, nodes)


def _flag(name: str, marked: Mapping[str, Any]) -> bool:
    value = marked.get(name, False)
    if not isinstance(value, bool):
        raise BadInput(f"knav({name}={value!r}): give True or False")
    return value


def _marked(item: pytest.Item) -> dict[str, Any]:
    found: dict[str, Any] = {}
    # The closest mark wins: the test's before its class's before its module's.
    for mark in reversed(list(item.iter_markers("knav"))):
        if mark.args:
            raise BadInput(
                f"knav({', '.join(map(repr, mark.args))}): name the arguments: "
                f"{', '.join(f'{a}=' for a in MARK_ARGUMENTS)}"
            )
        unknown = sorted(set(mark.kwargs) - set(MARK_ARGUMENTS))
        if unknown:
            raise BadInput(
                f"knav({unknown[0]}={mark.kwargs[unknown[0]]!r}): there is no such "
                f"argument: use {', '.join(MARK_ARGUMENTS)}"
            )
        found.update(mark.kwargs)
    return found


def _fill(
    name: str, marked: Mapping[str, Any], option: object, settings: Settings
) -> Any:  # noqa: ANN401 - checked by the caller
    if name not in marked:
        return option
    if settings.explicit(name) and marked[name] != option:
        raise BadInput(
            f"knav({name}={marked[name]!r}) is what the test needs, but "
            f"--knav-{name} says {option!r} ({settings.origins[name]}): "
            "leave the option away, or deselect the test"
        )
    return marked[name]
