"""What one chaos test leaves for the reports: a value that survives JSON and xdist."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

    from pytest_knav.checks.recovery import Recovery


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryRow:
    """One recovery in figures; seconds, None where there are none."""

    fault: str
    workload: str
    outcome: str
    within_s: float
    seconds: float | None
    phases: Mapping[str, float]

    @classmethod
    def of(cls, recovery: Recovery) -> RecoveryRow:
        """Return the figures of a recovery."""
        recovered = recovery.outcome == "recovered"
        return cls(
            fault=recovery.fault,
            workload=recovery.subject,
            outcome=recovery.outcome,
            within_s=recovery.within_s,
            seconds=recovery.seconds if recovered else None,
            phases=recovery.slowest_phases,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRecord:
    """
    One test: what it ran on, what was broken, what came of it, how to run it again.

    Attributes:
        cluster_s: Seconds until its clean cluster was ready.
        replay: The command that runs it again with the same choices.
        versions: What it ran on, such as `Kubernetes`.
        state: The file with the cluster's state at its failure, if there is one.
        deaths: Which components died by themselves, in words.

    """

    __test__ = False

    test: str
    topology: str
    nodes: int
    seed: int
    time_profile: str
    cluster_s: float
    artifacts: str
    replay: str
    versions: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""
    faults: tuple[str, ...] = ()
    recoveries: tuple[RecoveryRow, ...] = field(default=())
    state: str = ""
    deaths: tuple[str, ...] = ()

    def with_fault(self, name: str) -> TestRecord:
        """Return it with one more fault."""
        return replace(self, faults=(*self.faults, name))

    def with_recovery(self, recovery: Recovery) -> TestRecord:
        """Return it with one more recovery."""
        return replace(self, recoveries=(*self.recoveries, RecoveryRow.of(recovery)))

    def ended(self, verdict: str, state: str = "") -> TestRecord:
        """Return it with its verdict, and the saved state of its cluster if any."""
        return replace(self, verdict=verdict, state=state)

    def with_deaths(self, deaths: Sequence[str]) -> TestRecord:
        """Return it with what is known of components that died by themselves."""
        return replace(self, deaths=tuple(deaths))

    def where_to_look(self) -> str:
        """Return where its artifacts are and how to run it again."""
        lines = [f"artifacts: {self.artifacts}", f"again:     {self.replay}"]
        if self.state:
            command = shlex.join(["knav", "cluster", "up", "--from", self.state])
            lines.append(f"look:      {command}")
        return "\n".join(lines)

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> TestRecord:
        """Return what `as_data` made."""
        rows = tuple(RecoveryRow(**row) for row in data["recoveries"])
        rest = {**data, "recoveries": rows, "faults": tuple(data["faults"])}
        return cls(**{**rest, "deaths": tuple(data.get("deaths", ()))})


def replay_command(item: pytest.Item, arguments: Sequence[str]) -> str:
    """Return what to type, where this run was started, to run one test again."""
    home = item.config.invocation_params.dir
    path = Path(os.path.relpath(item.path, home)).as_posix()
    test = "::".join([path, *item.nodeid.split("::")[1:]])
    return " ".join(["pytest", shlex.quote(test), *arguments])
