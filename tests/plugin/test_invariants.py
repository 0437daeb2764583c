"""Standing invariants: switched by marks, judged inside the test's call."""

from __future__ import annotations

import pytest


# A test on a cluster of paper: GPU-0 given twice, and a cpu that is not.
PAPER = """
import contextlib
import pytest
from pytest_knav.history import History, Record
from pytest_knav.history.record import GAP
from pytest_knav.session import CHAOS, LEASE

def claim(revision, name):
    devices = [{{"driver": "gpu", "pool": "n1", "device": "gpu-0"}}]
    return Record(
        revision=revision, monotonic=float(revision), wall=0.0, verb="ADDED",
        kind="ResourceClaim", namespace="default", name=name, uid=name,
        data={{
            "metadata": {{"name": name, "uid": name}},
            "status": {{"allocation": {{"devices": {{"results": devices}}}}}},
        }},
    )

class Paper:
    def __init__(self):
        self.history = History()
        self.recorder = self
        self.step = contextlib.nullcontext
        self.notes = []
    def note(self, kind, verb, name, data=None):
        self.notes.append((verb, name))
    def catch_up(self): return 9
    def close(self): pass
    def keep_state_after(self, error): pass

class Lease:
    cluster = Paper()

@pytest.fixture
def paper(request):
    request.node.stash[LEASE] = Lease
    request.node.stash[CHAOS] = Lease.cluster
    for revision, name in enumerate({names}, 1):
        Lease.cluster.history.add(claim(revision, name))
    {more}
    yield Lease.cluster
    # There is no cluster to report on.
    del request.node.stash[LEASE]

@pytest.mark.chaos({mark})
def test_it(paper):
    {body}
"""
GAP = """Lease.cluster.history.add(Record(
        revision=9, monotonic=9.0, wall=0.0, verb="GAP", kind=GAP, namespace="",
        name="ResourceClaim", uid="",
        data={"from": 8, "to": 9, "from_monotonic": 8.0, "reason": "410"},
    ))"""


def written(
    inner: pytest.Pytester,
    *names: str,
    mark: str = "",
    body: str = "pass",
    more: str = "",
) -> pytest.RunResult:
    """Run a test on paper, in which GPU-0 is given to claims of these names."""
    text = PAPER.format(names=list(names), mark=mark, body=body, more=more)
    inner.makepyfile(text)
    return inner.runpytest_inprocess()


class TestJudgedInTheCall:
    """What a test promises nothing about is held all the same."""

    def test_nothing_broken(self, inner: pytest.Pytester) -> None:
        """A quiet test stays green."""
        written(inner, "a").assert_outcomes(passed=1)

    def test_broken(self, inner: pytest.Pytester) -> None:
        """A broken invariant fails the test itself, not its teardown."""
        result = written(inner, "a", "b")

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            [
                "devices: none allocated to two claims at once: fail*",
                "*n1/gpu-0 was given to claim b while claim default/a had it",
            ]
        )

    def test_switched_off_by_name(self, inner: pytest.Pytester) -> None:
        """A test may say that it is not held to one."""
        written(inner, "a", "b", mark='without=("devices",)').assert_outcomes(passed=1)

    def test_own_failure_comes_first(self, inner: pytest.Pytester) -> None:
        """What the test raised stays; the broken invariant is a note to it."""
        result = written(inner, "a", "b", body="assert 1 == 2")

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["E*assert 1 == 2", "E*besides: devices: none*"])

    def test_skip_stays_a_skip(self, inner: pytest.Pytester) -> None:
        """Who skips in the middle is not judged red."""
        written(inner, "a", body="pytest.skip('no')").assert_outcomes(skipped=1)

    def test_gap(self, inner: pytest.Pytester) -> None:
        """What a gap could hide is neither green nor red."""
        result = written(inner, "a", more=GAP)

        result.stdout.fnmatch_lines(
            ["devices: *inconclusive: gap in ResourceClaim*", "*1 inconclusive*"]
        )
        assert result.ret == 10

    def test_gap_beside_a_breach(self, inner: pytest.Pytester) -> None:
        """What was seen to be broken is broken."""
        written(inner, "a", "b", more=GAP).assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ('"gang"', "chaos('gang'): name the arguments: without=(…), or a limit such*"),
        ("gangs='1s'", "chaos(gangs='1s'): there is no such invariant: use without,*"),
        ("gang='soon'", "gang='soon' is not a duration: *"),
        ("devices='1s'", "devices='1s': there is no limit to this invariant"),
        ("collateral=-1", "collateral=-1: give a whole number of at least 0"),
        ("without='gangs'", "there is no invariant 'gangs': use one of gang, *"),
        ("without=7", "chaos(without=7): give names, such as ('capacity',)"),
    ],
)
def test_wrong_mark_is_refused(inner: pytest.Pytester, mark: str, message: str) -> None:
    """The run ends at collection and names the test, the value and the choices."""
    inner.makepyfile(
        f"""
        import pytest

        @pytest.mark.chaos({mark})
        def test_it(chaos): pass
        """
    )

    result = inner.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *::test_it: {message}"])


def test_marks_of_module_and_test_add_up(inner: pytest.Pytester) -> None:
    """What the module switches off stays off, unless the test gives it a limit."""
    inner.makepyfile(
        """
        import pytest
        from pytest_knav.fixtures.invariants import marked

        pytestmark = pytest.mark.chaos(without=("gang", "capacity"))

        @pytest.mark.chaos(gang="3s", recovery="60s")
        def test_it(request):
            asked = marked(request.node)
            assert asked["gang"] == 3.0
            assert asked["recovery"] == 60.0
            assert "capacity" not in asked
            assert asked["once"] is None
        """
    )

    inner.runpytest_inprocess().assert_outcomes(passed=1)
