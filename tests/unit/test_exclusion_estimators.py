"""Estimators of failing nodes, by trajectories, properties and seeded courses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_knav.errors import BadInput
from pytest_knav.exclusion.estimators import (
    ESTIMATORS,
    Armada,
    Bayes,
    Estimator,
    Sample,
    make_estimator,
)
from pytest_knav.exclusion.simulation import Course, simulate


def fail(node: str, queue: str = "q", at_s: float = 0.0) -> Sample:
    """Return a pod that failed."""
    return Sample(node=node, queue=queue, success=False, at_s=at_s)


def good(node: str, queue: str = "q", at_s: float = 0.0) -> Sample:
    """Return a pod that came to a good end."""
    return Sample(node=node, queue=queue, success=True, at_s=at_s)


class TestArmada:
    """The reference trajectories of Armada 0.8's model with its own settings."""

    def test_one_node_alone_is_excluded_at_the_89th_failure(self) -> None:
        """One failure an update; a failure is blamed on node and queue alike."""
        estimator = Armada()
        success = {}

        for update in range(1, 90):
            estimator.add(fail("n"))
            estimator.update(0.0)
            success[update] = 1 - estimator.view("n", 0.0).failure
            out = estimator.view("n", 0.0).sure >= estimator.threshold
            assert out == (update == 89)

        shown = [round(success[n], 4) for n in (1, 2, 5, 10, 20, 40, 60, 80)]
        assert shown == [
            0.4863, 0.4726, 0.4341, 0.3778, 0.2884, 0.1710, 0.1023, 0.0614,
        ]  # fmt: skip

    @pytest.mark.parametrize("others", [1, 3, 9, 19])
    def test_beside_good_nodes_it_is_excluded_at_the_36th_update(
        self, others: int
    ) -> None:
        """However many good ones there are."""
        estimator = Armada()
        seen = []

        for _ in range(36):
            estimator.add(fail("bad"))
            for number in range(others):
                estimator.add(good(f"good-{number}"))
            estimator.update(0.0)
            seen.append(estimator.view("bad", 0.0).sure >= estimator.threshold)

        assert seen == [False] * 35 + [True]
        assert estimator.view("good-0", 0.0).failure < 0.06

    def test_a_bad_queue_is_no_nodes_fault(self) -> None:
        """Ten nodes with a good and a bad queue never get far; the queue does."""
        estimator = Armada()
        worst = 0.0

        for _ in range(36):
            for number in range(10):
                estimator.add(good(f"n{number}", "good"))
                estimator.add(fail(f"n{number}", "bad"))
            estimator.update(0.0)
            worst = max(worst, estimator.view("n0", 0.0).failure)

        assert worst == pytest.approx(0.47, abs=0.01)
        assert estimator.queue_failure("bad", 0.0) >= 0.95

    def test_one_success_releases(self) -> None:
        """After a hundred bad updates; below 5 % after 47."""
        estimator = Armada()
        for _ in range(100):
            estimator.add(fail("bad"))
            estimator.add(good("other"))
            estimator.update(0.0)
        before = estimator.view("bad", 0.0).failure
        after = []

        for _ in range(47):
            estimator.add(good("bad"))
            estimator.update(0.0)
            after.append(estimator.view("bad", 0.0).failure)

        assert round(before, 4) == 0.9992
        assert after[0] < 0.95
        assert after[45] >= 0.05 > after[46]

    def test_a_stale_estimate_is_not_acted_on(self) -> None:
        """After ten minutes without a sample; one more failure acts at once."""
        estimator = Armada()
        for _ in range(100):
            estimator.add(fail("n"))
            estimator.update(0.0)

        stale = estimator.view("n", 601.0).sure
        estimator.add(fail("n", at_s=700.0))
        estimator.update(700.0)

        assert stale == 0.0
        assert estimator.view("n", 700.0).sure >= estimator.threshold


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
class TestEveryEstimator:
    """What the controller relies on, whoever estimates."""

    def test_what_is_written_down_is_known_again(self, name: str) -> None:
        """By another one, through JSON: the same view."""
        first, again = make_estimator(name), make_estimator(name)
        for at_s in range(8):
            first.add(fail("n", at_s=float(at_s)))
            first.update(float(at_s))
        state = json.loads(json.dumps(first.state("n")))

        again.restore("n", state, 8.0)
        again.update(8.0)

        expected, found = first.view("n", 8.0), again.view("n", 8.0)
        assert found.failures == pytest.approx(expected.failures, abs=0.01)
        if name != "bayes":
            # What Bayes knows of queues is not a node's to remember.
            assert found.failure == pytest.approx(expected.failure, abs=0.001)

    def test_what_a_clock_that_was_ahead_wrote_counts_now(self, name: str) -> None:
        """It is set right: what fails from then on weighs as much as ever."""
        first, again = make_estimator(name), make_estimator(name)
        for _ in range(4):
            first.add(fail("n", at_s=86_400.0))
        first.update(86_400.0)

        again.restore("n", first.state("n"), 60.0)
        again.add(fail("n", at_s=60.0))
        again.update(60.0)

        assert again.view("n", 60.0).failures == pytest.approx(5, abs=0.01)

    def test_a_node_that_is_forgotten_is_new(self, name: str) -> None:
        """As if it had never been seen."""
        estimator = make_estimator(name)
        for _ in range(8):
            estimator.add(fail("n"))
        estimator.update(0.0)

        estimator.forget("n")
        estimator.update(0.0)

        assert estimator.view("n", 0.0) == make_estimator(name).view("n", 0.0)
        assert estimator.state("n") == {}

    def test_failures_make_it_surer_and_successes_less(self, name: str) -> None:
        """One more of either, all else the same."""
        estimator = make_estimator(name)
        for number in range(20):
            estimator.add(good(f"other-{number}"))
        estimator.add(fail("n"))
        estimator.update(0.0)
        sure = [estimator.view("n", 0.0).sure]

        for sample in (fail("n"), fail("n"), good("n"), good("n")):
            estimator.add(sample)
            estimator.update(0.0)
            sure.append(estimator.view("n", 0.0).sure)

        assert sure[0] < sure[1] < sure[2]
        assert sure[2] > sure[3] > sure[4]


