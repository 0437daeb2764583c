"""Thresholds are checked when tests are collected, before anything starts."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ('"sum(x", at_most=1', "promql='sum(x' is no PromQL: unclosed left paren*"),
        ('"sum(x_total)", at_most=1', "*write increase(x_total[$window])*"),
        ('"x > 1", at_most=1', "promql='x > 1' compares by itself*"),
        ('"x[5m]", at_most=1', "promql='x[5m]' gives a range of samples*"),
        ('"x"', "slo('x'): give a limit: at_most= or at_least="),
        ('"x", at_most="1"', "at_most='1' is not a number"),
        ('"x", at_most=True', "at_most=True is not a number"),
        ('"x", at_least=float("nan")', "at_least=nan is not a number"),
        ('"x", at_most=1, at_least=2', "slo('x'): nothing is at least 2 and at most 1"),
        ('"x", below=1', "slo('x', below=1): there is no argument 'below': use at_m*"),
        ('"x", at_most=1, window="run"', "*window='run': use 'test', 'fault', 'after'"),
        ("at_most=1", "slo(at_most=1): give one PromQL expression first"),
        ('"x", "y", at_most=1', "slo('x', 'y', at_most=1): give one PromQL*"),
        ("7, at_most=1", "promql=7: give a PromQL expression as text"),
    ],
)
def test_wrong_threshold_is_refused(
    inner: pytest.Pytester, mark: str, message: str
) -> None:
    """The run ends at collection and names the test, the value and the choices."""
    inner.makepyfile(f"import pytest\n\n@pytest.mark.slo({mark})\ndef test_it(): pass")

    result = inner.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    named = message.replace("[", "[[]")
    result.stderr.fnmatch_lines([f"ERROR: *::test_it: {named}"])


def test_every_mark_is_checked(inner: pytest.Pytester) -> None:
    """One of a class counts as well as the test's own."""
    inner.makepyfile(
        """
        import pytest

        @pytest.mark.slo("sum(x", at_most=1)
        class TestIt:
            @pytest.mark.slo("x", at_most=1)
            def test_it(self): pass
        """
    )

    result = inner.runpytest_inprocess("--collect-only")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *promql='sum(x' is no PromQL*"])


def test_who_gets_prometheus(inner: pytest.Pytester) -> None:
    """Tests with a mark, with the fixture, or with `expect.slo` in their code."""
    inner.makeconftest(
        """
        def pytest_collection_finish(session):
            for item in session.items:
                if "knav_promql" in item.fixturenames:
                    print("HAS", item.name)
        """
    )
    inner.makepyfile(
        """
        import pytest

        @pytest.mark.slo("x", at_most=1)
        def test_marked(): pass

        def test_asking(promql): pass

        def test_expecting(chaos):
            chaos.expect.slo("x", at_most=1)

        def test_injecting(chaos): pass

        @pytest.fixture
        def service(): pass

        def test_of_others(service):
            service.slo("x")

        def test_plain(): pass
        """
    )

    result = inner.runpytest_inprocess("--collect-only", "-s")

    found = {line.split()[1] for line in result.outlines if line.startswith("HAS")}
    assert found == {"test_marked", "test_asking", "test_expecting"}


def test_mark_is_explained(inner: pytest.Pytester) -> None:
    """`pytest --markers` shows its arguments."""
    result = inner.runpytest_inprocess("--markers")

    result.stdout.fnmatch_lines(["@pytest.mark.slo(promql, at_most=*, window=*): *"])
