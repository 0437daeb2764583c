"""A node is taken from KWOK only when KWOK has it: else it would keep it for good."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.control_plane.changes import label_node
from pytest_knav.control_plane.kwokctl import KUBELET_LABEL, KUBELET_RUNNING
from pytest_knav.errors import HarnessError
from pytest_knav.faults import NodeCrash
from pytest_knav.plans import watch
from pytest_knav.plans.watch import Watch


if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.conftest import HistoryBuilder

NODE = "n1"
CRASH = NodeCrash(NODE)
CHANGES = [
    label_node(NODE, KUBELET_LABEL, None, KUBELET_RUNNING),
    label_node("n2", "other", None, "x"),
]


def watching(seen: HistoryBuilder, *later: Callable[[], None]) -> tuple[Watch, Any]:
    """Return a watch on a history in which some things happen later."""
    steps = list(later)

    def wait(predicate: Any, timeout_s: float, *, poll_s: float) -> bool:
        del timeout_s, poll_s
        while not predicate(seen.history):
            if not steps:
                return False
            steps.pop(0)()
        return True

    cluster: Any = SimpleNamespace(
        profile=SimpleNamespace(lease_s=8.0), recorder=SimpleNamespace(wait=wait)
    )
    return Watch(cluster), steps


def lease(seen: HistoryBuilder, at: float, holder: str | None) -> None:
    """Say what the lease of the node is from now on."""
    metadata = {"name": NODE, "namespace": "kube-node-lease", "uid": "lease-1"}
    spec = {} if holder is None else {"holderIdentity": holder}
    seen._put(at, "Lease", {"metadata": metadata, "spec": {**spec, "renewTime": at}})


@pytest.mark.parametrize("there", [False, True], ids=["no lease", "nobody's lease"])
def test_a_kubelet_that_begins_is_waited_for(seen: HistoryBuilder, there: bool) -> None:  # noqa: FBT001
    """Until its first renewal is over."""
    now_s = time.monotonic()
    if there:
        lease(seen, now_s - 9, None)
    first = lambda: lease(seen, now_s - 1, "kwok")  # noqa: E731
    one, left = watching(seen, first, lambda: None)

    one.await_kubelets(CRASH, CHANGES)

    assert len(left) == 1


def test_a_first_renewal_of_this_moment_may_not_be_over(seen: HistoryBuilder) -> None:
    """Who watches leases knows of it before KWOK does; a second one needs no wait."""
    begun_s = time.monotonic() + 3600
    lease(seen, begun_s, "old")
    lease(seen, begun_s, "kwok")
    one, left = watching(seen, lambda: None, lambda: lease(seen, begun_s + 2, "kwok"))

    one.await_kubelets(CRASH, CHANGES)

    assert left == []


def test_what_is_never_taken_is_named(seen: HistoryBuilder) -> None:
    """Nothing that could fail is there, and nothing has been changed."""
    one, _ = watching(seen)

    with pytest.raises(HarnessError, match=r"KWOK has no lease of n1 after .*s, so no"):
        one.await_kubelets(CRASH, CHANGES)


def test_other_changes_need_no_kubelet(
    seen: HistoryBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those that take the label of KWOK."""
    one, _ = watching(seen)
    monkeypatch.setattr(watch, "_is_taken", lambda *_: pytest.fail("asked"))

    one.await_kubelets(CRASH, CHANGES[1:])
