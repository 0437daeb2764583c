"""What faults did to the work, as figures of a history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav.checks.effect import LEFT_OUT, effect_of
from pytest_knav.history.record import STEP


if TYPE_CHECKING:
    from .conftest import Story


def pair(story: Story, *, gang: bool = False) -> None:
    """Let a Job of two members run on n1 and n2 from second 1 on."""
    story.submit(expected=2, gang=gang)
    story.job(0.0, completions=2)
    for at, name in enumerate(("w-0-a", "w-1-a"), 1):
        story.node(0.0, f"n{at}")
        story.pod(0.5, name)
        story.pod(1.0, name, f"n{at}")


def moved(story: Story) -> None:
    """Crash n2 from second 10 to 30; its member runs on n1 from second 20 on."""
    story.inject(10.0, "n2")
    story.gone(15.0, "w-1-a")
    story.pod(16.0, "w-1-b")
    story.pod(20.0, "w-1-b", "n1")
    story.clear(30.0)


def test_no_fault(story: Story) -> None:
    """Where nothing was broken or left out there is no effect to speak of."""
    pair(story)

    assert effect_of(story.history, 30.0) is None


def test_left_out(story: Story) -> None:
    """Without the fault all runs on, and the zero is where it would have begun."""
    pair(story)
    story.seen._add(10.0, LEFT_OUT, STEP, "NodeCrash on n2", "", data={})

    found = effect_of(story.history, 30.0)

    assert found is not None
    assert (found.workloads, found.back_s, found.pods_lost) == (1, 0.0, 0)
    assert found.goodput == 1.0
    assert found.window_s == 20.0


def test_lost_and_back(story: Story) -> None:
    """One of two members is away for half of the time: a quarter of it is lost."""
    pair(story)
    moved(story)

    found = effect_of(story.history, 30.0)

    assert found is not None
    assert (found.back_s, found.pods_lost) == (10.0, 1)
    assert found.goodput == pytest.approx(0.75)


def test_gang_is_whole_or_nothing(story: Story) -> None:
    """A gang that misses one member does no work."""
    pair(story, gang=True)
    moved(story)

    found = effect_of(story.history, 30.0)

    assert found is not None
    assert found.goodput == pytest.approx(0.5)


def test_running_on_a_dead_node_is_no_work(story: Story) -> None:
    """What the API still says of a dead node counts for nothing."""
    pair(story)
    story.inject(10.0, "n2")

    found = effect_of(story.history, 20.0)

    assert found is not None
    assert (found.back_s, found.pods_lost) == (None, 0)
    assert found.goodput == pytest.approx(0.5)


def test_work_that_ends_is_not_lost(story: Story) -> None:
    """Pods that succeed, and Jobs that were not whole before, are left out."""
    pair(story)
    story.submit("late", expected=1)
    story.pod(9.0, "late-0-a")
    story.inject(10.0, "n3")
    for name, node in (("w-0-a", "n1"), ("w-1-a", "n2")):
        story.pod(12.0, name, node, phase="Succeeded")
    story.job(12.0, completions=2, conditions=("Complete",))
    story.gone(13.0, "w-0-a")

    found = effect_of(story.history, 20.0)

    assert found is not None
    assert (found.workloads, found.back_s, found.pods_lost) == (1, 0.0, 0)
    assert found.goodput == 1.0


def test_what_is_over_loses_nothing(story: Story) -> None:
    """The pods of a Job that was given up are nobody's loss."""
    pair(story)
    story.inject(10.0, "n3")
    story.job(12.0, completions=2, conditions=("Failed",))
    story.gone(13.0, "w-0-a")

    found = effect_of(story.history, 20.0)

    assert found is not None
    assert (found.back_s, found.pods_lost) == (0.0, 0)


def test_taken_back_is_not_recovered(story: Story) -> None:
    """Who is whole again only with the fault's end has not come back by itself."""
    pair(story)
    story.inject(10.0, "n2")
    story.clear(14.0)

    found = effect_of(story.history, 20.0)

    assert found is not None
    assert (found.back_s, found.mended) == (4.0, 1)


def test_back_before_the_fault_is_over(story: Story) -> None:
    """Who is whole on good nodes owes nothing to the fault's end."""
    pair(story)
    moved(story)

    found = effect_of(story.history, 35.0)

    assert found is not None
    assert (found.back_s, found.mended) == (10.0, 0)
