"""
What counts as Ready and as Running, asked of both sides in the same words.

An answer must not cost what is measured, so the questions are small: how many objects
there are (a list of one, which says how many remain), whether one pod is not Running
(a list of at most one), and, once all nodes exist, their status column (a Table without
objects: 0.1 kB a node). Between two questions passes nineteen times as long as the last
one took, so that at most a twentieth of the time is spent on asking.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane.api import total
from pytest_knav.errors import ClusterError


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav.control_plane.api import Api

NODES: Final = "/api/v1/nodes"
PODS: Final = "/api/v1/pods"
JOB: Final = "selfbench-after"
_TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"
_NOT_RUNNING: Final = "status.phase!=Running"
_PAUSE_MIN_S: Final = 0.02
_PAUSE_MAX_S: Final = 1.0
_PAUSE_FACTOR: Final = 19.0


def await_nodes(api: Api, count: int, tick: Callable[[int, int], None]) -> None:
    """
    Return when a list shows so many nodes and all of them Ready.

    Raises:
        ClusterError: It does not in time.

    """

    def ready() -> bool:
        there = total(api, NODES)
        tick(there, count)
        if there != count:
            return False
        shown = api.get_as(f"{NODES}?includeObject=None", _TABLE)
        column = [c["name"] for c in shown["columnDefinitions"]].index("Status")
        rows = shown["rows"]
        return len(rows) == count and all(
            row["cells"][column].split(",")[0] == "Ready" for row in rows
        )

    _poll(ready, 120.0 + count * 0.1, f"{count} nodes are not Ready")


def await_pods(api: Api, count: int, tick: Callable[[int, int], None]) -> None:
    """
    Return when a list shows so many pods and none that is not Running.

    Raises:
        ClusterError: It does not in time.

    """

    def running() -> bool:
        there = total(api, PODS)
        tick(there, count)
        if there != count:
            return False
        return not api.get(PODS, limit="1", fieldSelector=_NOT_RUNNING)["items"]

    _poll(running, timeout_s(count), f"{count} pods are not Running")


def await_job_bound(api: Api) -> None:
    """
    Make a Job with one pod and return when its pod is bound to a node.

    Raises:
        ClusterError: It is not in time.

    """
    api.create("/apis/batch/v1/namespaces/default/jobs", _job())
    path, selector = "/api/v1/namespaces/default/pods", f"job-name={JOB}"

    def bound() -> bool:
        pods = api.get(path, limit="1", labelSelector=selector)["items"]
        return any(pod["spec"].get("nodeName") for pod in pods)

    _poll(bound, 120.0, "the pod of a new Job is not bound")


def timeout_s(pods: int) -> float:
    """Return how long so many pods may take: ten times what 50 a second would."""
    return 120.0 + pods * 0.2


def _job() -> dict[str, object]:
    container = {"name": "worker", "image": "pytest-knav.invalid/worker"}
    pod = {"containers": [container], "restartPolicy": "Never"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": JOB, "namespace": "default"},
        "spec": {"template": {"spec": pod}},
    }


def _poll(question: Callable[[], bool], limit_s: float, what: str) -> None:
    deadline = time.monotonic() + limit_s
    while True:
        asked = time.monotonic()
        if question():
            return
        now = time.monotonic()
        if now > deadline:
            raise ClusterError(f"{what} after {limit_s:g}s")
        pause_s = _PAUSE_FACTOR * (now - asked)
        time.sleep(min(max(pause_s, _PAUSE_MIN_S), _PAUSE_MAX_S))
