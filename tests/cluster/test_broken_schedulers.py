"""A real scheduler without its safeguards breaks the invariants that stand for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest


if TYPE_CHECKING:
    from collections.abc import Callable

# The stock scheduler with plugins switched off: for amounts and taints in the default
# profile, for gangs in one of its own, because without amounts a gang always fits.
MUTANTS = """
import time

import pytest
from pytest_knav import Gang, Job

pytestmark = pytest.mark.knav(nodes=2)


def profile(name, *plugins):
    disabled = [{"name": plugin} for plugin in plugins]
    return {"schedulerName": name, "plugins": {"multiPoint": {"disabled": disabled}}}


@pytest.fixture(scope="session")
def knav_cluster_config():
    careless = profile("default-scheduler", "NodeResourcesFit", "TaintToleration")
    return {"scheduler_config": {"profiles": [careless, profile("lone", %s)]}}


def test_capacity(cluster, chaos):
    work = cluster.submit(Job("work", completions=3, gpus_per_pod=8))
    cluster.wait_for(work.running, timeout="60s")


@pytest.mark.chaos(placement="0s", without="capacity")
def test_placement(cluster, chaos):
    taints = [{"key": "example.com/bad", "effect": "NoSchedule"}]
    for node in cluster.nodes:
        cluster.core.patch_node(node.name, {"spec": {"taints": taints}})
    work = cluster.submit(Job("work", completions=2))
    cluster.wait_for(work.running, timeout="60s")


@pytest.mark.chaos(gang="200ms")
def test_gang(cluster, chaos):
    first = cluster.submit(Job("first", completions=1, gpus_per_pod=8))
    cluster.wait_for(first.running, timeout="60s")
    gang = cluster.submit(
        Gang("gang", replicas=2, gpus_per_pod=8, scheduler_name="lone")
    )
    cluster.wait_for(gang.partially_bound, timeout="60s")
    time.sleep(0.3)
"""


def test_what_a_careless_scheduler_does_is_found(project: Callable[..., Any]) -> None:
    """Without amounts, taints and gangs, those three invariants fail by name."""
    mutants = project(test_mutants=MUTANTS % '"GangScheduling"')

    code, output = mutants.run("--junitxml=junit.xml")

    assert code == pytest.ExitCode.TESTS_FAILED, output
    assert "3 failed" in output
    for said in (
        "capacity: no node is given more than it has: fail",
        "placement: nothing on a failed, tainted or cordoned target",
        "gang: none partly bound for longer than 0.2s: fail",
        "whose pods then took 16 of 8 nvidia.com/gpu",
        "tainted with example.com/bad:NoSchedule",
        "had 1 of 2 members bound",
    ):
        assert said in output
