"""
What a fault leaves when its process is killed: nothing, once its journal was replayed.

`check_killed` injects and clears a fault in a process of its own that kills itself
(SIGKILL) at one step, takes back by the journal what is left, and compares.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.changes import base
from pytest_knav.control_plane.cluster import Cluster
from pytest_knav.control_plane.plane import attach_by_kubeconfig
from pytest_knav.faults.catalogue import fault_from_data
from pytest_knav.faults.contract import difference, standing
from pytest_knav.plans.chaos import Injector, replay_journal
from pytest_knav.plans.journal import Journal
from pytest_knav.topology import make_topology


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav.faults.base import Fault

CHILD_TIMEOUT_S: Final = 240.0
WHOLE_TIMEOUT_S: Final = 120.0


def check_killed(fault: Fault, cluster: Cluster, step: int) -> bool:
    """
    Kill a process at a step of injecting and clearing a fault; return if it got there.

    Steps are counted from 1: every line of the journal once it is on disk, and every
    change before and after it is made.

    Args:
        fault: The fault; its target must not be a workload.
        cluster: The `cluster` fixture.
        step: Where to kill.

    Raises:
        AssertionError: The cluster is not as it was.

    """
    before = standing(cluster)
    with tempfile.TemporaryDirectory() as directory:
        ended = subprocess.run(
            [sys.executable, "-m", __name__, directory],
            input=json.dumps(
                {
                    "kubeconfig": str(cluster.kubeconfig),
                    "topology": cluster.topology.name,
                    "nodes": len(cluster.topology.nodes),
                    "fault": fault.describe(),
                    "step": step,
                }
            ),
            timeout=CHILD_TIMEOUT_S,
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode not in {0, -signal.SIGKILL}:
        raise AssertionError(f"{fault.name}, step {step}: {ended.stderr[-2_000:]}")
    replay_journal(cluster.plane)
    left: list[str] = []

    def whole() -> bool:
        left[:] = [difference(before, standing(cluster))]
        return not left[0]

    if not retrying.until(whole, timeout_s=WHOLE_TIMEOUT_S, interval_s=0.2):
        raise AssertionError(f"{fault.name}, killed at step {step}, left {left[0]}")
    return ended.returncode != 0


def _main() -> None:
    """Inject and clear the fault that standard input names, up to a step."""
    told = json.load(sys.stdin)
    plane = attach_by_kubeconfig(Path(told["kubeconfig"]))
    topology = make_topology(told["topology"], told["nodes"])
    cluster = Cluster(plane, topology, Path(sys.argv[1]))
    cluster.start()
    _count_steps(told["step"])
    injector = Injector(cluster, seed="killing")
    injector.clear(injector.start(fault_from_data(told["fault"])))
    cluster.close()


def _count_steps(last: int) -> None:
    """Kill this process at a step: around each change, after each journal line."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps >= last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever it is
            step()
            made = function(*args, **kwargs)
            step()
            return made

        return counted

    for kind in base.KINDS.values():
        kind.apply = around(kind.apply)  # type: ignore[method-assign]
    Journal.append = around(Journal.append)  # type: ignore[method-assign]


if __name__ == "__main__":
    _main()
