"""Targets that are places, and what lies together in them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_knav import correlated, gpus_of, place_of
from pytest_knav.errors import BadInput
from pytest_knav.faults.expressions import parse_target
from pytest_knav.topology import make_topology


TOPOLOGY = make_topology("dgx-h100", 32)
NODE = "dgx-h100-0005"


def names(target: Any, kind: Any, seed: int = 0) -> tuple[str, ...]:
    """Resolve a target."""
    world: Any = type("Here", (), {"topology": TOPOLOGY})()
    choose = random.Random(seed)  # noqa: S311
    resolved: tuple[str, ...] = target.resolve(world, choose, kind)
    return resolved


class TestCorrelated:
    """A share that fails together."""

    @given(st.integers(1, 100), st.integers(0, 5))
    def test_lies_in_as_few_racks_as_can_be(self, share: int, seed: int) -> None:
        """Every rack that it touches is taken whole but one."""
        found = names(correlated(share), "node", seed)

        touched = {TOPOLOGY.node(name).rack for name in found}
        whole = [r for r in TOPOLOGY.racks if set(r.nodes) <= set(found)]
        assert len(found) == max(1, round(32 * share / 100))
        assert len(touched) - len(whole) <= 1

    def test_comes_from_the_seed(self) -> None:
        """The same seed, the same racks; another, others."""
        drawn = {names(correlated(25), "node", seed) for seed in range(8)}

        assert names(correlated(25), "node", 3) in drawn
        assert len(drawn) > 1

    def test_of_gpus(self) -> None:
        """Eight of 256: those of one rack."""
        found = names(correlated(3), "gpu")

        assert len(found) == 8
        assert len({TOPOLOGY.node(n.partition("/")[0]).rack for n in found}) == 1

    def test_of_places(self) -> None:
        """A quarter of the eight racks."""
        found = names(correlated(25), "place")

        assert len(found) == 2
        assert set(found) <= {rack.name for rack in TOPOLOGY.racks}

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: correlated(0), "above 0, at most 100"),
            (lambda: correlated(5, level="shelf"), "use one of region, zone"),
            (lambda: names(correlated(5, level="datacenter"), "node"), "it has"),
            (lambda: names(correlated(5), "switch"), "not for a switch"),
        ],
    )
    def test_refuses_what_cannot_be(self, make: Any, message: str) -> None:
        """With what there is."""
        with pytest.raises(BadInput, match=message):
            make()


class TestPlaceOf:
    """The place of a node."""

    def test_is_its_rack(self) -> None:
        """By default."""
        assert names(place_of(NODE), "place") == (TOPOLOGY.node(NODE).rack,)

    def test_is_for_faults_of_places(self) -> None:
        """A node is none."""
        with pytest.raises(BadInput, match="is a place, and this fault is for a node"):
            names(place_of(NODE), "node")


class TestGpusOf:
    """Some GPUs of a node."""

    def test_counts(self) -> None:
        """Half of eight, by the seed, nothing twice."""
        found = names(gpus_of(NODE, count=4), "gpu", 1)

        assert len(set(found)) == 4
        assert len({names(gpus_of(NODE, count=4), "gpu", n) for n in range(8)}) > 1
        assert all(name.startswith(f"{NODE}/gpu-") for name in found)

    @pytest.mark.parametrize("count", [0, 9, True])
    def test_refuses_more_than_there_are(self, count: Any) -> None:
        """With how many there are."""
        with pytest.raises(BadInput, match=r"8 gpus|whole number"):
            names(gpus_of(NODE, count=count), "gpu")


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (correlated(25, level="rack"), "node"),
        (place_of(NODE, level="leaf"), "place"),
        (gpus_of(NODE, count=3), "gpu"),
    ],
)
def test_a_saved_plan_reads_them_again(target: Any, kind: str) -> None:
    """What prints, parses, and comes to the same."""
    again = parse_target(str(target))

    assert str(again) == str(target)
    assert names(again, kind, 7) == names(target, kind, 7)
