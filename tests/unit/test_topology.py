"""Topologies: presets at any size, and what a scheduler sees of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_knav.errors import BadInput
from pytest_knav.topology import make_topology
from pytest_knav.topology.manifests import node_manifest
from pytest_knav.topology.model import RACK_LABEL


@given(st.integers(min_value=1, max_value=300))
def test_every_size_has_racks_of_four_at_most(nodes: int) -> None:
    """Nodes are all there, named once, and each stands in one rack."""
    topology = make_topology("dgx-h100", nodes)

    names = [node.name for node in topology.nodes]
    in_racks = [name for rack in topology.racks for name in rack.nodes]

    assert len(set(names)) == nodes
    assert in_racks == names
    assert all(len(rack.nodes) <= 4 for rack in topology.racks)
    assert topology.gpus == 8 * nodes


def test_nodes_of_a_rack_share_its_label() -> None:
    """The label by which a scheduler knows racks is the rack's name."""
    topology = make_topology("dgx-h100", 8)

    rack = topology.rack_of("dgx-h100-0005")
    labels = {dict(topology.node(name).labels)[RACK_LABEL] for name in rack.nodes}

    assert labels == {rack.name}


def test_node_objects_offer_gpus_as_extended_resources() -> None:
    """Capacity and allocatable say what the machine has."""
    node = make_topology("dgx-h100", 1).nodes[0]

    manifest = node_manifest(node, {"a": "b"})

    assert manifest["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    assert manifest["status"]["capacity"] == manifest["status"]["allocatable"]
    assert manifest["metadata"]["labels"]["a"] == "b"
    assert manifest["metadata"]["labels"]["nvidia.com/gpu.count"] == "8"


@pytest.mark.parametrize("nodes", [0, -1, 20_001, 2.5, True, "8"])
def test_a_wrong_number_of_nodes_is_refused(nodes: Any) -> None:
    """The message shows the value."""
    with pytest.raises(BadInput, match="nodes="):
        make_topology("dgx-h100", nodes)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    """The message shows the value and the choices."""
    with pytest.raises(BadInput, match=r"'dgx-x9' is unknown: use one of .*dgx-h100"):
        make_topology("dgx-x9")
