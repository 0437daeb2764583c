"""What one pytest session knows: settings, what tests need, verdicts, the cluster."""

from __future__ import annotations

import secrets
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.errors import BadInput, HarnessError
from pytest_knav.fixtures import names
from pytest_knav.options import Settings, read_settings
from pytest_knav.reports import run_directory
from pytest_knav.reports.tally import Tally


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from _pytest.terminal import TerminalReporter

    from pytest_knav.fixtures.chaos import Chaos
    from pytest_knav.fixtures.manager import ClusterManager, Lease
    from pytest_knav.fixtures.promql import Promql
    from pytest_knav.needs import Needs
    from pytest_knav.reports.record import TestRecord

NEEDS: pytest.StashKey[Needs] = pytest.StashKey()
LEASE: pytest.StashKey[Lease] = pytest.StashKey()
CHAOS: pytest.StashKey[Chaos] = pytest.StashKey()
RECORD: pytest.StashKey[TestRecord] = pytest.StashKey()
PROMQL: pytest.StashKey[Promql] = pytest.StashKey()
# Set once the test function has returned: a subtest reports before that.
ENDED: pytest.StashKey[bool] = pytest.StashKey()


class KnavSession:
    """The state of one session; kept in `config.stash`, never in a global."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.tally = Tally()
        self._settings: Settings | None = None
        self._manager: ClusterManager | None = None
        self._run_id = ""
        self._made = False
        self._shadows: set[tuple[str, str]] = set()
        self._refused: list[str] = []

    @property
    def settings(self) -> Settings:
        """Return the options of this run; the same in every worker."""
        if self._settings is None:
            seed = self._told("seed", secrets.randbelow(2**31))
            self._settings = read_settings(self.config, fresh_seed=int(seed))
        return self._settings

    def check_settings(self) -> None:
        """
        Read the options.

        Raises:
            pytest.UsageError: A value is not one that its option takes.

        """
        try:
            _ = self.settings
        except BadInput as error:
            raise pytest.UsageError(str(error)) from error

    @property
    def worker(self) -> str:
        """Return the xdist worker's name, or `main`."""
        return str(self._workerinput.get("workerid", "main"))

    @property
    def run_directory(self) -> Path:
        """Return where this run's artifacts go; the same for every worker."""
        if not self._run_id:
            self._run_id = str(self._told("run", run_directory.fresh_name()))
        return Path(self.settings.artifacts).absolute() / self._run_id

    def shared(self) -> Mapping[str, Any]:
        """Return what the workers of this run must agree on."""
        return {"seed": self.settings.seed, "run": self.run_directory.name}

    def manager(self) -> ClusterManager:
        """Return who hands out this worker's cluster; made when first asked for."""
        if self._manager is None:
            from pytest_knav.fixtures.manager import (  # noqa: PLC0415 - heavy
                ClusterManager,
            )

            self._manager = ClusterManager(
                settings=self.settings,
                run_directory=self.run_directory,
                name=f"knav-{secrets.token_hex(3)}-{self.worker}",
            )
        return self._manager

    def header(self) -> list[str]:
        """Return the line of the report header that names settings of this run."""
        settings = self.settings
        set_by = [
            f"{name.replace('_', '-')}={getattr(settings, name)} ({origin})"
            for name, origin in settings.origins.items()
            if origin != "default"
        ]
        head = f"knav: seed {settings.seed}, time profile {settings.time_profile}"
        return [", ".join([head, *set_by])]

    def parametrize(self, metafunc: pytest.Metafunc) -> None:
        """Make one test of a test for each of several systems."""
        systems = [s.strip() for s in (self.settings.system or "").split(",")]
        # What is marked needs what it says.
        marked = any(
            "system" in mark.kwargs for mark in metafunc.definition.iter_markers("knav")
        )
        if len(systems) < 2 or marked or "knav_system" not in metafunc.fixturenames:
            return
        metafunc.parametrize(
            "knav_system",
            systems,
            ids=self._system_names(systems),
            indirect=True,
            scope="session",
        )

    def _system_names(self, systems: Sequence[str]) -> list[str]:
        """
        Return what several systems are called.

        Raises:
            pytest.UsageError: One cannot be had, or two have one name.

        """
        from pytest_knav.systems.finding import (  # noqa: PLC0415 - if there are any
            STOCK,
            find_system,
        )

        try:
            found = [find_system(s, self.config.invocation_params.dir) for s in systems]
        except BadInput as error:
            raise pytest.UsageError(str(error)) from error
        called = [STOCK if system is None else system.name for system in found]
        if len(set(called)) < len(called):
            raise pytest.UsageError(
                f"--knav-system {','.join(systems)}: they are called "
                f"{', '.join(called)}: give each another name, so that reports can "
                "tell them apart"
            )
        return called

    def collected(self, item: pytest.Item) -> None:
        """Give a test that injects faults the mark `chaos`, before `-m` deselects."""
        if names.injects_faults(item) and not item.get_closest_marker("chaos"):
            item.add_marker(pytest.mark.chaos)
        if names.has_thresholds(item):
            names.add_promql(item)
        if names.has_load(item):
            names.add_utilization(item)

    def prepare(self, items: list[pytest.Item]) -> None:
        """
        Check every test that needs a cluster, and sort those by what they need.

        Raises:
            pytest.UsageError: Some ask for what there is not, or no cluster can be
                had; nothing was started then.

        """
        wrong: dict[str, list[str]] = {}
        users: list[tuple[int, pytest.Item]] = []
        for place, item in enumerate(items):
            try:
                self.known_bug(item)
            except BadInput as error:
                wrong.setdefault(str(error), []).append(item.nodeid)
            if not names.needs_cluster(item):
                continue
            users.append((place, item))
            self._shadows |= names.hidden(item)
            try:
                self.needs(item)
                self._check_thresholds(item)
            except BadInput as error:
                wrong.setdefault(str(error), []).append(item.nodeid)
        ordered = [] if wrong else sorted(users, key=lambda u: self.needs(u[1]).order)
        for (place, _), (_, item) in zip(users, ordered, strict=not wrong):
            items[place] = item
        problems = [f"{names.listed(tests)}: {text}" for text, tests in wrong.items()]
        option = self.config.option
        dry = option.collectonly or getattr(option, "setupplan", False)
        if users and not problems and not dry:
            problems = self._preflight([item for _, item in users])
        if problems:
            self._refuse(problems, items)

    def tell_groups(self, items: Sequence[pytest.Item]) -> None:
        """Tell the controller of a run with workers which tests can share a cluster."""
        if not self._workerinput or not any(map(names.needs_cluster, items)):
            return
        from pytest_knav import scheduling  # noqa: PLC0415 - only if used

        groups = [
            self.needs(item).group if names.needs_cluster(item) else None
            for item in items
        ]
        tests = [item.nodeid for item in items]
        scheduling.write_groups(self.run_directory, tests, groups)

    def shadowed(self) -> list[str]:
        """Return a line for each fixture of ours that a user's own one hides."""
        return [
            f"knav: fixture {name!r} of {home} is used instead of ours, which is also "
            f"knav_{name}"
            for name, home in sorted(self._shadows)
        ]

    def needs(self, item: pytest.Item) -> Needs:
        """
        Return the cluster that a test asks for.

        Raises:
            BadInput: There is no such cluster, or an option says something else.

        """
        if NEEDS not in item.stash:
            from pytest_knav.needs import needs_of  # noqa: PLC0415 - only if used

            item.stash[NEEDS] = needs_of(item, self.settings)
        return item.stash[NEEDS]

    def _check_thresholds(self, item: pytest.Item) -> None:
        if item.get_closest_marker("slo"):
            from pytest_knav.fixtures import slo  # noqa: PLC0415 - only if used

            slo.marked(item)
        if any(mark.args or mark.kwargs for mark in item.iter_markers("chaos")):
            from pytest_knav.fixtures import invariants  # noqa: PLC0415 - likewise

            invariants.marked(item)

    def lease(self, item: pytest.Item) -> Lease:
        """Return a clean cluster for a test, and begin the test's record."""
        from pytest_knav.reports import (  # noqa: PLC0415 - only if used
            baselines,
            record,
            repeats,
        )

        self._make_run_directory()
        lease = self.manager().lease(self.needs(item), item.nodeid)
        item.stash[LEASE] = lease
        item.stash[RECORD] = record.TestRecord(
            test=item.nodeid,
            repeat=repeats.turn_of(item.nodeid),
            topology=lease.needs.topology.name,
            nodes=len(lease.needs.topology.nodes),
            seed=self.settings.seed,
            time_profile=lease.cluster.profile.name,
            system=lease.needs.system_name,
            severity=record.severity_of(item),
            baseline=baselines.is_baseline(item),
            cluster_s=lease.seconds,
            artifacts=str(lease.artifacts),
            replay=record.replay_command(item, self.settings.arguments()),
            versions=self.manager().versions(lease.cluster),
        )
        # For who looks at it after this process has died.
        record.write_record(lease.artifacts, item.stash[RECORD])
        return lease

    def heal(self, item: pytest.Item, error: BaseException | None) -> None:
        """
        Take back what a test left broken, then judge its invariants and thresholds.

        What the test itself raised comes first.

        Raises:
            HarnessError: It cannot be taken back, or a check could not tell, and the
                test had raised nothing.
            KnavAssertionError: A check failed, and the test had raised nothing.

        """
        item.stash[ENDED] = True
        if self._excused(item, error):
            error = None
        lease = item.stash.get(LEASE, None)
        if error is not None and lease is not None:
            lease.cluster.keep_state_after(error)
        thresholds = item.get_closest_marker("slo") is not None
        promql = item.stash.get(PROMQL, None) if thresholds else None
        if promql is not None:
            promql.end()
        chaos = item.stash.get(CHAOS, None)
        try:
            if chaos is not None:
                chaos.close()
        except HarnessError as undo:
            if error is None:
                raise
            error.add_note(f"besides: {undo}")
        held = item.get_closest_marker("chaos") is not None
        if lease is not None and (held or promql is not None):
            from pytest_knav.fixtures import verdicts  # noqa: PLC0415 - only if used

            verdicts.judge_end(item, lease.cluster, promql, error, chaos=held)

    def _excused(self, item: pytest.Item, error: BaseException | None) -> bool:
        """Return whether a test ran without its faults, and only misses them."""
        if error is None or not self.settings.baseline:
            return False
        from pytest_knav.reports import baselines  # noqa: PLC0415 - only if used

        return baselines.excuses(item, error)

    def known_bug(self, item: pytest.Item) -> AbstractContextManager[None]:
        """Return the block in which a test that is marked `known_bug` has to fail."""
        if self.settings.baseline:
            from pytest_knav.reports import baselines  # noqa: PLC0415 - only if used

            if baselines.is_baseline(item):
                return baselines.measured(item)
        if item.get_closest_marker("known_bug") is None:
            return nullcontext()
        from pytest_knav.reports import known_bug  # noqa: PLC0415 - only if used

        bug = known_bug.marked(item)
        return nullcontext() if bug is None else known_bug.expected(bug, item)

    def report(
        self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
    ) -> None:
        """Put the verdict and the figures of a test on its report."""
        if RECORD in item.stash or call.excinfo is not None:
            from pytest_knav.reports import outcome  # noqa: PLC0415 - only if used

            outcome.conclude(self, item, call, report)

    def gating(self) -> list[tuple[str, object]]:
        """
        Return what judges this run by a gate, where there is one.

        Raises:
            pytest.UsageError: The gate's file is wrong.

        """
        if self.settings.gate is None or self._workerinput:
            return []
        from pytest_knav.reports.gating import Gating  # noqa: PLC0415 - if used

        try:
            return [("knav-gate", Gating(self, self.settings.gate))]
        except BadInput as error:
            raise pytest.UsageError(f"--knav-gate: {error}") from error

    def worker_ended(self, refused: str) -> None:
        """Hear that a worker has ended, and why it would not begin."""
        if refused and refused not in self._refused:
            self._refused.append(refused)

    def finish(self, session: pytest.Session) -> None:
        """
        Remove the cluster; a run in which nothing failed but some could not tell
        ends with its own exit code.

        Raises:
            pytest.UsageError: The workers would not begin.

        """
        from pytest_knav import scheduling  # noqa: PLC0415 - only at the end
        from pytest_knav.reports import workers  # noqa: PLC0415 - it imports us

        try:
            self.close()
            workers.sweep(self.config)
        except HarnessError as error:
            self._complain(str(error))
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        if self._workerinput:
            return
        groups = self.run_directory / scheduling.FILE
        if groups.exists():
            groups.unlink()
        if self._refused:
            raise pytest.UsageError(*self._refused)
        session.exitstatus = self.tally.exit_code(session.exitstatus)
        if self.tally.used:
            from pytest_knav.reports import record  # noqa: PLC0415 - only if used

            self._make_run_directory()
            record.write_records(self.run_directory, self.tally.records())
            self.tally.write_others(self.run_directory)
        directory = self.config.getoption("allure_report_dir", None)
        if directory and self.tally.used:
            from pytest_knav.reports import allure_report  # noqa: PLC0415 - if used

            gate = self.config.pluginmanager.get_plugin("knav-gate")
            answer = getattr(gate, "answer", None)
            allure_report.write_environment(
                Path(directory), self.tally.records(), str(answer or "")
            )

    def summary(self, reporter: TerminalReporter) -> None:
        """Print the table of this run's tests."""
        if self.config.getoption("no_summary", default=False):
            return
        if self.tally.used or self.tally.unsure:
            from pytest_knav.reports import console  # noqa: PLC0415 - only if used

            console.print_summary(reporter, self.tally)

    def close(self) -> None:
        """Remove this worker's cluster; harmless when repeated."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    @property
    def _workerinput(self) -> Mapping[str, Any]:
        return getattr(self.config, "workerinput", {})

    def _told(self, key: str, otherwise: object) -> Any:  # noqa: ANN401 - from JSON
        return self._workerinput.get("knav", {}).get(key, otherwise)

    def _preflight(self, users: Sequence[pytest.Item]) -> list[str]:
        try:
            self.manager().check()
            # What takes minutes to build must not be built within a test.
            for name in sorted(set().union(*map(names.binaries, users))):
                self.manager().binary(name)
            self._make_run_directory()
        except HarnessError as error:
            return [str(error)]
        return []

    def _refuse(self, problems: list[str], items: list[pytest.Item]) -> None:
        message = "\n".join(problems)
        if not self._workerinput:
            raise pytest.UsageError(message)
        # A worker that raised would show as an internal error of xdist.
        output: dict[str, Any] = getattr(self.config, "workeroutput", {})
        output["knav_refused"] = message
        items.clear()

    def _complain(self, text: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"\nknav: {text}", red=True)

    def _make_run_directory(self) -> None:
        if not self._made:
            run_directory.make(self.run_directory)
            self._made = True


KEY: pytest.StashKey[KnavSession] = pytest.StashKey()
