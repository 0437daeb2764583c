"""Steps, parameters and attachments for Allure, where allure-pytest is writing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from pytest_knav.control_plane.cluster import Cluster
    from pytest_knav.reports.record import TestRecord

LOG_BYTES_MAX = 512_000


class AllureReport:
    """The running test's report; does nothing where there is none."""

    def step(self, title: str) -> AbstractContextManager[object]:
        """Return a context that is a step of the report."""
        del title
        return nullcontext()

    def describe(self, cluster: Cluster, record: TestRecord) -> None:
        """Add labels and parameters."""

    def attach_text(self, name: str, text: str) -> None:
        """Attach a text."""

    def attach_log(self, path: Path) -> None:
        """Attach the end of a log."""


class _Writing(AllureReport):
    def step(self, title: str) -> AbstractContextManager[object]:
        import allure  # noqa: PLC0415 - only where it is active

        step: AbstractContextManager[object] = allure.step(title)
        return step

    def describe(self, cluster: Cluster, record: TestRecord) -> None:
        import allure  # noqa: PLC0415 - only where it is active

        dynamic: Any = allure.dynamic
        dynamic.label("epic", "kube-scheduler")
        for fault in record.faults:
            dynamic.label("feature", fault.partition("(")[0])
        # Excluded from the history id: the same test with another seed is the same.
        dynamic.parameter("seed", record.seed, excluded=True)
        dynamic.parameter("time profile", record.time_profile, excluded=True)
        dynamic.parameter("topology", f"{record.topology}, {record.nodes} nodes")
        self.attach_text("time profile", _profile_table(cluster))
        for row in record.recoveries:
            phases = "\n".join(f"{n:10s} {s:8.2f}s" for n, s in row.phases.items())
            total = "none" if row.seconds is None else f"{row.seconds:.2f}s"
            self.attach_text(
                f"recovery of {row.workload}",
                f"{row.fault}\n{row.outcome}, {total} of {row.within_s:g}s\n\n{phases}",
            )

    def attach_text(self, name: str, text: str) -> None:
        import allure  # noqa: PLC0415 - only where it is active

        allure.attach(text, name=name, attachment_type=allure.attachment_type.TEXT)

    def attach_log(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES_MAX))
            self.attach_text(path.name, file.read().decode(errors="replace"))


def active(config: pytest.Config) -> AllureReport:
    """Return the running test's report."""
    writing = config.getoption("allure_report_dir", None)
    return _Writing() if writing else AllureReport()


def write_environment(directory: Path, facts: dict[str, str]) -> None:
    """Write `environment.properties`, which Allure shows on its first page."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = [f"{key.replace(' ', '.')}={value}" for key, value in facts.items()]
    (directory / "environment.properties").write_text("\n".join([*lines, ""]))


def _profile_table(cluster: Cluster) -> str:
    rows = [("setting", "real", cluster.profile.name), *cluster.profile.table()]
    return "\n".join(f"{a:40s} {b:>10s} {c:>10s}" for a, b, c in rows)
