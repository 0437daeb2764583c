"""What a component cannot see, it does not act on, and learns when it can again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Deployment, WaitTimeout, between
from pytest_knav.faults import StaleWatch


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster


@pytest.mark.knav(topology="dgx-h100", nodes=4, network=True)
def test_what_a_stale_watch_holds_back_comes_when_it_ends(
    cluster: Cluster, chaos: Chaos
) -> None:
    """A scheduler binds no pod that it has not heard of, and a new one hears of it."""
    stale = StaleWatch(between("scheduler", "apiserver"), resources=("pods",))

    with chaos.inject(stale):
        early = cluster.submit(Deployment("early", replicas=4, gpus_per_pod=1))
        with pytest.raises(WaitTimeout):
            cluster.wait_for(early.partially_bound, timeout="2s")
        # It begins with a list, which is fresh.
        cluster.component("scheduler").restart()
        cluster.wait_for(early.running, timeout="60s")
        late = cluster.submit(Deployment("late", replicas=4, gpus_per_pod=1))
        with pytest.raises(WaitTimeout):
            cluster.wait_for(late.partially_bound, timeout="2s")
        unheard_of = len(late.all_pods)
    cluster.wait_for(late.running, timeout="60s")

    assert unheard_of == len(late.all_pods) == 4
