"""`knav exclusion` with bad input, and the scorecard: nothing asked of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import cli
from pytest_knav.errors import HarnessError
from pytest_knav.exclusion.score import COURSES, Score, table
from pytest_knav.selfbench.replay import Replay, ReplayServer


if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--estimator=guess", "use one of bayes, armada, window"),
        ("--threshold=1.5", "give a number from 0 to 1"),
        ("--max-excluded=120%", "give a share from 0% to 100%"),
        ("--probation=soon", "is not a duration"),
        ("--selector=rack=none", "you may not patch nodes"),
    ],
)
def test_bad_input_leaves_no_taint(tmp_path: Path, option: str, message: str) -> None:
    """A clear error, and no node was changed."""
    replay = Replay(2)
    replay.denied.add("patch")
    before = [replay.node(f"node-{number:04d}") for number in range(2)]

    with ReplayServer(replay) as server:
        config = server.kubeconfig(tmp_path / "config")
        args = ["exclusion", f"--kubeconfig={config}", option]
        with pytest.raises(HarnessError, match=message):
            cli.app(args, standalone_mode=False)

    assert [replay.node(f"node-{number:04d}") for number in range(2)] == before


def test_a_scorecard_has_a_row_for_each_score() -> None:
    """With a dash where nothing was found."""
    score = Score(
        course=next(iter(COURSES)),
        estimator="none",
        lemons=3,
        found=0,
        delay=None,
        wrong=0,
        goodput=0.96,
        lost_gpu_hours=1_280.0,
    )

    row = table([score]).splitlines()[-1]

    assert row == "| 3 lemons, 80 % | none | 0 of 3 | - | 0 | 0.9600 | 1,280 |"
