"""Three verdicts, and how pytest, JUnit and Allure tell them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_knav.errors import HarnessError, NotRecovered
from pytest_knav.faults import NodeCrash
from pytest_knav.fixtures.chaos import Chaos
from pytest_knav.plans.chaos import Injector


UNSURE = """
import pytest
from pytest_knav import Inconclusive

def test_good(): pass

def test_unsure():
    raise Inconclusive("a gap hides the answer")
"""
RED = "\ndef test_red(): assert False\n"


class TestInconclusive:
    """Neither green nor red."""

    def test_counts_apart(self, inner: pytest.Pytester) -> None:
        """It has its own letter, its own count and its own section."""
        inner.makepyfile(UNSURE)

        result = inner.runpytest_inprocess()

        result.stdout.fnmatch_lines(
            [
                "*.?*",
                "*= INCONCLUSIVE =*",
                "*test_unsure*",
                "E  *Inconclusive: a gap hides the answer",
                "*= 1 passed, 1 inconclusive in *",
            ]
        )

    def test_exit_code(self, inner: pytest.Pytester) -> None:
        """A run in which nothing failed but one could not tell ends with 10."""
        inner.makepyfile(UNSURE)

        assert inner.runpytest_inprocess().ret == 10

    def test_exit_code_beside_a_failure(self, inner: pytest.Pytester) -> None:
        """What failed is worse."""
        inner.makepyfile(UNSURE + RED)

        assert inner.runpytest_inprocess().ret == 1

    def test_exit_code_with_first_failure(self, inner: pytest.Pytester) -> None:
        """`-x` stops at it and ends with 10 too."""
        inner.makepyfile(UNSURE + RED)

        result = inner.runpytest_inprocess("-x")

        assert result.ret == 10

    @pytest.mark.parametrize(("extra", "code"), [("", 10), (RED, 1)])
    def test_exit_code_of_workers(
        self, inner: pytest.Pytester, extra: str, code: int
    ) -> None:
        """The controller decides as a single process would."""
        inner.makepyfile(UNSURE + extra)

        result = inner.runpytest_subprocess("-n2")

        assert result.ret == code
        result.stdout.fnmatch_lines(["*Inconclusive: a gap hides*", "*1 inconclusive*"])

    def test_without_terminal(self, inner: pytest.Pytester) -> None:
        """The exit code does not hang on who prints."""
        inner.makepyfile(UNSURE)

        assert inner.runpytest_subprocess("-p", "no:terminal").ret == 10

    def test_error_in_teardown_is_red(self, inner: pytest.Pytester) -> None:
        """A broken teardown is not hidden behind it."""
        inner.makepyfile(
            UNSURE.replace("test_unsure()", "test_unsure(bad)")
            + "\n@pytest.fixture\ndef bad():\n    yield\n    assert False\n"
        )

        assert inner.runpytest_inprocess().ret == 1

    def test_expected_failure_stays_one(self, inner: pytest.Pytester) -> None:
        """What is marked xfail is not counted again."""
        inner.makepyfile(
            UNSURE.replace("def test_unsure", "@pytest.mark.xfail\ndef test_unsure")
        )

        result = inner.runpytest_inprocess()

        result.assert_outcomes(passed=1, xfailed=1)
        assert result.ret == 0

    def test_junit_property(self, inner: pytest.Pytester) -> None:
        """JUnit carries the verdict as a property of the test."""
        inner.makepyfile(UNSURE)

        inner.runpytest_inprocess("--junitxml=junit.xml")

        text = (inner.path / "junit.xml").read_text()
        assert text.count('<property name="knav.verdict" value="inconclusive" />') == 1

    def test_broken_in_allure(self, inner: pytest.Pytester) -> None:
        """Allure shows it as broken, a failed promise as failed."""
        inner.makepyfile(
            UNSURE
            + "\nfrom pytest_knav import NotRecovered\n"
            + "\ndef test_lost():\n    raise NotRecovered('gone')\n"
        )

        inner.runpytest_inprocess("--alluredir=results")

        results = [
            json.loads(path.read_text())
            for path in (inner.path / "results").glob("*-result.json")
        ]
        assert {r["name"]: r["status"] for r in results} == {
            "test_good": "passed",
            "test_unsure": "broken",
            "test_lost": "failed",
        }


class TestTraceback:
    """The user sees his own line and the message."""

    def test_harness_error_in_a_test(self, inner: pytest.Pytester) -> None:
        """Our frames and the errors below ours are left out."""
        inner.makepyfile(
            """
            from pytest_knav.durations import seconds

            def test_it():
                seconds("soon", name="timeout")
            """
        )

        result = inner.runpytest_inprocess()

        result.stdout.fnmatch_lines(
            [">*seconds(*soon*", "E  *BadInput: *soon*", "*_test.py:4: BadInput"]
        )
        result.stdout.no_fnmatch_line("*durations.py*")

    def test_full_trace_shows_all(self, inner: pytest.Pytester) -> None:
        """Whoever wants our insides gets them."""
        inner.makepyfile(
            """
            from pytest_knav.durations import seconds

            def test_it():
                seconds("soon", name="timeout")
            """
        )

        result = inner.runpytest_inprocess("--full-trace")

        result.stdout.fnmatch_lines(["*durations.py*"])

    def test_error_of_another_kind_is_left_alone(self, inner: pytest.Pytester) -> None:
        """A user's own failure reads as ever, chain and all."""
        inner.makepyfile(
            """
            def test_it():
                try:
                    assert 1 == 2
                except AssertionError as error:
                    raise ValueError("and then") from error
            """
        )

        result = inner.runpytest_inprocess()

        result.stdout.fnmatch_lines(
            ["E*assert 1 == 2", "*direct cause*", "E*ValueError: and then"]
        )


