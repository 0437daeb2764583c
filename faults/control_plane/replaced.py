"""A component that is replaced in flight: another version, other settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_knav.control_plane.changes import Setup
from pytest_knav.control_plane.kwokctl import flag_value
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault, FaultCard
from pytest_knav.faults.control_plane.components import OfComponent


if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.faults.base import World

_SCHEDULER: Final = "kube-scheduler"
# It plays the kubelets: a new one would wait for the leases of the old one to expire.
KUBELETS: Final = "kwok-controller"
_CONFIG_FILE: Final = "scheduler.yaml"
_KUBECONFIG: Final = "{kubeconfig}"


@dataclass(frozen=True, slots=True)
class ComponentReplaced(OfComponent):
    """
    A component is replaced in flight, and put back: other settings, another version.

    Changes: the process is ended and started with other arguments or another program,
    on the same port, and must become healthy. What it held in memory is lost. Of the
    arguments those that are given win; all others stay.

    Args:
        target: `scheduler`, `kcm`, `apiserver` or `etcd`.
        flags: Values by name without dashes, such as `{"v": "4"}`.
        feature_gates: On top of those that the component has.
        config: A KubeSchedulerConfiguration as YAML, for the scheduler. Its
            clientConnection must lead to `{kubeconfig}`.
        binary: The path of another program, such as the next version.

    """

    card: ClassVar[FaultCard] = FaultCard(
        family="control_plane",
        layer="process",
        signals=("process",),
        stands_for="an upgrade or a rollback, a changed configuration, a gate flipped",
        source="Kubernetes, version skew policy; KubeSchedulerConfiguration",
        certifies="that work in flight is finished by the component that comes after",
        does_not_certify="an upgrade of the objects in the store",
        undone="the component is started as it was and says that it is healthy",
    )

    flags: Mapping[str, str] | None = None
    feature_gates: Mapping[str, bool] | None = None
    config: str | None = None
    binary: str | None = None

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if not (self.flags or self.feature_gates or self.config or self.binary):
            raise BadInput(
                "ComponentReplaced(): nothing is other: give flags, feature_gates, "
                "config or binary"
            )
        for name, value in (self.flags or {}).items():
            if name.startswith("-") or not isinstance(value, str):
                raise BadInput(
                    f"ComponentReplaced(flags={{{name!r}: {value!r}}}): give names "
                    'without dashes and values as text, such as {"v": "4"}'
                )
        for gate, on in (self.feature_gates or {}).items():
            if not isinstance(on, bool):
                raise BadInput(f"feature_gates[{gate!r}]={on!r}: give True or False")
        if self.config is not None and _KUBECONFIG not in self.config:
            raise BadInput(
                "ComponentReplaced(config=…): it does not say how to reach the API "
                f'server: clientConnection: {{kubeconfig: "{_KUBECONFIG}"}}'
            )
        if self.binary is not None and not Path(self.binary).is_file():
            raise BadInput(
                f"ComponentReplaced(binary={self.binary!r}): there is no such file"
            )

    def resolve(self, world: World, choose: random.Random) -> tuple[str, ...]:
        """Return the full name of the component."""
        found = OfComponent.resolve(self, world, choose)
        allowed = sorted(world.plane.components.keys() - {KUBELETS})
        if len(found) != 1 or found[0] not in allowed:
            raise BadInput(f"{self.name}: give one of {', '.join(allowed)}")
        if self.config is not None and found[0] != _SCHEDULER:
            raise BadInput(f"{self.name}: config= is for the scheduler alone")
        return found

    def blinds(self, targets: Sequence[str]) -> bool:
        """Return False: when it is seen, all runs again."""
        del targets
        return False

    def changes(self, world: World, targets: Sequence[str]) -> Sequence[Change]:
        """Return the other setup."""
        (name,) = targets
        command = world.plane.component(name).command
        flags, files = dict(self.flags or {}), {}
        if self.feature_gates:
            flags["feature-gates"] = _gates(command, self.feature_gates)
        if self.config is not None:
            # One with a configuration of its own has no such flag.
            kubeconfig = flag_value(command, "kubeconfig")
            kubeconfig = kubeconfig or str(world.plane.entry.kubeconfig)
            text = self.config.replace(_KUBECONFIG, kubeconfig)
            flags["config"] = f"{{dir}}/{_CONFIG_FILE}"
            files[_CONFIG_FILE] = text
        binary = "" if self.binary is None else str(Path(self.binary).resolve())
        return [
            Setup(
                component=name,
                binary=binary,
                flags=flags,
                files=files,
                signal="process",
            )
        ]


def _gates(command: list[str], more: Mapping[str, bool]) -> str:
    given = (flag_value(command, "feature-gates") or "").split(",")
    parts = (part.partition("=") for part in given if part)
    gates = {gate: value for gate, _, value in parts}
    gates |= {gate: str(on).lower() for gate, on in more.items()}
    return ",".join(f"{gate}={value}" for gate, value in sorted(gates.items()))
