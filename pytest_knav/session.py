"""What one pytest session knows: settings, what tests need, verdicts, the cluster."""

from __future__ import annotations

import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_knav.errors import BadInput, HarnessError, Inconclusive
from pytest_knav.options import Settings, read_settings


if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from pytest_knav.fixtures.manager import ClusterManager, Lease
    from pytest_knav.needs import Needs
    from pytest_knav.reports.record import TestRecord

EXIT_INCONCLUSIVE = 10
VERDICT = "knav_verdict"
OUR_FIXTURES = ("cluster", "chaos", "topology", "history")
_CLUSTER_FIXTURES = frozenset(
    {*OUR_FIXTURES, *(f"knav_{name}" for name in OUR_FIXTURES)}
)
NEEDS: pytest.StashKey[Needs] = pytest.StashKey()
RECORD: pytest.StashKey[TestRecord] = pytest.StashKey()
_FIXTURE_MODULE = "pytest_knav.fixtures.plugin"


@dataclass(slots=True)
class KnavSession:
    """The state of one session; kept in `config.stash`, never in a global."""

    config: pytest.Config
    _settings: Settings | None = None
    _manager: ClusterManager | None = None
    _uses: int = 0
    _inconclusive: int = 0

    @property
    def settings(self) -> Settings:
        """
        Return the options of this run; the same in every worker.

        Raises:
            pytest.UsageError: A value is not one that its option takes.

        """
        if self._settings is None:
            try:
                self._settings = read_settings(
                    self.config, fresh_seed=self._shared_seed()
                )
            except BadInput as error:
                raise pytest.UsageError(str(error)) from error
        return self._settings

    @property
    def worker(self) -> str:
        """Return the xdist worker's name, or `main`."""
        return os.environ.get("PYTEST_XDIST_WORKER", "main")

    @property
    def run_directory(self) -> Path:
        """Return where this run's artifacts go."""
        return Path(self.settings.artifacts).absolute() / self._run_id()

    def manager(self) -> ClusterManager:
        """Return who hands out this worker's cluster; made when first asked for."""
        if self._manager is None:
            from pytest_knav.fixtures.manager import (  # noqa: PLC0415 - heavy
                ClusterManager,
            )

            self._make_run_directory()
            self._manager = ClusterManager(
                settings=self.settings,
                run_directory=self.run_directory,
                name=f"knav-{secrets.token_hex(3)}-{self.worker}",
            )
        return self._manager

    def header(self) -> list[str]:
        """Return the lines of the report header that name settings of this run."""
        settings = self.settings
        set_by = [
            f"{name.replace('_', '-')}={getattr(settings, name)} ({origin})"
            for name, origin in settings.origins.items()
            if origin != "default"
        ]
        head = f"knav: seed {settings.seed}, time profile {settings.time_profile}"
        return [", ".join([head, *set_by])]

    def collected(self, item: pytest.Item) -> None:
        """Give a test that injects faults the mark `chaos`, before `-m` deselects."""
        names = getattr(item, "fixturenames", ())
        if "knav_chaos" in names and not item.get_closest_marker("chaos"):
            item.add_marker(pytest.mark.chaos)

    def prepare(self, items: list[pytest.Item]) -> None:
        """
        Check every test that needs a cluster, and sort those by what they need.

        Raises:
            pytest.UsageError: Some ask for what there is not; all are named.

        """
        wrong: list[str] = []
        users: list[tuple[int, pytest.Item]] = []
        for place, item in enumerate(items):
            if not _CLUSTER_FIXTURES & set(getattr(item, "fixturenames", ())):
                continue
            users.append((place, item))
            try:
                item.stash[NEEDS] = self._needs(item)
            except BadInput as error:
                wrong.append(f"{item.nodeid}: {error}")
        self._uses = len(users)
        if wrong:
            raise pytest.UsageError(*wrong)
        ordered = sorted(users, key=lambda pair: pair[1].stash[NEEDS].order)
        for (place, _), (_, item) in zip(users, ordered, strict=True):
            items[place] = item

    def shadowed(self) -> list[str]:
        """Return a line for each fixture of ours that a user's own one hides."""
        manager = self.config.pluginmanager.get_plugin("funcmanage")
        lines = []
        for name in OUR_FIXTURES:
            found = getattr(manager, "_arg2fixturedefs", {}).get(name, ())
            others = sorted(
                {
                    f.func.__module__
                    for f in found
                    if f.func.__module__ != _FIXTURE_MODULE
                }
            )
            if others:
                lines.append(
                    f"knav: fixture {name!r} of {', '.join(others)} is used instead of "
                    f"ours, which is also knav_{name}"
                )
        return lines

    def lease(self, item: pytest.Item) -> Lease:
        """Return a clean cluster for a test, and begin the test's record."""
        from pytest_knav.reports.record import TestRecord  # noqa: PLC0415 - heavy

        lease = self.manager().lease(item.stash[NEEDS], item.nodeid)
        item.stash[RECORD] = TestRecord(
            test=item.nodeid,
            topology=lease.needs.topology.name,
            nodes=len(lease.needs.topology.nodes),
            seed=self.settings.seed,
            time_profile=lease.cluster.profile.name,
            cluster_s=lease.seconds,
            artifacts=str(lease.artifacts),
            replay=self._replay(item),
        )
        return lease

    def report(
        self,
        item: pytest.Item,
        call: pytest.CallInfo[None],
        report: pytest.TestReport,
    ) -> None:
        """Put the verdict and the figures of a test on its report."""
        if call.excinfo is not None and call.excinfo.errisinstance(Inconclusive):
            setattr(report, VERDICT, "inconclusive")
            report.user_properties.append(("knav.verdict", "inconclusive"))
        record = item.stash.get(RECORD, None)
        if record is None or report.when != "call":
            return
        if call.excinfo is None:
            verdict = "pass"
        elif call.excinfo.errisinstance(AssertionError):
            verdict = "fail"
        else:
            verdict = getattr(report, VERDICT, "broken")
        if verdict != "inconclusive":
            report.user_properties.append(("knav.verdict", verdict))
        item.stash[RECORD] = record.ended(verdict)
        text = json.dumps(item.stash[RECORD].as_data())
        report.user_properties.append(("knav.record", text))
        if verdict != "pass":
            report.sections.append(("knav", item.stash[RECORD].where_to_look()))

    def finish(self, session: pytest.Session) -> None:
        """
        Remove the cluster; a run in which nothing failed but some could not tell
        ends with its own exit code.
        """
        self.close()
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None:
            return
        unsure = len(reporter.stats.get("inconclusive", ()))
        others = len(reporter.stats.get("failed", ())) + len(
            reporter.stats.get("error", ())
        )
        if unsure and not others and session.exitstatus == pytest.ExitCode.TESTS_FAILED:
            session.exitstatus = EXIT_INCONCLUSIVE

    def summary(self, reporter: TerminalReporter) -> None:
        """Print the table of this run's tests."""
        from pytest_knav.reports import console  # noqa: PLC0415 - only if used

        console.print_summary(reporter, show=not self.config.getoption("no_summary"))

    def close(self) -> None:
        """Remove this worker's cluster; harmless when repeated."""
        manager, self._manager = self._manager, None
        if manager is not None:
            manager.close()

    def _needs(self, item: pytest.Item) -> Needs:
        from pytest_knav.needs import needs_of  # noqa: PLC0415 - only if used

        return needs_of(item, self.settings)

    def _shared_seed(self) -> int:
        workerinput = getattr(self.config, "workerinput", None)
        if workerinput is not None:
            return int(workerinput["testrunuid"][:8], 16)
        return secrets.randbelow(2**31)

    def _run_id(self) -> str:
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
        return run[:12] if run else self._own_run_id()

    def _own_run_id(self) -> str:
        key = "_knav_run_id"
        found = getattr(self.config, key, None)
        if found is None:
            stamp = time.strftime("%Y%m%d-%H%M%S")
            found = f"{stamp}-{os.getpid()}"
            setattr(self.config, key, found)
        return str(found)

    def _make_run_directory(self) -> None:
        directory = self.run_directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HarnessError(
                f"--knav-artifacts: {directory} cannot be made: {error.strerror}"
            ) from error
        latest = directory.parent / "latest"
        fresh = directory.parent / f".latest-{self.worker}-{os.getpid()}"
        fresh.symlink_to(directory.name)
        fresh.replace(latest)

    def _replay(self, item: pytest.Item) -> str:
        return f"pytest '{item.nodeid}' --knav-seed {self.settings.seed}"


KEY: pytest.StashKey[KnavSession] = pytest.StashKey()
