"""`knav_cluster_config`: a scheduler's configuration, checked at collection."""

from __future__ import annotations

import pytest


CONFTEST = """
import pytest

@pytest.fixture(scope="session")
def knav_cluster_config({arguments}):
    return {value}
"""


def test_default_is_the_stock_scheduler(inner: pytest.Pytester) -> None:
    """Without a fixture of one's own nothing is configured."""
    inner.makepyfile(
        """
        from pytest_knav.session import KEY

        def test_it(request, knav_cluster_config):
            needs = request.config.stash[KEY].needs(request.node)
            assert knav_cluster_config == {}
            assert needs.scheduler_config == ""
            assert needs.config({}).scheduler_config is None
        """
    )

    inner.runpytest_inprocess().assert_outcomes(passed=1)


def test_own_configuration_is_part_of_the_key(inner: pytest.Pytester) -> None:
    """Its tests have control planes of their own, with that scheduler."""
    profile = {"schedulerName": "default-scheduler"}
    value = {
        "scheduler_config": {"profiles": [profile]},
        "feature_gates": {"GangScheduling": False},
    }
    inner.makeconftest(CONFTEST.format(arguments="", value=value))
    inner.makepyfile(
        """
        import dataclasses

        import yaml
        from pytest_knav.session import KEY

        def test_it(request, knav_cluster_config):
            needs = request.config.stash[KEY].needs(request.node)
            found = yaml.safe_load(needs.scheduler_config)
            stock = dataclasses.replace(needs, scheduler_config="")
            assert found["kind"] == "KubeSchedulerConfiguration"
            assert found["profiles"] == [{"schedulerName": "default-scheduler"}]
            assert found["leaderElection"] == {"leaderElect": False}
            assert ("GangScheduling", False) in needs.config({}).feature_gates
            assert needs.config({}).key != stock.config({}).key
        """
    )

    inner.runpytest_inprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("7", "returns 7: give a dict with any of scheduler_config, feature_gates"),
        ("{'scheduler': {}}", "returns {'scheduler': {}}: give a dict with any of *"),
        ("{'scheduler_config': 7}", "scheduler_config=7: give a KubeSchedulerConfig*"),
        ("{'scheduler_config': 'a: ['}", "scheduler_config: while parsing*"),
        ("{'scheduler_config': {'kind': 'Pod'}}", "kind is 'Pod', and has to be *"),
        ("{'scheduler_config': {'leaderElection': {}}}", "leaderElection is set by *"),
        ("{'feature_gates': {'A': 1}}", "feature_gates={'A': 1}: give a dict such as*"),
    ],
)
def test_wrong_configuration_is_refused(
    inner: pytest.Pytester, value: str, message: str
) -> None:
    """The run ends at collection; nothing was started."""
    inner.makeconftest(CONFTEST.format(arguments="", value=value))
    inner.makepyfile("def test_it(cluster): pass")

    result = inner.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    named = message.replace("[", "[[]")
    result.stderr.fnmatch_lines([f"ERROR: *::test_it: *knav_cluster_config*{named}"])


def test_arguments_are_refused(inner: pytest.Pytester) -> None:
    """It is asked before any fixture runs, so it can have none."""
    inner.makeconftest(CONFTEST.format(arguments="request", value="{}"))
    inner.makepyfile("def test_it(cluster): pass")

    result = inner.runpytest_inprocess()

    result.stderr.fnmatch_lines(["ERROR: *the fixture knav_cluster_config takes arg*"])
