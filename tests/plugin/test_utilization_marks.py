"""Loads in marks are checked when tests are collected, before anything starts."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("4", '*utilization=4): give percent such as "80%", or say of what*'),
        ('{"disk": 1}', "*there is no 'disk': use cpu, memory, gpu"),
        ('{"gpu": 120}', "*gpu=120 goes up to 120: give percent from 0 to 100"),
        ('{"cpu": "lots"}', "*cpu='lots' is no amount: give a number*"),
        ('ramp("1%", 5, over="3s")', "*give all of them in percent, or none"),
        ('replay("no.csv", column="v")', "*trace no.csv cannot be read*"),
    ],
)
def test_wrong_load_is_refused(
    inner: pytest.Pytester, value: str, message: str
) -> None:
    """The run ends at collection and shows the value and what is allowed."""
    inner.makepyfile(
        "import pytest\n"
        "from pytest_knav import ramp, replay\n\n"
        f"@pytest.mark.knav(utilization={value})\n"
        "def test_it(cluster): pass"
    )

    result = inner.runpytest_inprocess("--collect-only")

    assert result.ret in {pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERRUPTED}
    text = [*result.errlines, *result.outlines]
    pytest.LineMatcher(text).fnmatch_lines([message])


def test_who_has_a_load(inner: pytest.Pytester) -> None:
    """Tests with a cluster and a mark, or with the fixture; the others pay nothing."""
    inner.makeconftest(
        """
        def pytest_collection_finish(session):
            for item in session.items:
                if "knav_utilization" in item.fixturenames:
                    print("HAS", item.name)
        """
    )
    inner.makepyfile(
        """
        import pytest

        @pytest.mark.knav(utilization="80%")
        def test_marked(cluster): pass

        @pytest.mark.knav(utilization="80%")
        def test_marked_without_cluster(): pass

        def test_asking(utilization): pass

        def test_plain(cluster): pass
        """
    )

    result = inner.runpytest_inprocess("--collect-only", "-s")

    found = {line.split()[1] for line in result.outlines if line.startswith("HAS")}
    assert found == {"test_marked", "test_asking"}
