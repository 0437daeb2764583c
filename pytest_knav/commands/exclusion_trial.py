"""An exclusion controller of the user's, tried beside ours on a real control plane."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane.assets import AssetStore, StreamProgress
from pytest_knav.control_plane.cluster import Cluster
from pytest_knav.control_plane.config import make_config
from pytest_knav.control_plane.plane import Binaries, ControlPlane
from pytest_knav.exclusion.estimators import DEFAULT
from pytest_knav.exclusion.score import NONE, score_of
from pytest_knav.fixtures.exclusion import program_of, words_of
from pytest_knav.fixtures.lemon_course import COURSES, Side, run_course
from pytest_knav.topology import make_topology


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_knav.exclusion.score import Score

_TOPOLOGY: Final = "dgx-h100"


def trial(  # noqa: PLR0913 - all but two by name
    command: str,
    by: str,
    *,
    seeds: Sequence[int],
    gpu_hours: float,
    assets: Path | None,
    say: Callable[[str], None],
) -> list[Score]:
    """
    Return the scores of a command, of none and of the default on a real control plane.

    Args:
        command: The controller; `{kubeconfig}` stands for the cluster's.
        by: What excluded means.
        seeds: One course each.
        gpu_hours: What a pod that fails has used by then.
        assets: Where to look for binaries first.
        say: Told of each course.

    Raises:
        BadInput: There is no such program.
        ClusterError: The cluster, or the command, does not run.

    """
    name = program_of(words_of(command)[0]).name
    sides = (
        Side(name=NONE),
        Side(name=DEFAULT),
        Side(name=name, command=command, by=by),
    )
    found = []
    nodes = max(course.nodes for course in COURSES.values())
    with _cluster(nodes, assets) as cluster:
        for title, course in COURSES.items():
            for side in sides:
                outcomes = []
                for seed in seeds:
                    say(f"{title}, {side.name}, seed {seed}")
                    cluster.reset()
                    outcomes.append(run_course(cluster, course, seed, side))
                found.append(score_of(title, side.name, outcomes, gpu_hours))
    return found


@contextmanager
def _cluster(nodes: int, assets: Path | None) -> Iterator[Cluster]:
    """Make a cluster that ends with the block."""
    binaries = Binaries.of(
        AssetStore(directory=assets, progress=StreamProgress(sys.stderr))
    )
    config = make_config(
        versions=dict(binaries.versions), nodes=nodes, control_plane="fast"
    )
    plane = ControlPlane.create(
        f"exclusion-score-{os.getpid()}",
        config,
        binaries,
        owned=True,
        description="knav exclusion-score",
    )
    try:
        with tempfile.TemporaryDirectory(prefix="knav-exclusion-score-") as folder:
            cluster = Cluster(plane, make_topology(_TOPOLOGY, nodes), Path(folder))
            try:
                cluster.start()
                yield cluster
            finally:
                cluster.close()
    finally:
        plane.delete()
