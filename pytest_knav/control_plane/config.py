"""What only a new control plane can change, as one value: its key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_knav.control_plane.profiles import TimeProfile, profile_named
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Alpha and beta gates of 1.36 for gangs, topology-aware gangs, preemption of whole
# gangs and device taints by rule (KEP-4671, KEP-5732, KEP-5710, KEP-5055).
DEFAULT_FEATURE_GATES: tuple[tuple[str, bool], ...] = (
    ("DRADeviceTaintRules", True),
    ("GangScheduling", True),
    ("GenericWorkload", True),
    ("TopologyAwareWorkloadScheduling", True),
    ("WorkloadAwarePreemption", True),
)
CONTROL_PLANES = ("plain", "fast")
# The binaries that run in a cluster; versions of other tools do not shape it.
RUNNING = frozenset({
    "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok",
    "kwokctl",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """
    The settings of a control plane that are fixed for its lifetime.

    Two clusters with equal `key` can stand in for each other; everything else (nodes,
    topology, stages) is state.
    """

    versions: tuple[tuple[str, str], ...]
    profile: TimeProfile
    control_plane: str = "plain"
    feature_gates: tuple[tuple[str, bool], ...] = DEFAULT_FEATURE_GATES
    scheduler_config: str | None = None
    extra_args: tuple[tuple[str, str, str], ...] = field(default=())
    # The digest of the system under test: its memory and objects are never shared.
    system: str = ""
    # Whether kube-controller-manager and the scheduler elect a leader.
    leader_election: bool = False
    # Whether there is a proxy in every link between two components.
    network: bool = False

    @property
    def key(self) -> str:
        """Return a short stable digest of all of it."""
        text = json.dumps(self.as_data(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> ClusterConfig:
        """
        Return what `as_data` made.

        Raises:
            BadInput: It is of another version of pytest-knav.

        """
        try:
            return cls(
                versions=_pairs(data["versions"]),
                profile=TimeProfile(**data["profile"]),
                control_plane=data["control_plane"],
                feature_gates=_pairs(data["feature_gates"]),
                scheduler_config=data["scheduler_config"],
                extra_args=_pairs(data["extra_args"]),
                system=data.get("system", ""),
                leader_election=data.get("leader_election", False),
                network=data.get("network", False),
            )
        except (KeyError, TypeError) as error:
            raise BadInput(
                f"these settings of a cluster are of another pytest-knav: {error}"
            ) from error

    @property
    def gates_argument(self) -> str:
        """Return the feature gates as components take them."""
        return ",".join(
            f"{gate}={str(on).lower()}" for gate, on in sorted(self.feature_gates)
        )


def make_config(  # noqa: PLR0913 - all by name, most have a default
    *,
    versions: dict[str, str],
    nodes: int,
    time_profile: str = "fast",
    control_plane: str = "plain",
    feature_gates: dict[str, bool] | None = None,
    system: str = "",
    leader_election: bool = False,
    network: bool = False,
    scheduler_config: str = "",
) -> ClusterConfig:
    """
    Return the settings for a cluster of a number of nodes.

    Args:
        versions: The version of each binary by name.
        nodes: How many nodes there will be; the `fast` profile depends on it.
        time_profile: `real` or `fast`.
        control_plane: `plain` is what kwokctl starts by itself; `fast` has no client
            rate limits and an etcd that does not sync to disk.
        feature_gates: Gates on top of the default ones.
        system: The digest of a system under test.
        leader_election: Whether the components that can elect a leader do so.
        network: Whether there is a proxy in every link between two components.
        scheduler_config: A KubeSchedulerConfiguration as YAML; empty: the stock one.

    Raises:
        BadInput: A value is none of the allowed ones.

    """
    if control_plane not in CONTROL_PLANES:
        raise BadInput(
            f"control plane {control_plane!r} is unknown: "
            f"use one of {', '.join(CONTROL_PLANES)}"
        )
    gates = dict(DEFAULT_FEATURE_GATES)
    for gate, on in (feature_gates or {}).items():
        if not isinstance(on, bool):
            raise BadInput(f"feature_gates[{gate!r}]={on!r}: give True or False")
        gates[gate] = on
    return ClusterConfig(
        versions=tuple(sorted(v for v in versions.items() if v[0] in RUNNING)),
        profile=profile_named(time_profile, nodes=nodes),
        control_plane=control_plane,
        feature_gates=tuple(sorted(gates.items())),
        system=system,
        leader_election=leader_election,
        network=network,
        scheduler_config=scheduler_config or None,
    )


def _pairs(items: Iterable[Iterable[Any]]) -> tuple[Any, ...]:
    """Return lists as the tuples that they were before JSON."""
    return tuple(tuple(item) for item in items)
