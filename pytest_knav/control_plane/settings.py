"""What a user's fixture `knav_cluster_config` says of the control plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Callable

API_VERSION: Final = "kubescheduler.config.k8s.io/v1"
KIND: Final = "KubeSchedulerConfiguration"
_ARGUMENTS: Final = ("scheduler_config", "feature_gates")
# `--config` makes kube-scheduler ignore its other flags, those without client limits
# among them (cmd/kube-scheduler/app/options/options.go).
_UNLIMITED: Final = {"qps": 10_000, "burst": 10_000}
_NOT_YOURS: Final = ("clientConnection", "leaderElection")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """
    Settings of the control plane beside those of the mark `knav`.

    Attributes:
        scheduler_config: A KubeSchedulerConfiguration as YAML; empty: the stock one.
        feature_gates: Gates on top of the default ones, below those of the mark.

    """

    scheduler_config: str = ""
    feature_gates: Mapping[str, bool] = field(default_factory=dict)


def settings_of(function: Callable[..., Any] | None) -> ClusterSettings:
    """
    Return the settings of a user's own fixture; None: there is none.

    Raises:
        BadInput: It takes arguments, or returns something that cannot be set.

    """
    if function is None:
        return ClusterSettings()
    # What a test needs is known before any test runs, so no fixture can be asked.
    if function.__code__.co_argcount:
        raise BadInput(
            "the fixture knav_cluster_config takes arguments: what a test needs is "
            "known before any fixture runs, so let it take none, not even request"
        )
    found = function()
    if not isinstance(found, Mapping) or not found.keys() <= {*_ARGUMENTS}:
        raise BadInput(
            f"the fixture knav_cluster_config returns {found!r:.120}: give a dict with "
            f"any of {', '.join(_ARGUMENTS)}"
        )
    gates = found.get("feature_gates", {})
    if not isinstance(gates, Mapping) or not all(
        isinstance(gate, str) and isinstance(on, bool) for gate, on in gates.items()
    ):
        raise BadInput(
            f"knav_cluster_config, feature_gates={gates!r}: give a dict such as "
            '{"GangScheduling": False}'
        )
    text = _scheduler_config(found.get("scheduler_config"))
    return ClusterSettings(scheduler_config=text, feature_gates=gates)


def _scheduler_config(given: object) -> str:
    """Return a scheduler's configuration as it goes to the process."""
    if given is None:
        return ""
    found = given
    if isinstance(given, str):
        try:
            found = yaml.safe_load(given)
        except yaml.YAMLError as error:
            raise BadInput(f"knav_cluster_config, scheduler_config: {error}") from error
    if not isinstance(found, Mapping):
        raise BadInput(
            f"knav_cluster_config, scheduler_config={given!r:.120}: give a {KIND} as a "
            "dict or as YAML"
        )
    for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if found.get(key, wanted) != wanted:
            raise BadInput(
                f"knav_cluster_config, scheduler_config: {key} is {found[key]!r}, and "
                f"has to be {wanted!r}"
            )
    taken = [key for key in _NOT_YOURS if key in found]
    if taken:
        raise BadInput(
            f"knav_cluster_config, scheduler_config: {taken[0]} is set by pytest-knav: "
            "leave it away"
        )
    whole = {"apiVersion": API_VERSION, "kind": KIND, **found}
    whole["clientConnection"] = dict(_UNLIMITED)
    whole["leaderElection"] = {"leaderElect": False}
    return yaml.safe_dump(whole, sort_keys=True)