def bayes(samples: list[Sample], now_s: float = 0.0) -> Bayes:
    """Return an estimator that has seen samples, each in a cycle of its own."""
    made = Bayes()
    for sample in samples:
        made.add(sample)
        made.update(now_s)
    return made


HEALTHY = [good(f"other-{n}", f"q{q}") for n in range(20) for q in range(3)]


class TestBayes:
    """The default."""

    @settings(max_examples=25, deadline=None)
    @given(order=st.permutations(list(range(9))))
    def test_the_order_of_samples_makes_no_difference(self, order: list[int]) -> None:
        """Up to what was known of the queues when a node last had its say."""
        samples = [fail("n", "q0"), fail("n", "q1"), fail("m", "q0")]
        samples += [good("n", "q2"), good("m", "q1"), *HEALTHY[:4]]

        straight = bayes(samples)
        mixed = bayes([samples[number] for number in order])
        for estimator in (straight, mixed):
            # Everybody has had a say once all is known.
            for node in ("n", "m", "other-0", "other-1"):
                estimator._changed.add(node)
            estimator.update(0.0)

        expected, found = straight.view("n", 0.0), mixed.view("n", 0.0)
        assert found.failure == pytest.approx(expected.failure, abs=0.03)

    def test_idle_nodes_go_back_to_what_is_usual(self) -> None:
        """Each half life halves what counts; in the end nothing is held against it."""
        estimator = bayes([*HEALTHY, *(fail("n", "q0") for _ in range(4))])
        usual = Bayes().view("new", 0.0).sure

        sure = [
            estimator.view("n", lives * estimator.half_life_s).sure
            for lives in (0, 1, 2, 4, 12)
        ]

        assert sure == sorted(sure, reverse=True)
        assert sure[0] > 0.99
        assert sure[-1] == pytest.approx(usual, abs=0.01)

    def test_more_of_the_same_makes_it_surer(self) -> None:
        """Ten times the evidence narrows the bounds about the same probability."""
        some = bayes([*HEALTHY, *([fail("n", "q0"), good("n", "q0")] * 3)])
        many = bayes([*HEALTHY, *([fail("n", "q0"), good("n", "q0")] * 30)])

        few, lots = some.view("n", 0.0), many.view("n", 0.0)
        assert lots.high - lots.low < few.high - few.low
        assert lots.low < 0.5 < lots.high

    def test_a_repaired_node_recovers_by_successes(self) -> None:
        """Not at once, but long before its failures have decayed."""
        estimator = bayes([*HEALTHY, *(fail("n", "q0") for _ in range(5))])
        before = estimator.view("n", 0.0).sure

        for _ in range(60):
            estimator.add(good("n", "q1"))
        estimator.update(0.0)

        assert before > 0.99
        assert estimator.view("n", 0.0).sure < 0.1

    def test_a_queue_that_fails_everywhere_excuses_nodes(self) -> None:
        """Eight failures in a row of it are nobody's fault; of a good one they are."""
        elsewhere = [
            sample
            for n in range(20)
            for sample in (fail(f"other-{n}", "bad"), good(f"other-{n}", "bad"))
        ]
        samples = [*HEALTHY, *elsewhere]

        excused = bayes([*samples, *(fail("n", "bad") for _ in range(4))])
        blamed = bayes([*samples, *(fail("n", "q0") for _ in range(4))])

        assert excused.view("n", 0.0).sure < 0.5
        assert blamed.view("n", 0.0).sure > 0.99
        assert excused.queue_failure("bad", 0.0) == pytest.approx(0.5, abs=0.1)

    def test_a_queue_that_ran_nowhere_else_excuses_much(self) -> None:
        """A new job that always fails is as likely as a lemon."""
        estimator = bayes([*HEALTHY, *(fail("n", "new") for _ in range(3))])

        assert estimator.view("n", 0.0).sure < 0.9


@pytest.mark.parametrize("seed", range(3))
def test_lemons_are_found_within_six_failures_and_nobody_else(seed: int) -> None:
    """A hundred nodes, three lemons at 0.8, 1 % elsewhere; `make soak` has 20 seeds."""
    outcome = simulate(Course(), seed, "bayes")

    assert outcome.found.keys() == outcome.lemons
    assert max(outcome.found.values()) <= 6
    assert outcome.wrong == {}


@pytest.mark.parametrize("seed", range(2))
def test_a_bad_queue_takes_no_good_node_down(seed: int) -> None:
    """One of five queues fails half of its pods everywhere; there is no lemon."""
    course = Course(lemons=0, bad_queue_fails=0.5)

    outcome = simulate(course, seed, "bayes")

    assert outcome.failures_until_out == {}


def test_goodput_is_better_with_exclusion() -> None:
    """On the same seed."""
    without = simulate(Course(), 1, None)
    with_it = simulate(Course(), 1, "bayes")

    assert with_it.goodput > without.goodput


def test_an_unknown_estimator_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(BadInput, match="use one of bayes, armada, window"):
        make_estimator("guess")


def test_every_estimator_is_what_it_says() -> None:
    """By its own name."""
    made: list[Estimator] = [make_estimator(name) for name in ESTIMATORS]

    assert [estimator.name for estimator in made] == list(ESTIMATORS)
