"""Every fault of a connection on every connection, and proxies that die."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav import Deployment, between
from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.network.links import OF_COMPONENTS, link_named
from pytest_knav.faults import Latency, StaleWatch, catalogue
from pytest_knav.faults.contract import check_fault
from pytest_knav.plans.chaos import Injector


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav import Chaos, Cluster

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=4, network=True)
OF_REQUESTS = {"ApiErrors", "StaleWatch"}
FAULTS = sorted(
    name for name, kind in catalogue.catalogue().items() if kind.kind == "connection"
)


@pytest.mark.parametrize("link", [link.name for link in OF_COMPONENTS])
def test_every_fault_of_a_connection_keeps_the_contract_on_it(
    cluster: Cluster, chaos: Chaos, row: Callable[..., Any], link: str
) -> None:
    """And work is done over the connection afterwards."""
    tried = 0
    for name in FAULTS:
        if name in OF_REQUESTS and not link_named(link).speaks_http:
            continue
        check_fault(catalogue.catalogue()[name](link), cluster, chaos)
        tried += 1
        work = cluster.submit(Deployment(f"after-{tried}", replicas=4, gpus_per_pod=1))
        cluster.wait_for(work.running, timeout="120s")

    row(f"faults of {link}", tried, "contract kept, work bound afterwards")


def test_a_fault_outlives_the_death_of_its_proxy(
    cluster: Cluster, chaos: Chaos, row: Callable[..., Any]
) -> None:
    """What dies by itself is started again, with what was put into it."""
    network = cluster.plane.network
    assert network is not None
    link = between("scheduler", "apiserver")
    with chaos.inject(Latency(link, "100ms")) as fault:
        toxics = network.proxy.toxics(*fault.targets)
        died = network.proxy.pid

        network.proxy.crash()

        assert retrying.until(
            lambda: network.proxy.pid not in {died, None} and network.proxy.healthy(),
            timeout_s=30,
        )
        assert retrying.until(
            lambda: network.proxy.toxics(*fault.targets) == toxics, timeout_s=30
        )
    stale = StaleWatch(link)
    with chaos.inject(stale) as fault:
        rule = network.layer.state()[min(fault.targets)]["rule"]
        died = network.layer.pid

        network.layer.crash()

        assert retrying.until(
            lambda: network.layer.pid not in {died, None} and network.layer.healthy(),
            timeout_s=30,
        )
        assert retrying.until(
            lambda: network.layer.state()[min(fault.targets)]["rule"] == rule,
            timeout_s=30,
        )
    work = cluster.submit(Deployment("after", replicas=4, gpus_per_pod=1))
    cluster.wait_for(work.running, timeout="120s")
    row(
        "toxiproxy and layer killed under a fault",
        1,
        "started again with what was put into them",
    )


def test_a_reset_makes_every_connection_whole(
    cluster: Cluster, row: Callable[..., Any]
) -> None:
    """Also where nobody clears what was done to it, and the proxy itself is held."""
    network = cluster.plane.network
    assert network is not None
    before = network.standing()
    injector = Injector(cluster, seed="never cleared")
    injector.start(catalogue.catalogue()["StaleWatch"](between("kcm", "apiserver")))
    injector.start(catalogue.catalogue()["BlackHole"](between("apiserver", "etcd")))
    network.proxy.pause()

    cluster.reset()

    assert network.standing() == before
    work = cluster.submit(Deployment("after", replicas=4, gpus_per_pod=1))
    cluster.wait_for(work.running, timeout="120s")
    row("reset of a cluster with broken connections", 1, "whole")