class Stubborn(Injector):
    """An injector whose faults do not go away."""

    def __init__(self) -> None:
        self._injections = []
        self._plans = []
        self.active = {}

    def start(self, *_: object, **__: object) -> Any:
        """Break something."""

    def _keep_state(self, _: BaseException) -> None:
        """Keep nothing: there is no cluster."""

    def clear(self, *_: object) -> None:
        """Fail to heal it."""
        raise HarnessError("the node stays down")


class TestUndo:
    """A fault that cannot be taken back never changes what the test found."""

    @pytest.fixture
    def chaos(self) -> Chaos:
        """Return a chaos whose faults are stubborn."""
        made = object.__new__(Chaos)
        made._injector = Stubborn()
        return made

    def test_inside_the_block(self, chaos: Chaos) -> None:
        """The failure stays a failure, and the other thing is a note to it."""
        with (
            pytest.raises(NotRecovered) as caught,
            chaos.inject(None),  # type: ignore[arg-type]
        ):
            raise NotRecovered("it stayed away")

        (note,) = caught.value.__notes__
        assert note.endswith("the node stays down")

    def test_after_a_green_block(self, chaos: Chaos) -> None:
        """With nothing else to tell, it is told as ours."""
        with (
            pytest.raises(HarnessError, match="the node stays down"),
            chaos.inject(None),  # type: ignore[arg-type]
        ):
            pass

    def test_without_a_block(self, chaos: Chaos) -> None:
        """A fault that no `with` entered is no fault, and its test not green."""
        injection = chaos.inject(NodeCrash("n1"))

        with pytest.raises(AttributeError, match=r"Write `with chaos.inject"):
            injection.targets  # noqa: B018
        with pytest.raises(HarnessError, match=r"NodeCrash\(n1\)\) broke nothing"):
            chaos.close()

    @pytest.mark.parametrize(
        ("body", "outcome", "text"),
        [
            ("raise NotRecovered('it stayed away')", "failed", "NotRecovered: it st*"),
            ("pass", "broken", "HarnessError: the node stays down"),
        ],
    )
    def test_at_the_end_of_the_test(
        self, inner: pytest.Pytester, body: str, outcome: str, text: str
    ) -> None:
        """What was started and never cleared is taken back inside the test's call."""
        inner.makepyfile(
            f"""
            import pytest
            from pytest_knav import HarnessError, NotRecovered
            from pytest_knav.session import CHAOS

            class Stubborn:
                def close(self):
                    raise HarnessError("the node stays down")

            @pytest.fixture
            def stubborn(request):
                request.node.stash[CHAOS] = Stubborn()

            def test_it(stubborn):
                {body}
            """
        )

        result = inner.runpytest_inprocess("--alluredir=results")

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines([f"*{text}"])
        (path,) = (inner.path / "results").glob("*-result.json")
        assert json.loads(path.read_text())["status"] == outcome
        assert "the node stays down" in result.stdout.str()


def test_worker_dies(inner: pytest.Pytester) -> None:
    """A test whose worker is killed has a broken result in Allure."""
    inner.makepyfile(
        "import os, signal\n\ndef test_it(): os.kill(os.getpid(), signal.SIGKILL)"
    )

    result = inner.runpytest_subprocess("-n1", "--alluredir=results")

    assert result.ret == 1
    found = [
        json.loads(path.read_text())
        for path in (inner.path / "results").glob("*-result.json")
    ]
    assert [(r["name"], r["status"], r["fullName"]) for r in found] == [
        ("test_it", "broken", "test_worker_dies#test_it")
    ]
    assert "crashed while running" in found[0]["statusDetails"]["message"]


def test_seed_is_agreed_with_workers(inner: pytest.Pytester) -> None:
    """The seed in the header is the one that every worker uses."""
    inner.makepyfile(
        """
        import pytest
        from pytest_knav.session import KEY

        @pytest.mark.parametrize("number", range(4))
        def test_it(request, number):
            session = request.config.stash[KEY]
            print(f"SEED {session.settings.seed} RUN {session.run_directory.name}")
        """
    )

    result = inner.runpytest_subprocess("-n2", "-rP")

    lines = [line for line in result.outlines if line.startswith("SEED")]
    assert len(lines) == 4
    assert len(set(lines)) == 1
    result.stdout.fnmatch_lines([f"knav: seed {lines[0].split()[1]},*"])
