"""Kills at bad moments, repeats, many seeds, large sizes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav import Deployment, Gang, node_of
from pytest_knav.control_plane import processes, registry, retrying
from pytest_knav.faults import NodeCrash


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_knav import Chaos, Cluster

KILLS = 20
REPEATS = 8
VICTIM = """
import pytest
from pytest_knav import Gang, node_of
from pytest_knav.faults import NodeCrash

@pytest.mark.knav(topology="dgx-h100", nodes=4)
@pytest.mark.parametrize("turn", range(3))
def test_victim(cluster, chaos, turn):
    gang = cluster.submit(Gang("g", replicas=3, gpus_per_pod=8))
    cluster.wait_for(gang.running)
    with chaos.inject(NodeCrash(node_of(gang))) as fault:
        chaos.expect.recovered(gang, since=fault, within="60s")
"""


def left_behind(state: Path) -> tuple[int, int, int]:
    """Return how many clusters, ports and processes a state directory still has."""
    root = state / "pytest-knav"
    clusters = [e for e in (root / "clusters").glob("*") if e.name != ".lock"]
    ports = [p for p in (root / "ports").glob("*") if p.name.isdigit()]
    return len(clusters), len(ports), len(processes.of_directory(root))


def pruned(state: Path) -> bool:
    """Prune; return whether nothing is left. Orphaned workers live for a moment."""
    registry.prune()
    return left_behind(state) == (0, 0, 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_kill_at_any_moment_leaves_only_what_prune_removes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    row: Callable[..., None],
    workers: int,
) -> None:
    """SIGKILL of the whole test run at seeded moments of its first half minute."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "test_victim.py").write_text(VICTIM)
    moments = random.Random(20261122 + workers)  # noqa: S311 - repeatable
    dirty = 0
    for _ in range(KILLS // 2):
        arguments = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        arguments += ["-n", str(workers)] if workers else []
        with (tmp_path / "out").open("ab") as out:
            run = subprocess.Popen(
                arguments, cwd=tmp_path, stdout=out, stderr=out, start_new_session=True
            )
        try:
            run.wait(timeout=moments.uniform(0.5, 30.0))
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        dirty += left_behind(tmp_path / "state")[0] > 0
        assert retrying.until(lambda: pruned(tmp_path / "state"), timeout_s=60)

    row(
        f"SIGKILL, {workers or 'no'} workers",
        KILLS // 2,
        f"{dirty} left a cluster, 0 after prune",
    )
    assert dirty > 0


@pytest.mark.knav(topology="dgx-h100", nodes=8)
def test_repeats_agree(
    cluster: Cluster, chaos: Chaos, row: Callable[..., None]
) -> None:
    """The same gang loses a node again and again, and always comes back."""
    gang = cluster.submit(Gang("g", replicas=4, gpus_per_pod=8))
    cluster.wait_for(gang.running)
    took = []
    for _ in range(REPEATS):
        with chaos.inject(NodeCrash(node_of(gang))) as fault:
            took.append(chaos.expect.recovered(gang, since=fault, within="90s").seconds)
        cluster.wait_for(gang.running, timeout="60s")

    row(
        "node crash under one gang, 8 nodes",
        REPEATS,
        f"all recovered, {min(took):.1f} to {max(took):.1f} s",
    )
    assert len(took) == REPEATS


@pytest.mark.knav(topology="dgx-h100", nodes=1000)
def test_a_thousand_nodes_with_ten_thousand_pods(
    cluster: Cluster, chaos: Chaos, row: Callable[..., None]
) -> None:
    """A crash in a large cluster is seen, recovered from, and judged."""
    began = time.monotonic()
    service: Any = cluster.submit(Deployment("web", replicas=10_000))
    cluster.wait_for(service.running, timeout="900s")
    loaded_s = time.monotonic() - began

    with chaos.inject(NodeCrash(node_of(service))) as fault:
        recovery = chaos.expect.recovered(service, since=fault, within="300s")

    row(
        "1,000 nodes, 10,000 pods, node crash",
        1,
        f"{loaded_s:.0f} s to load, recovered in {recovery.seconds:.0f} s, "
        f"recorder at most {cluster.recorder.max_lag_s():.1f} s late",
    )
    assert recovery.nodes.isdisjoint(fault.targets)
