"""Pictures of topologies, looked at in a real browser."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_knav.topology import PRESETS, make_topology
from pytest_knav.topology.picture import (
    NodeHealth,
    NodeStatus,
    Status,
    SwitchHealth,
    svg,
)


if TYPE_CHECKING:
    from conftest import Browser

    from pytest_knav.topology import Topology

SMALLEST_FONT = 8
WORKLOADS = 20
# The colour of the first workload in light, and of the ground in the dark.
FIRST, DARK = "#0072b2", "#16181d"


def busy(topology: Topology) -> Status:
    """Return a status with everything in it that a picture can show."""
    gpus = [
        f"{node.name}/gpu-{index}"
        for node in topology.nodes
        for index in range(node.gpus)
    ]
    names = [node.name for node in topology.nodes]
    half = len(gpus) // 2
    return Status(
        nodes={
            names[0]: NodeStatus(health=NodeHealth.NOT_READY, pods=8),
            names[1]: NodeStatus(health=NodeHealth.UNKNOWN, taints=("a/b",)),
            names[2]: NodeStatus(health=NodeHealth.GONE),
            names[3]: NodeStatus(cordoned=True),
            names[4]: NodeStatus(broken=True),
        },
        allocated={
            # The first has a quarter of the cluster, the others share the next.
            gpu: "llama"
            if at < half // 2
            else f"team-{at % WORKLOADS}/evaluation-{at % WORKLOADS}"
            for at, gpu in enumerate(gpus[:half])
        },
        failed=frozenset(gpus[1:9:3]),
        switches={
            topology.switches[0].name: SwitchHealth.DOWN,
            topology.switches[1].name: SwitchHealth.DEGRADED,
        },
        moment="as it was 12.4 s into the test, with NodeCrash(a) in force",
    )


@pytest.mark.parametrize(
    ("name", "nodes"),
    [*((name, None) for name in PRESETS), ("dgx-h100", 1), ("dgx-h100", 1000)],
)
def test_a_picture_reads_well(browser: Browser, name: str, nodes: int | None) -> None:
    """No text leaves its box or covers another, no box leaves the one around it."""
    topology = make_topology(name, nodes)
    status = busy(topology) if len(topology.nodes) > 4 else None

    facts = browser.look(svg(topology, status)).facts

    assert facts["problems"] == []
    assert facts["nodes"] == len(topology.nodes)
    assert facts["racks"] == len(topology.racks)
    assert facts["switches"] >= len(topology.switches)
    assert facts["smallest"] >= SMALLEST_FONT
    assert len(facts["colours"]) > 10


def test_long_names_fit(browser: Browser) -> None:
    """A cloud's names are longer than any box: they are shortened, not spilt."""
    made = make_topology("gb200-nvl72", 36)
    domain = "eu-central-1.compute.internal"
    nodes = tuple(
        replace(
            node,
            name=f"ip-10-20-{at // 256}-{at % 256}.{domain}",
            places=tuple((level, f"{name}-{domain}") for level, name in node.places),
        )
        for at, node in enumerate(made.nodes)
    )
    topology = replace(made, nodes=nodes, nvswitches=())

    facts = browser.look(svg(topology, busy(topology))).facts

    assert facts["problems"] == []
    assert facts["nodes"] == 36


@pytest.mark.parametrize("nodes", [32, 1000])
def test_occupancy_is_seen_from_afar(browser: Browser, nodes: int) -> None:
    """A workload on a quarter of the GPUs has its share of the pixels, in any size."""
    topology = make_topology("dgx-h100", nodes)

    seen = browser.look(svg(topology, busy(topology)))
    empty = browser.look(svg(topology, Status()))

    share = seen.facts["colours"].get(FIRST, 0) / seen.facts["pixels"]
    assert share > 0.005
    assert FIRST not in empty.facts["colours"]
    assert seen.screenshot.startswith(b"\x89PNG")
    assert len(seen.screenshot) > 10_000


def test_a_dark_browser_gets_a_dark_picture(browser: Browser) -> None:
    """What the surroundings prefer is what they get."""
    topology = make_topology("dgx-h100", 8)
    picture = svg(topology, busy(topology))

    light = browser.look(picture).facts["colours"]
    dark = browser.look(picture, "--blink-settings=preferredColorScheme=0").facts

    assert dark["colours"].get(DARK, 0) > 0.1 * dark["pixels"]
    assert DARK not in light
