"""A sample of the kill matrix, which `make soak` runs as a whole."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from pytest_knav.faults import ComponentKill, NodeCordon, NodeDeletion, NodeNotReady
from pytest_knav.plans.killing import check_killed


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster

NODE = "dgx-h100-0001"
SAMPLE = (
    NodeCordon(NODE),
    NodeDeletion(NODE),
    NodeNotReady(NODE),
    ComponentKill("scheduler"),
)
# A fault of one change: two lines and two steps of it when it is injected, and a line
# and two steps when it is cleared; each line counts before and after.
STEPS = 10


@pytest.mark.knav(topology="dgx-h100", nodes=4)
def test_a_killed_process_leaves_nothing_that_its_journal_does_not_undo(
    cluster: Cluster, chaos: Chaos
) -> None:
    """At steps that the run's seed chooses."""
    choose = random.Random(chaos.seed)  # noqa: S311 - not for secrets
    got_there = []
    for fault in choose.sample(SAMPLE, 2):
        step = choose.randint(3, STEPS - 1)
        got_there.append(check_killed(fault, cluster, step))

    assert all(got_there)
