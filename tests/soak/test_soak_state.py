"""States: kills in the middle of a restore, many resets, ten thousand pods at once."""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav import Gang
from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.state import table
from pytest_knav.control_plane.state.restore import UNFINISHED_FILE


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav import Cluster
    from pytest_knav.control_plane.state.model import State

KILLS = 20
RESETS = 30
PODS = 10_000
CHANGES = 20
VICTIM = textwrap.dedent("""
    import sys
    from dataclasses import replace
    from pytest_knav.control_plane import registry
    from pytest_knav.control_plane.plane import ControlPlane
    plane = ControlPlane.attach(registry.find(sys.argv[1]))
    full = plane.states.save()
    kept = {k: v for k, v in full.values.items() if "/pods/" not in k}
    empty = replace(full, values=kept)
    print("begin", flush=True)
    while True:
        plane.states.restore(empty)
        plane.states.restore(full)
""")


def pod(number: int, node: str) -> dict[str, Any]:
    """Return a pod that runs already."""
    name = f"p-{number:05}"
    ready = [
        {"type": kind, "status": "True"}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "main", "image": "example.org/main"}],
        },
        "status": {"phase": "Running", "conditions": ready},
    }


def other_keys(state: State, now: State) -> list[str]:
    """Return the keys in which two states differ, leases left out."""
    keys = {
        key
        for key in state.values.keys() | now.values.keys()
        if table.action_for(key, "reset") == "restored"
    }
    return sorted(k for k in keys if state.values.get(k) != now.values.get(k))


@pytest.mark.knav(topology="dgx-h100", nodes=32)
def test_a_restore_killed_at_any_moment_is_repaired(
    cluster: Cluster, row: Callable[..., None]
) -> None:
    """The next one makes the cluster whole, whatever was written when it died."""
    nodes = [node.name for node in cluster.nodes]
    cluster.load(pod(n, nodes[n % len(nodes)]) for n in range(500))
    state = cluster.save()
    marker = cluster.plane.entry.directory / UNFINISHED_FILE
    moments = random.Random(20261122)  # noqa: S311 - repeatable
    half = 0
    for _ in range(KILLS):
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, cluster.name],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert victim.stdout is not None
        assert victim.stdout.readline() == "begin\n"
        retrying.until(lambda: False, timeout_s=moments.uniform(0.01, 2.0))
        os.killpg(victim.pid, signal.SIGKILL)
        victim.communicate()
        half += marker.exists()
        cluster.restore(state)
        assert other_keys(state, cluster.plane.states.save()) == []
        assert all(c.running for c in cluster.plane.components.values())

    row("SIGKILL of a restore, 500 pods", KILLS, f"{half} half restored, 0 after next")
    assert half > 0


@pytest.mark.knav(topology="dgx-h100", nodes=32)
def test_many_resets_leave_nothing(cluster: Cluster, row: Callable[..., None]) -> None:
    """The thirtieth is as thorough as the first, and as quick."""
    beginning = cluster.beginning
    assert beginning is not None
    took = []
    for number in range(RESETS):
        gang = cluster.submit(Gang(f"g-{number}", replicas=4, gpus_per_pod=8))
        cluster.wait_for(gang.running, timeout="60s")
        began = time.monotonic()
        cluster.reset()
        took.append(time.monotonic() - began)
        assert other_keys(beginning, cluster.plane.states.save()) == []

    row(
        "reset, 32 nodes and a gang",
        RESETS,
        f"nothing left, median {statistics.median(took):.2f} s, "
        f"slowest {max(took):.2f} s",
    )


@pytest.mark.knav(topology="dgx-h100", nodes=1000)
def test_ten_thousand_pods_are_restored_under_the_recorder(
    cluster: Cluster, row: Callable[..., None]
) -> None:
    """Every end and every beginning of a pod is recorded, each once."""
    nodes = [node.name for node in cluster.nodes]
    cluster.load(pod(n, nodes[n % len(nodes)]) for n in range(PODS))
    full = cluster.save()
    kept = {k: v for k, v in full.values.items() if not k.startswith("/registry/pods/")}
    since = cluster.history.newest_revision

    began = time.monotonic()
    cluster.restore(replace(full, values=kept))
    emptied_s = time.monotonic() - began
    cluster.restore(full)
    filled_s = time.monotonic() - began - emptied_s

    seen = cluster.history.records("Pod", since_revision=since)
    verbs = [record.verb for record in seen]
    row(
        "1,000 nodes: 10,000 pods out and in",
        1,
        f"{emptied_s:.1f} s and {filled_s:.1f} s with the recorder, none missed",
    )
    assert verbs.count("DELETED") == PODS
    assert verbs.count("ADDED") == PODS
    assert len({record.revision for record in seen}) == len(seen)
    assert cluster.history.gaps() == []


@pytest.mark.knav(topology="dgx-h100", nodes=24)
def test_nodes_that_come_and_go_are_renewed_all_the_same(
    cluster: Cluster, row: Callable[..., Any]
) -> None:
    """Without a new KWOK some of them would stand twice in its queue, and block it."""
    full = cluster.save()
    bare = {k: v for k, v in full.values.items() if "dgx-h100" not in k}
    empty = replace(full, values=bare)

    for _ in range(CHANGES):
        cluster.restore(empty)
        cluster.restore(full)
        begun_s = time.time()

        def all_renewed(history: Any, since_s: float = begun_s) -> bool:
            leases = history.latest("Lease").values()
            late = [x for x in leases if _renewed_s(x) < since_s + 3.0]
            return len(leases) >= 24 and not late

        assert cluster.recorder.wait(all_renewed, 30.0), "a lease is not renewed"

    row("all nodes taken away and put back", CHANGES, "every lease renewed")


def _renewed_s(lease: dict[str, Any]) -> float:
    text = lease["spec"]["renewTime"]
    return datetime.fromisoformat(text).timestamp()
