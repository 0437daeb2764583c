"""Targets: expressions, resolved when the fault is injected, by the seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_knav import (
    busiest,
    everything,
    feed_of,
    gpu_of,
    gpus_of,
    leaf_of,
    majority,
    minority,
    node_of,
    one,
    percent,
    rack_of,
    rail,
    some,
    spine_of,
    zone_of,
)
from pytest_knav.errors import BadInput, InjectionNotObserved
from pytest_knav.faults import NodeCrash
from pytest_knav.faults.targets import target_of
from pytest_knav.topology import Topology, make_topology


@dataclass
class Here:
    """Just enough of a cluster: its topology."""

    topology: Topology = field(default_factory=lambda: make_topology("dgx-h100", 12))
    history: Any = None


@dataclass
class Placed:
    """Just enough of a handle: a name and nodes."""

    nodes: list[str]
    name: str = "llama"
    gpus: tuple[str, ...] = ()


class Pods:
    """Just enough of a history: pods on nodes."""

    def __init__(self, **pods: int) -> None:
        self._pods = [
            {"spec": {"nodeName": f"dgx-h100-{n[1:]}"}, "status": {"phase": "Running"}}
            for n, count in pods.items()
            for _ in range(count)
        ]

    def latest(self, kind: str) -> dict[str, Any]:
        """Return the pods."""
        return {str(i): pod for i, pod in enumerate(self._pods)} if kind else {}


def names(
    target: Any, seed: int = 0, kind: Any = "node", history: Any = None
) -> tuple[str, ...]:
    """Resolve a target."""
    world: Any = Here(history=history)
    choose = random.Random(seed)  # noqa: S311
    return target_of(target).resolve(world, choose, kind)


def test_node_of_is_one_of_the_workloads_nodes() -> None:
    """The seed chooses; an index names one."""
    placed = Placed(["dgx-h100-0003", "dgx-h100-0001"])

    chosen = {names(node_of(placed), seed) for seed in range(20)}

    assert chosen == {("dgx-h100-0001",), ("dgx-h100-0003",)}
    assert names(node_of(placed, index=0)) == ("dgx-h100-0003",)
    assert str(node_of(placed)) == "node_of(llama)"


def test_rack_of_is_the_whole_rack() -> None:
    """Of a node or of one of a workload's nodes."""
    rack = tuple(f"dgx-h100-000{i}" for i in (4, 5, 6, 7))

    assert names(rack_of("dgx-h100-0006")) == rack
    assert names(rack_of(Placed(["dgx-h100-0004"]))) == rack


@given(st.integers(min_value=0, max_value=10_000))
def test_the_same_seed_chooses_the_same(seed: int) -> None:
    """Whatever else happens."""
    assert names(percent(25), seed) == names(percent(25), seed)
    assert len(names(percent(25), seed)) == 3
    assert len(names(minority(), seed)) == 5


def test_words_are_shares_of_what_the_fault_is_for() -> None:
    """Of 12 nodes, of 96 GPUs, of 12 switches."""
    assert len(names(one())) == 1
    assert len(names(some(5))) == 5
    assert len(names(majority())) == 7
    assert len(names(everything(), kind="gpu")) == 96
    assert len(names(percent(50), kind="switch")) == 6


def test_a_pattern_is_every_name_that_fits() -> None:
    """As in a shell."""
    assert len(names("*-000?")) == 10
    assert names("dgx-h100-0001/gpu-[67]", kind="gpu") == (
        "dgx-h100-0001/gpu-6",
        "dgx-h100-0001/gpu-7",
    )


def test_places_of_a_node_by_the_topology() -> None:
    """Switches, feeds and GPUs of it, and the nodes of its zone."""
    node = "dgx-h100-0005"
    placed = Placed([node], gpus=(f"{node}/gpu-2",))

    assert names(leaf_of(placed), kind="switch") == tuple(
        f"leaf-000-rail-{i}" for i in range(8)
    )
    assert len(names(spine_of(node), kind="switch")) == 4
    assert names(rail(3), kind="switch") == ("leaf-000-rail-3",)
    assert names(rail(3, of=node), kind="switch") == ("leaf-000-rail-3",)
    assert names(feed_of(node), kind="feed") == ("rack-001/feed-a", "rack-001/feed-b")
    assert len(names(gpus_of(node), kind="gpu")) == 8
    assert names(gpu_of(placed), kind="gpu") == (f"{node}/gpu-2",)
    assert len(names(zone_of(node))) == 12


def test_the_busiest_nodes_have_most_pods() -> None:
    """The seed chooses among equals."""
    history = Pods(n0003=3, n0007=2, n0009=2)

    assert names(busiest(), history=history) == ("dgx-h100-0003",)
    seconds = {names(busiest(2), seed, history=history)[1] for seed in range(30)}
    assert seconds == {"dgx-h100-0007", "dgx-h100-0009"}


def test_a_list_is_all_of_its_parts() -> None:
    """Doubles count once."""
    parts = ["dgx-h100-0001", "dgx-h100-0002", "dgx-h100-0001"]

    assert names(parts) == ("dgx-h100-0001", "dgx-h100-0002")


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: names("dgx-h100-0099"), "no node 'dgx-h100-0099'"),
        (lambda: names(rack_of("nowhere")), "no node 'nowhere'"),
        (lambda: names("dgx-h100-001"), "did you mean dgx-h100-001"),
        (lambda: percent(0), "percent(0)"),
        (lambda: some(0), "some(0)"),
        (lambda: names(some(13)), "some(13): there are 12 nodes"),
        (lambda: busiest(True), "busiest(True)"),
        (lambda: rail(-1), "rail(-1)"),
        (lambda: names(rail(9), kind="switch"), "rails 0 to 7"),
        (lambda: names(rail(3)), "is a switch, and this fault is for a node"),
        (lambda: names("dgx-h100-0001/gpu-8", kind="gpu"), "no gpu"),
        (lambda: NodeCrash("n", signals="lease"), "signals='lease'"),  # type: ignore[arg-type]
        (lambda: NodeCrash("n", signals=("xid",)), "no signal 'xid'"),
        (lambda: percent(True), "percent(True)"),
        (lambda: NodeCrash(3), "target=3"),  # type: ignore[arg-type]
        (lambda: NodeCrash([]), "target=[]"),
        (lambda: node_of("llama"), "runs on no nodes"),  # type: ignore[arg-type]
        (lambda: names(node_of(Placed(["dgx-h100-0001"]), index=4)), "index=4"),
    ],
)
def test_what_cannot_be_hit_is_refused(make: Any, shown: str) -> None:
    """The message shows the value."""
    with pytest.raises(BadInput) as error:
        make()

    assert shown in str(error.value)


def test_a_target_that_comes_to_nothing_is_no_injection() -> None:
    """A fault that hits nothing would certify nothing."""
    with pytest.raises(InjectionNotObserved, match="node_of"):
        names(node_of(Placed([])))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("zz-*", r"no node of dgx-h100 fits 'zz-\*': it has dgx-h100-0000 … "),
        ("node_of(llama)", r"import it from pytest_knav .* node_of\(handle\)"),
    ],
)
def test_a_text_that_comes_to_nothing_is_explained(wrong: str, said: str) -> None:
    """With what there is, or how an expression is written."""
    with pytest.raises(BadInput, match=said):
        names(target_of(wrong))
