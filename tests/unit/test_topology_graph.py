"""Questions about a topology: what is lost, how far, how well connected, where best."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_knav.errors import BadInput
from pytest_knav.topology import PRESETS, Topology, make_topology, placement
from pytest_knav.topology.graph import Kind
from pytest_knav.topology.model import Level
from pytest_knav.topology.routes import Distance, Meets


if TYPE_CHECKING:
    from collections.abc import Iterable

H100 = make_topology("dgx-h100", 36)
NVL72 = make_topology("gb200-nvl72", 40)
HGX = make_topology("hgx-h100", 12)
TREE = make_topology("tree-12")
SMALL = {name: make_topology(name, 9) for name in PRESETS}
N3 = "dgx-h100-0003"


def everything(topology: Topology) -> list[str]:
    """Return the name of every component."""
    kinds = [*Kind, *topology.levels]
    return [c.name for kind in kinds for c in topology.graph.components(kind)]


def uneven(sizes: list[list[int]]) -> Topology:
    """Return a tree: for each spine group, the numbers of nodes of its leaves."""
    nodes = [
        replace(
            TREE.nodes[0],
            name=f"s{spine}l{leaf}n{number}",
            places=((Level.SPINE, f"s{spine}"), (Level.LEAF, f"s{spine}l{leaf}")),
            uplinks=(),
        )
        for spine, leaves in enumerate(sizes)
        for leaf, size in enumerate(leaves)
        for number in range(size)
    ]
    return Topology(name="uneven", source="a test", nodes=tuple(nodes))


def spread(topology: Topology, nodes: Iterable[str]) -> tuple[int, ...]:
    """Return over how many places of each level nodes lie, the widest first."""
    specs = [topology.node(name) for name in nodes]
    return tuple(len({n.place(level) for n in specs}) for level in topology.levels)


NAMES = everything(H100)


class TestComponents:
    """Each thing has one name."""

    @pytest.mark.parametrize("name", sorted(PRESETS))
    def test_every_name_leads_to_its_component(self, name: str) -> None:
        """Of every kind that the topology has; links end at things that are there."""
        topology = SMALL[name]

        for kind in [*Kind, *topology.levels]:
            for component in topology.graph.components(kind):
                assert topology.component(component.name).name == component.name
        for link in topology.links():
            inner, outer = link.ends
            assert topology.component(inner)
            assert topology.component(outer)
            assert link.gbps > 0

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            (N3, Kind.NODE),
            (f"{N3}/gpu-7", Kind.GPU),
            (f"{N3}/nic-0", Kind.NIC),
            (f"{N3}/numa-1", Kind.NUMA),
            (f"{N3}/pcie-4", Kind.PCIE),
            (f"{N3}/nvswitch-3", Kind.NVSWITCH),
            (f"{N3}/nvlink", Kind.DOMAIN),
            ("rack-000", Level.RACK),
            ("rack-000/feed-a", Kind.FEED),
            ("rail-5", Kind.RAIL),
            ("leaf-000-rail-5", Kind.SWITCH),
            ("spine-00-00", Kind.SWITCH),
            (f"{N3}/nic-5--leaf-000-rail-5", Kind.LINK),
            ("leaf-000-rail-5--spine-00-00", Kind.LINK),
            (f"{N3}/gpu-1--{N3}/nvlink", Kind.LINK),
        ],
    )
    def test_kinds(self, name: str, kind: Kind) -> None:
        """By the form of the name, and what the topology has."""
        assert H100.component(name).kind is kind

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("dgx-h100-003", "did you mean dgx-h100-00"),
            (f"{N3}/gpu-8", f"{N3} has 8 GPUs, 8 NICs, 2 NUMA nodes and 4 NVSwitches"),
            (f"{N3}/pcie-9", "but no pcie-9"),
            (f"{N3}/nic-5--leaf-000-rail-4", "no component"),
            ("rack-000--spine-00-00", "no component"),
            ("rail-8", "did you mean rail-"),
        ],
    )
    def test_an_unknown_name_is_refused(self, name: str, shown: str) -> None:
        """With what is close."""
        with pytest.raises(BadInput) as error:
            H100.component(name)

        assert shown in str(error.value)


class TestBlastRadius:
    """What is lost while something is down."""

    @pytest.mark.parametrize(
        ("name", "nodes", "gpus", "nics", "weak"),
        [
            (N3, 1, 8, 0, {}),
            (f"{N3}/gpu-2", 0, 1, 0, {}),
            (f"{N3}/nic-2", 0, 0, 1, {N3: 7 / 8}),
            (f"{N3}/numa-1", 0, 4, 4, {N3: 1 / 2}),
            (f"{N3}/pcie-0", 0, 1, 1, {N3: 7 / 8}),
            ("rack-000", 4, 32, 0, {}),
            ("su-001", 4, 32, 0, {}),
            (f"{N3}/nic-5--leaf-000-rail-5", 0, 0, 1, {N3: 7 / 8}),
        ],
    )
    def test_of_a_superpod(
        self, name: str, nodes: int, gpus: int, nics: int, weak: dict[str, float]
    ) -> None:
        """Part by part."""
        lost = H100.blast_radius(name)

        assert (len(lost.nodes), len(lost.gpus), len(lost.nics)) == (nodes, gpus, nics)
        assert lost.bandwidth == weak
        assert lost.causes == (name,)

    def test_a_rail_takes_an_eighth_of_every_node(self) -> None:
        """And cuts nobody off."""
        lost = H100.blast_radius("rail-3")

        assert set(lost.bandwidth.values()) == {7 / 8}
        assert len(lost.bandwidth) == 36
        assert lost.switches == {"leaf-000-rail-3", "leaf-001-rail-3"}
        assert not lost.cut_off

    def test_all_rails_cut_their_nodes_off(self) -> None:
        """They run, and reach nobody."""
        lost = H100.blast_radius(*(f"leaf-001-rail-{i}" for i in range(8)))

        assert lost.cut_off == {f"dgx-h100-00{i}" for i in (32, 33, 34, 35)}
        assert not lost.nodes
        assert lost.lost_nodes == lost.cut_off

    def test_a_leaf_switch_of_a_rack_cuts_it_off(self) -> None:
        """Where racks have one each."""
        lost = HGX.blast_radius("leaf-001")

        assert lost.cut_off == set(HGX.places(Level.RACK)["rack-001"])

    def test_a_spine_takes_its_share_of_the_uplinks(self) -> None:
        """Of two units there are eight."""
        lost = H100.blast_radius("spine-00-00")

        assert set(lost.bandwidth.values()) == {7 / 8}

    def test_a_node_runs_on_its_last_feed(self) -> None:
        """One of two takes the spare, both take the nodes."""
        one = H100.blast_radius("rack-000/feed-a")
        both = H100.blast_radius("rack-000/feed-a", "rack-000/feed-b")

        assert len(one.without_spare) == 4
        assert not one.nodes
        assert len(both.nodes) == 4
        assert not both.without_spare

    def test_nvswitches_weaken_their_domain(self) -> None:
        """Of a machine four, of a rack eighteen; a domain that is down has nothing."""
        assert H100.blast_radius(f"{N3}/nvswitch-0").nvlink == {f"{N3}/nvlink": 3 / 4}
        assert NVL72.blast_radius("nvl-000/nvswitch-9").nvlink == {
            "nvl-000": pytest.approx(17 / 18)
        }
        assert NVL72.blast_radius("nvl-001").nvlink["nvl-001"] == 0
        assert H100.blast_radius(f"{N3}/gpu-1--{N3}/nvlink").nvlink == {
            f"{N3}/nvlink": 7 / 8
        }

    @given(st.sets(st.sampled_from(NAMES), min_size=1, max_size=5), st.data())
    def test_more_failures_lose_no_less(self, names: set[str], data: Any) -> None:
        """Whatever fails together."""
        some = data.draw(st.sets(st.sampled_from(sorted(names))))

        less, more = H100.blast_radius(*some), H100.blast_radius(*names)

        assert less.nodes <= more.nodes
        assert less.gpus <= more.gpus
        assert less.lost_nodes <= more.lost_nodes
        for node, share in less.bandwidth.items():
            assert node in more.nodes or more.bandwidth[node] <= share
        for domain, share in less.nvlink.items():
            assert more.nvlink[domain] <= share
        assert all(0 <= share < 1 for share in more.bandwidth.values())


class TestDistance:
    """How far apart."""

    @pytest.mark.parametrize(
        ("a", "b", "meets"),
        [
            (N3, N3, Meets.SELF),
            (f"{N3}/gpu-0", f"{N3}/gpu-7", Meets.NVLINK),
            (f"{N3}/gpu-0", "dgx-h100-0004/gpu-0", Meets.LEAF),
            (f"{N3}/gpu-0", "dgx-h100-0004/gpu-1", Meets.SPINE),
            (f"{N3}/gpu-0", "dgx-h100-0033/gpu-0", Meets.SPINE),
            (N3, "dgx-h100-0004", Meets.LEAF),
            (f"{N3}/gpu-0", N3, Meets.NODE),
        ],
    )
    def test_on_rails(self, a: str, b: str, meets: Meets) -> None:
        """GPUs of different nodes meet at a leaf switch on one rail only."""
        assert H100.distance(a, b).meets is meets

    def test_a_rack_of_one_nvlink_domain(self) -> None:
        """GPUs of its trays are as near as those of one tray."""
        near = NVL72.distance("gb200-nvl72-0000/gpu-0", "gb200-nvl72-0017/gpu-3")
        far = NVL72.distance("gb200-nvl72-0000/gpu-0", "gb200-nvl72-0018/gpu-0")

        assert near == Distance(Meets.NVLINK, 2)
        assert near < far == Distance(Meets.LEAF, 2)

    def test_parts_of_a_mixed_cluster_are_not_connected(self) -> None:
        """Their fabrics are apart."""
        mixed = make_topology("mixed", 12)

        far = mixed.distance("dgx-h100-0000", "cpu-0000")

        assert far.meets is Meets.NOWHERE

    @given(
        st.sampled_from([n for n in NAMES if "/gpu-" in n and "--" not in n]),
        st.sampled_from([n for n in NAMES if "/gpu-" in n and "--" not in n]),
    )
    def test_it_is_the_same_both_ways(self, a: str, b: str) -> None:
        """And nothing only from a thing to itself."""
        assert H100.distance(a, b) == H100.distance(b, a)
        assert (H100.distance(a, b).meets is Meets.SELF) == (a == b)

    def test_what_is_no_node_has_no_distance(self) -> None:
        """The message says what it is."""
        with pytest.raises(BadInput, match="rack-000 is a rack"):
            H100.distance(N3, "rack-000")


class TestFabric:
    """What is left of it for some nodes."""

    def test_all_is_well(self) -> None:
        """Nothing is down."""
        fabric = H100.fabric([n.name for n in H100.nodes])

        assert (fabric.connected, fabric.fraction) == (True, 1.0)
        assert [len(part) for part in fabric.parts] == [36]

    @pytest.mark.parametrize(
        ("without", "fraction"),
        [
            (["rail-3"], 7 / 8),
            (["rail-3", "rail-4"], 6 / 8),
            (["dgx-h100-0001/nic-0"], 7 / 8),
        ],
    )
    def test_the_worst_node_counts(self, without: list[str], fraction: float) -> None:
        """As a collective is as fast as its slowest member."""
        nodes = [f"dgx-h100-000{i}" for i in range(8)]

        assert H100.fabric(nodes, without).fraction == pytest.approx(fraction)

    def test_uplinks_count_where_they_are_needed(self) -> None:
        """Within a unit a spine switch is not missed, nor by few nodes across two."""
        across = [n.name for n in H100.nodes]
        within, few = across[:32], [*across[:4], *across[32:]]

        assert H100.fabric(within, ["spine-00-00"]).fraction == 1.0
        assert H100.fabric(few, ["spine-00-00"]).fraction == 1.0
        assert H100.fabric(across, ["spine-00-00"]).fraction == pytest.approx(7 / 8)

    def test_nodes_that_are_cut_off_are_a_part_of_their_own(self) -> None:
        """And there is no bandwidth for all of them together."""
        nodes = [n.name for n in TREE.nodes]

        fabric = TREE.fabric(nodes, ["sw22"])

        assert not fabric.connected
        assert fabric.fraction == 0
        assert [len(part) for part in fabric.parts] == [8, 2, 2]

    def test_a_node_that_is_down_is_in_no_part(self) -> None:
        """The others are still connected with each other."""
        fabric = TREE.fabric(["n1", "n2", "n3"], ["n2"])

        assert not fabric.connected
        assert fabric.parts == (("n1", "n3"),)


class TestBestNodes:
    """Where a gang lies closest together."""

    def test_three_of_twelve_with_five_busy(self) -> None:
        """Knavigator's example, and what its README says is best."""
        busy = {"n1", "n3", "n6", "n11", "n12"}
        free = [n.name for n in TREE.nodes if n.name not in busy]

        assert TREE.best_nodes(3, among=free) == ("n5", "n7", "n8")

    @pytest.mark.parametrize(
        ("count", "among", "best"),
        [
            (2, "n1 n3 n5 n6", "n5 n6"),
            (3, "n1 n2 n3 n4 n5 n6 n7", "n5 n6 n7"),
            (4, "n1 n3 n4 n5 n6 n7 n8", "n5 n6 n7 n8"),
            (5, "n1 n2 n3 n4 n5 n9 n10 n11 n12", "n1 n2 n3 n4 n5"),
        ],
    )
    def test_the_narrowest_place_and_the_tightest_fit(
        self, count: int, among: str, best: str
    ) -> None:
        """Larger gangs find room elsewhere."""
        assert TREE.best_nodes(count, among.split()) == tuple(best.split())

    def test_an_nvlink_domain_before_a_rack_of_another(self) -> None:
        """Eighteen trays fill one."""
        best = NVL72.best_nodes(18)

        assert len({NVL72.node(name).nvlink_domain for name in best}) == 1

    def test_what_is_down_is_no_choice(self) -> None:
        """Nor what is cut off."""
        best = TREE.best_nodes(3, without=["n1", "sw12", "sw13"])

        assert best == ("n9", "n10", "n11")

    @given(
        st.sets(st.sampled_from([n.name for n in H100.nodes]), min_size=1), st.data()
    )
    def test_they_are_as_many_as_asked_for(self, among: set[str], data: Any) -> None:
        """Out of those that may be taken, and in one place where one has enough."""
        count = data.draw(st.integers(min_value=1, max_value=len(among)))

        best = H100.best_nodes(count, sorted(among))

        assert len(set(best)) == count
        assert set(best) <= among
        for places in map(H100.places, H100.levels):
            if any(len(among & set(nodes)) >= count for nodes in places.values()):
                assert any(set(best) <= set(nodes) for nodes in places.values())

    @given(
        st.lists(
            st.lists(st.integers(min_value=1, max_value=3), min_size=1, max_size=2),
            min_size=1,
            max_size=4,
        ),
        st.data(),
    )
    def test_no_choice_is_better(self, sizes: list[list[int]], data: Any) -> None:
        """Fewest spine groups, then fewest leaves, out of trees of any shape."""
        tree = uneven(sizes)
        names = [node.name for node in tree.nodes]
        count = data.draw(st.integers(min_value=1, max_value=min(5, len(names))))

        best = tree.best_nodes(count)

        every = itertools.combinations(names, count)
        assert spread(tree, best) == min(spread(tree, nodes) for nodes in every)

    def test_few_wide_places_before_few_narrow_ones(self) -> None:
        """Two spine groups of six leaves, not three of three."""
        tree = uneven([[1, 1, 1], [2], [2], [2], [1, 1, 1]])

        assert spread(tree, tree.best_nodes(6)) == (2, 6)

    def test_where_there_are_too_many_to_weigh_each(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Few places are still few, and a place that has enough is still found."""
        monkeypatch.setattr(placement, "EXACT", 0)

        five, three = TREE.best_nodes(5), TREE.best_nodes(3)

        assert spread(TREE, five) == (1, 2, 3)
        assert spread(TREE, three) == (1, 1, 2)

    def test_what_is_no_node_is_refused(self) -> None:
        """The message says what it is."""
        with pytest.raises(BadInput, match="sw11 is a switch: give nodes"):
            TREE.best_nodes(1, among=["sw11"])

    @pytest.mark.parametrize("count", [0, 13, True])
    def test_a_number_that_cannot_be_is_refused(self, count: int) -> None:
        """With the value."""
        with pytest.raises(BadInput, match="best_nodes"):
            TREE.best_nodes(count)


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("nodes", [1, 2, 21, 150])
def test_a_preset_holds_together_at_any_size(name: str, nodes: int) -> None:
    """Names are unique, places are a tree, every link ends somewhere."""
    topology = make_topology(name, nodes)

    names = [c.name for c in topology.graph.components(Kind.NODE)]
    leaves = {switch.name for switch in topology.switches}
    assert len(set(names)) == nodes == len(topology.nodes)
    assert all(leaf in leaves for node in topology.nodes for leaf in node.uplinks)
    for level, wider in zip(topology.levels[1:], topology.levels, strict=False):
        for members in topology.places(level).values():
            assert len({topology.node(n).place(wider) for n in members}) == 1
