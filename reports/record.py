"""What one chaos test leaves for the reports: a value that survives JSON and xdist."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput
from pytest_knav.reports.baselines import is_baseline
from pytest_knav.reports.repeats import case_of


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pytest

    from pytest_knav.checks.recovery import Recovery

#: In a run's directory, once it has ended.
RECORDS_FILE: Final = "records.jsonl"
#: In the directory of one test of it.
RECORD_FILE: Final = "record.json"
#: Of a test that names none: what nobody has called harmless is not.
DEFAULT_SEVERITY: Final = "critical"
REASON_MAX: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryRow:
    """
    One recovery in figures; seconds, None where there are none.

    Attributes:
        lost_gpu_hours: Work lost, where the workload is a collective.

    """

    fault: str
    workload: str
    outcome: str
    within_s: float
    seconds: float | None
    phases: Mapping[str, float]
    lost_gpu_hours: float | None = None

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
            lost_gpu_hours=recovery.lost_gpu_hours,
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
        timeline: Its page, with the moment at which it went wrong, if there is one.
        checks: What each standing invariant came to that had anything to judge.
        repeat: Which turn of `--knav-repeat` it is, such as `2 of 3`.
        system: The scheduler or operator under test; `stock` is kube-scheduler.
        severity: How bad its failure is, in Allure's words.
        workloads: Which kinds it submitted, such as `Gang`.
        reason: Why it did not pass, in one line.
        baseline: Whether it ran without its faults (`--knav-baseline`).
        said: What a baseline left out, and from where on it was not judged.
        effect: What became of the work since the first fault, where that was asked
            for; see `checks.effect.Effect`.

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
    timeline: str = ""
    checks: Mapping[str, str] = field(default_factory=dict)
    repeat: str = ""
    system: str = "stock"
    severity: str = DEFAULT_SEVERITY
    workloads: tuple[str, ...] = ()
    reason: str = ""
    baseline: bool = False
    said: str = ""
    effect: Mapping[str, float | None] = field(default_factory=dict)

    def with_fault(self, name: str) -> TestRecord:
        """Return it with one more fault."""
        return replace(self, faults=(*self.faults, name))

    def with_recovery(self, recovery: Recovery) -> TestRecord:
        """Return it with one more recovery."""
        return replace(self, recoveries=(*self.recoveries, RecoveryRow.of(recovery)))

    def with_checks(self, checks: Mapping[str, str]) -> TestRecord:
        """Return it with what its standing invariants came to."""
        return replace(self, checks=dict(checks))

    def ended(self, verdict: str, state: str = "") -> TestRecord:
        """Return it with its verdict, and the saved state of its cluster if any."""
        return replace(self, verdict=verdict, state=state)

    def with_deaths(self, deaths: Sequence[str]) -> TestRecord:
        """Return it with what is known of components that died by themselves."""
        return replace(self, deaths=tuple(deaths))

    def with_workloads(self, kinds: Iterable[str]) -> TestRecord:
        """Return it with the kinds of workloads that it submitted."""
        return replace(self, workloads=tuple(dict.fromkeys(kinds)))

    def with_reason(self, error: BaseException | None) -> TestRecord:
        """Return it with why it did not pass: the first line of what was raised."""
        first = next(iter(str(error or "").splitlines()), "")
        return replace(self, reason=first[:REASON_MAX])

    def with_timeline(self, page: Path, failed_at: float | None) -> TestRecord:
        """Return it with the page that shows what happened, and when it went wrong."""
        moment = "" if failed_at is None else f"#t={failed_at:.3f}"
        return replace(self, timeline=f"{page}{moment}")

    def with_effect(self, effect: Mapping[str, float | None], said: str) -> TestRecord:
        """Return it with what became of the work, and what a baseline says of it."""
        return replace(self, effect=dict(effect), said=said)

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return what a page about it says above everything else."""
        return (
            ("verdict", self.verdict),
            ("cluster", f"{self.nodes} nodes of {self.topology}"),
            ("time profile", self.time_profile),
            ("seed", str(self.seed)),
            ("again", self.replay),
        )

    def properties(self) -> tuple[tuple[str, str], ...]:
        """Return what JUnit's file says of it beside its verdict."""
        slowest = max((r.seconds for r in self.recoveries if r.seconds), default=None)
        found = {
            "knav.system": self.system,
            "knav.severity": self.severity,
            "knav.seed": str(self.seed),
            "knav.faults": "; ".join(self.faults),
            "knav.workloads": ", ".join(self.workloads),
            "knav.recovery_s": "" if slowest is None else f"{slowest:.3f}",
            "knav.checks": ", ".join(f"{k}={v}" for k, v in self.checks.items()),
            "knav.baseline": self.said,
            "knav.effect": ", ".join(
                f"{k}={'never' if v is None else format(v, 'g')}"
                for k, v in self.effect.items()
            ),
            "knav.again": self.replay,
        }
        return tuple((name, value) for name, value in found.items() if value)

    def where_to_look(self) -> str:
        """Return where its artifacts are and how to run it again."""
        lines = [f"artifacts: {self.artifacts}", f"again:     {self.replay}"]
        if self.timeline:
            lines.append(f"timeline:  {self.timeline}")
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
        more = {name: tuple(data.get(name, ())) for name in ("deaths", "workloads")}
        return cls(**{**rest, **more})


