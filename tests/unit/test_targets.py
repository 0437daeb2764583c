"""Targets: expressions, resolved when the fault is injected, by the seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_knav import minority, node_of, percent, rack_of
from pytest_knav.errors import BadInput, InjectionNotObserved
from pytest_knav.faults import NodeCrash
from pytest_knav.faults.targets import target_of
from pytest_knav.topology import Topology, make_topology


@dataclass
class Here:
    """Just enough of a cluster: its topology."""

    topology: Topology = field(default_factory=lambda: make_topology("dgx-h100", 12))


@dataclass
class Placed:
    """Just enough of a handle: a name and nodes."""

    nodes: list[str]
    name: str = "llama"


def names(target: Any, seed: int = 0) -> tuple[str, ...]:
    """Resolve a target."""
    world: Any = Here()
    return target_of(target).resolve(world, random.Random(seed))  # noqa: S311


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


def test_a_list_is_all_of_its_parts() -> None:
    """Doubles count once."""
    parts = ["dgx-h100-0001", "dgx-h100-0002", "dgx-h100-0001"]

    assert names(parts) == ("dgx-h100-0001", "dgx-h100-0002")


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: names("dgx-h100-0099"), "no node 'dgx-h100-0099'"),
        (lambda: names(rack_of("nowhere")), "no node 'nowhere'"),
        (lambda: percent(0), "percent(0)"),
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
