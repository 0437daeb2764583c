"""pytest-xdist: what the controller tells its workers and learns from them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.junitxml import xml_key

from pytest_knav.homes import state_home
from pytest_knav.reports.tally import RECORD
from pytest_knav.session import KEY


if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - xdist is optional
    """Give every worker the seed and the run directory of this run."""
    node.workerinput["knav"] = node.config.stash[KEY].shared()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401 - as above
    """Hear why a worker would not begin."""
    output: Mapping[str, Any] = getattr(node, "workeroutput", None) or {}
    node.config.stash[KEY].worker_ended(str(output.get("knav_refused", "")))


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, report: Any) -> None:  # noqa: ANN401
    """
    Tell of a test whose worker died what the worker cannot: in the table, the gate,
    JUnit's file and Allure.
    """
    from pytest_knav.reports import crashed  # noqa: PLC0415 - heavy

    config: pytest.Config = report.node.config
    record = crashed.record_of(config.stash[KEY].run_directory, crashitem)
    if record is not None:
        setattr(report, RECORD, json.dumps(record.as_data()))
        report.sections.append(("knav", record.where_to_look()))
    junit = config.stash.get(xml_key, None)
    if record is not None and junit is not None:
        # Such a report is of no phase, and JUnit takes the properties of the last.
        reporter = junit.node_reporter(report)
        for name, value in (("knav.verdict", "broken"), *record.properties()):
            reporter.add_property(name, value)
    if config.getoption("allure_report_dir", None):
        from pytest_knav.reports import allure_report  # noqa: PLC0415 - if used

        allure_report.report_crash(crashitem, str(report.longrepr), record)


def sweep(config: pytest.Config) -> None:
    """Remove, in the controller, what workers left that died in this run."""
    controls = config.pluginmanager.has_plugin("dsession")
    if controls and any((state_home() / "clusters").glob("*/cluster.json")):
        from pytest_knav.control_plane import registry  # noqa: PLC0415 - heavy

        registry.prune()