def severity_of(item: pytest.Item) -> str:
    """Return how bad a failure of a test is: as `@allure.severity` says."""
    for mark in item.iter_markers("allure_label"):
        if mark.kwargs.get("label_type") == "severity" and mark.args:
            return str(getattr(mark.args[0], "value", mark.args[0]))
    return DEFAULT_SEVERITY


def replay_command(item: pytest.Item, arguments: Sequence[str]) -> str:
    """Return what to type, where this run was started, to run one test again."""
    home = item.config.invocation_params.dir
    path = Path(os.path.relpath(item.path, home)).as_posix()
    # One turn of `--knav-repeat` is run again by itself.
    test = case_of("::".join([path, *item.nodeid.split("::")[1:]]))
    more = ["--knav-baseline"] if is_baseline(item) else []
    return " ".join(["pytest", shlex.quote(test), *arguments, *more])


def write_record(directory: Path, record: TestRecord) -> None:
    """Write a test's record into its own directory, first when the test begins."""
    (directory / RECORD_FILE).write_text(json.dumps(record.as_data()))


def find_record(run: Path, test: str) -> TestRecord | None:
    """Return what a test of a run has left in its own directory, if it has."""
    found = (left_in(path.parent) for path in run.glob(f"*/{RECORD_FILE}"))
    return next((record for record in found if record and record.test == test), None)


def left_in(directory: Path) -> TestRecord | None:
    """Return what `write_record` wrote into a test's directory, if it could."""
    try:
        text = (directory / RECORD_FILE).read_text()
        return TestRecord.from_data(json.loads(text))
    except (OSError, ValueError, KeyError, TypeError):
        # Removed meanwhile, its process died while it wrote, or another version.
        return None


def write_records(directory: Path, records: Iterable[TestRecord]) -> None:
    """Write the records of a run into its directory, a line of JSON each."""
    lines = (json.dumps(record.as_data()) + "\n" for record in records)
    (directory / RECORDS_FILE).write_text("".join(lines))


def read_records(directory: Path, name: str = RECORDS_FILE) -> list[TestRecord]:
    """
    Return what `write_records` wrote.

    Raises:
        BadInput: There is no such run, or its records are of another version.

    """
    path = directory / name
    try:
        lines = path.read_text().splitlines()
        return [TestRecord.from_data(json.loads(line)) for line in lines]
    except OSError as error:
        raise BadInput(
            f"run {directory}: it has no {RECORDS_FILE}: give the directory of a run "
            "that has ended, such as .knav/runs/latest"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"run {directory}: {RECORDS_FILE} is of another pytest-knav: {error}"
        ) from error
