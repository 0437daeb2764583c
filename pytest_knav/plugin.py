"""
The pytest plugin: options, marks and hooks, each handed on to the room that does it.

Every pytest user loads this module, so it imports nothing heavy: no Kubernetes client,
no YAML, no HTTP. `tests/plugin/test_import_cost.py` holds it to that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav import options
from pytest_knav.session import KEY, KnavSession


if TYPE_CHECKING:
    from collections.abc import Generator

    from _pytest.terminal import TerminalReporter


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hooks that others may implement."""
    from pytest_knav import hookspecs  # noqa: PLC0415 - only when a session starts

    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Refuse what would lose results, before anyone has done harm."""
    options.check_together(config)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, register marks and fixtures."""
    for line in (
        (
            "knav(topology=…, nodes=…, dra=…, utilization=…, feature_gates=…, "
            "isolated=…, leader_election=…, network=…, system=…): its cluster"
        ),
        (
            'chaos(without=("capacity",), gang="10s", …): a test that injects faults, '
            "and what it is held to; set by itself where `chaos` is requested"
        ),
        "slo(promql, at_most=…, at_least=…, window=…): a limit on every series of it",
        (
            "known_bug(issue, fixed_in=…): expected to fail until that version of "
            "Kubernetes, by the system under test; strict"
        ),
    ):
        config.addinivalue_line("markers", line)
    session = config.stash[KEY] = KnavSession(config)
    session.check_settings()
    for name, plugin in _parts(session):
        config.pluginmanager.register(plugin, name)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what is left of the session."""
    session = config.stash.get(KEY, None)
    if session is not None:
        session.close()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say in one line what the run is made with."""
    return config.stash[KEY].header()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with each of several systems under test."""
    metafunc.config.stash[KEY].parametrize(metafunc)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests that inject faults."""
    item.config.stash[KEY].collected(item)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Check what each test needs, and sort them so that clusters rarely change."""
    config.stash[KEY].prepare(items)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say where a user's fixture stands in for one of ours."""
    return config.stash[KEY].shadowed()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell who can share a cluster, before xdist tells which tests there are."""
    session.config.stash[KEY].tell_groups(session.items)


@pytest.hookimpl(optionalhook=True, trylast=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:  # noqa: ANN401 - xdist has no types
    """Share out tests by their clusters, unless `--dist` names another way."""
    if config.getoption("dist") != "load":
        return None
    from pytest_knav import distribution  # noqa: PLC0415 - needs xdist

    directory = config.stash[KEY].run_directory
    return distribution.ClusterScheduling(config, log, directory)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(
    pyfuncitem: pytest.Function,
) -> Generator[None, object, object]:
    """Take back what a test left broken while the test can still tell of it."""
    session = pyfuncitem.config.stash[KEY]
    with session.known_bug(pyfuncitem):
        try:
            result = yield
        except BaseException as error:
            session.heal(pyfuncitem, error)
            raise
        session.heal(pyfuncitem, None)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add verdict, figures and artifacts to the report of a test."""
    report = yield
    item.config.stash[KEY].report(item, call, report)
    return report


def pytest_report_teststatus(
    report: pytest.TestReport | pytest.CollectReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Count an inconclusive test, and a baseline, apart: neither is green nor red."""
    verdict = getattr(report, "knav_verdict", "")
    if verdict == "inconclusive":
        return "inconclusive", "?", ("INCONCLUSIVE", {"yellow": True})
    if verdict == "baseline":
        return "baseline", "b", ("BASELINE", {"cyan": True})
    return None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the cluster and turn a run that could not tell into exit code 10."""
    session.config.stash[KEY].finish(session)


def pytest_terminal_summary(
    terminalreporter: TerminalReporter, config: pytest.Config
) -> None:
    """Print what the faults did, test by test."""
    config.stash[KEY].summary(terminalreporter)


def _parts(session: KnavSession) -> list[tuple[str, object]]:
    from pytest_knav.fixtures import plugin  # noqa: PLC0415 - pytest imported us first
    from pytest_knav.reports import failure, workers  # noqa: PLC0415 - likewise

    repeat = session.settings.repeat
    if repeat > 1:
        from pytest_knav.reports.repeats import Repeats  # noqa: PLC0415 - only if used

        more: list[tuple[str, object]] = [("knav-repeats", Repeats(repeat))]
    else:
        more = []
    if session.settings.baseline:
        from pytest_knav.reports.baselines import Baselines  # noqa: PLC0415 - likewise

        more.append(("knav-baselines", Baselines(session.tally)))
    return [
        *more,
        *session.gating(),
        ("knav-fixtures", plugin),
        ("knav-failure", failure),
        ("knav-workers", workers),
        ("knav-tally", session.tally),
    ]
