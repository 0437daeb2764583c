"""Metric thresholds: they hold on a quiet cluster, and break under load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav import Job, SloBreached


if TYPE_CHECKING:
    from pytest_knav import Chaos, Cluster

# Eight nodes of eight GPUs draw 44.8 kW at full load (700 W each), and a tenth idle.
POWER_KW = "sum(DCGM_FI_DEV_POWER_USAGE) / 1000"
BUDGET_KW = 20


@pytest.mark.knav(topology="dgx-h100", nodes=8)
@pytest.mark.slo("sum(kube_node_spec_unschedulable)", at_most=0)
def test_power_budget_breaks_under_load(cluster: Cluster, chaos: Chaos) -> None:
    """Two nodes at work keep to the power budget of the room, eight do not."""
    quiet = cluster.submit(Job("quiet", completions=2, gpus_per_pod=8, run_for="6s"))
    cluster.wait_for(quiet.finished, timeout="60s")
    chaos.expect.slo(POWER_KW, at_most=BUDGET_KW)

    load = cluster.submit(Job("load", completions=8, gpus_per_pod=8, run_for="4s"))
    cluster.wait_for(load.finished, timeout="60s")

    with pytest.raises(SloBreached, match="beyond the limit for"):
        chaos.expect.slo(POWER_KW, at_most=BUDGET_KW)
