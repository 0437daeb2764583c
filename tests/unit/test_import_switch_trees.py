"""SLURM's and Topograph's files: what they say is what is simulated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_knav.errors import BadInput
from pytest_knav.topology.importers import import_tree, read_tree, source_of
from pytest_knav.topology.importers.gpus import machine_named
from pytest_knav.topology.importers.hostlist import NAMES_MAX, expand
from pytest_knav.topology.model import Level


if TYPE_CHECKING:
    from pytest_knav.topology.importers.tree import SwitchTree

MACHINE = machine_named("dgx-h100")
CONF = """\
# made by hand
SwitchName=leaf1 Nodes=n[001-002,004] LinkSpeed=400
switchname=leaf2 \\
    nodes=n003,\\
n005
SwitchName=spine Switches=leaf[1-2]
"""
MODEL = """\
switches:
  core:
    labels: {topology.kubernetes.io/region: us-east}
    switches: [spine]
  spine:
    labels: {topology.kubernetes.io/zone: z1}
    switches: [leaf-1, leaf-2]
blocks:
- switch: leaf-1
  nodes: ["n[1-2]"]
  labels: {pool: gold}
  annotations: {accelerator.topology.test/domain: nvl1}
- switch: leaf-2
  nodes: [n3]
  annotations: {accelerator.topology.test/domain: nvl2}
- nodes: [alone]
"""

TWO_ABOVE = """\
instances:
- {id: a, network_layers: [l, s]}
- {id: b, network_layers: [l, t]}
"""


def compressed(names: list[str]) -> str:
    """Return names as a hostlist, numbers with their leading zeros."""
    return ",".join(
        f"{name.rstrip('0123456789')}[{name[len(name.rstrip('0123456789')) :]}]"
        for name in names
    )


def conf_of(switches: dict[str, dict[str, list[str]]]) -> str:
    """Return switches as `topology.conf`."""
    return "\n".join(
        f"SwitchName={name} "
        + " ".join(f"{part}={compressed(names)}" for part, names in parts.items())
        for name, parts in switches.items()
    )


def yaml_of(switches: dict[str, dict[str, list[str]]]) -> str:
    """Return switches as the default one of a `topology.yaml`."""
    fields = {"Switches": "children", "Nodes": "nodes"}
    items = [
        {"switch": name, **{fields[k]: compressed(v) for k, v in parts.items()}}
        for name, parts in switches.items()
    ]
    flat = {"topology": "other", "cluster_default": False, "flat": True}
    tree = {"topology": "t", "cluster_default": True, "tree": {"switches": items}}
    return yaml.safe_dump([flat, tree], sort_keys=False)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, dict[str, list[str]]]:
    """Return a tree of one to three tiers, in any order."""
    leaves = draw(st.lists(st.integers(1, 5), min_size=1, max_size=8))
    switches: dict[str, dict[str, list[str]]] = {}
    first = 0
    for number, size in enumerate(leaves):
        nodes = [f"node{i:03d}" for i in range(first, first + size)]
        switches[f"s0x{number}"] = {"Nodes": nodes}
        first += size
    tier = list(switches)
    for height in range(1, draw(st.integers(1, 3))):
        parents = draw(st.integers(1, len(tier)))
        above = {
            f"s{height}x{number}": tier[number::parents] for number in range(parents)
        }
        switches |= {name: {"Switches": below} for name, below in above.items()}
        tier = list(above)
    return dict(draw(st.permutations(list(switches.items()))))


def as_given(tree: SwitchTree) -> dict[str, dict[str, list[str]]]:
    """Return a tree as `trees` gives them."""
    return {
        one.name: {
            part: list(names)
            for part, names in (("Nodes", one.nodes), ("Switches", one.switches))
            if names
        }
        for one in tree.switches
    }


@given(trees(), st.sampled_from([conf_of, yaml_of]))
def test_a_tree_comes_back_from_slurms_files(
    switches: dict[str, dict[str, list[str]]], written: Any
) -> None:
    """Switches, their children and their nodes are those that were written."""
    text = written(switches)

    tree = read_tree(text, "topology", source_of(text, "topology"))

    assert as_given(tree) == switches


@settings(max_examples=30)
@given(trees())
def test_places_and_links_are_those_of_the_tree(
    switches: dict[str, dict[str, list[str]]],
) -> None:
    """A node is at every switch above it, and its NICs hang on the nearest."""
    topology = import_tree(
        read_tree(conf_of(switches), "t", "slurm"), MACHINE, name="t"
    ).topology
    parent = {
        below: name
        for name, parts in switches.items()
        for below in parts.get("Switches", ())
    }
    for leaf, parts in switches.items():
        way = [leaf]
        while way[-1] in parent:
            way.append(parent[way[-1]])
        for name in parts.get("Nodes", ()):
            node = topology.node(name)

            assert [place for _, place in node.places] == way[::-1]
            assert set(node.uplinks) == {leaf}
            assert len(node.uplinks) == len(MACHINE.nics)
    found = {s.name: [w for w, _ in s.uplinks] for s in topology.switches}
    assert found == {n: [parent[n]] if n in parent else [] for n in switches}
    assert topology.gpus == 8 * len(topology.nodes)


@given(st.lists(st.integers(0, 999), unique=True, min_size=1, max_size=30))
def test_a_hostlist_keeps_order_and_zeros(numbers: list[int]) -> None:
    """Names are those that were put together."""
    names = [f"rack1n{number:03d}" for number in numbers]

    found = expand(f"rack1n[{','.join(f'{n:03d}' for n in numbers)}]")

    assert found == names


def test_a_hostlist_of_several_brackets_is_their_product() -> None:
    """The last one runs fastest, as in SLURM; ranges keep the zeros of the first."""
    found = expand("r[1-2]n[08-10], login")

    assert found == [f"r{r}n{n}" for r in "12" for n in ("08", "09", "10")] + ["login"]


@pytest.mark.parametrize(
    "wrong",
    ["", "n[1-", "n1-2]", "n[[1]]", "n[2-1]", "n[a-b]", "n1,,n2", "n[]",
     f"n[0-{NAMES_MAX}]", "n[0-999]m[0-999]"],
)  # fmt: skip
def test_a_wrong_hostlist_is_refused_with_itself(wrong: str) -> None:
    """It is neither guessed at nor fills the memory."""
    with pytest.raises(BadInput) as refused:
        expand(wrong)

    assert "hostlist" in str(refused.value)


def test_a_conf_is_read_as_slurm_reads_it() -> None:
    """Names in any case, comments, lines that go on; what is not carried is said."""
    tree = read_tree(CONF, "topology.conf", "slurm")

    assert as_given(tree) == {
        "leaf1": {"Nodes": ["n001", "n002", "n004"]},
        "leaf2": {"Nodes": ["n003", "n005"]},
        "spine": {"Switches": ["leaf1", "leaf2"]},
    }
    assert "LinkSpeed" in tree.dropped[0]


def test_blocks_are_nvlink_domains() -> None:
    """Those of SLURM's block plugin, as Topograph writes them."""
    text = "BlockName=b1 Nodes=a[1-2]\nBlockName=b2 Nodes=a3\nBlockSizes=2,4\n"

    found = import_tree(read_tree(text, "t", "slurm"), MACHINE, name="t")

    assert found.topology.places(Level.NVLINK) == {"b1": ("a1", "a2"), "b2": ("a3",)}
    assert [node.nvlink_domain for node in found.topology.nodes] == ["b1", "b1", "b2"]
    assert any("BlockSizes" in line for line in found.dropped)


def test_a_model_of_topograph_has_its_zones_labels_and_domains() -> None:
    """Labels are inherited from the switches above; nodes may hang on none."""
    found = import_tree(read_tree(MODEL, "m", "topograph"), MACHINE, name="m").topology

    node, alone = found.node("n1"), found.node("alone")
    assert dict(node.places) == {
        Level.REGION: "us-east", Level.ZONE: "z1", Level.CORE: "core",
        Level.SPINE: "spine", Level.LEAF: "leaf-1", Level.NVLINK: "nvl1",
    }  # fmt: skip
    assert dict(node.labels)["pool"] == "gold"
    assert dict(node.labels)["network.topology.nvidia.com/leaf"] == "leaf-1"
    assert alone.places == ()
    assert set(alone.uplinks) == {None}


def test_a_graph_of_topograph_has_the_same_tree() -> None:
    """Layers begin at the switch that is nearest."""
    instances = [
        {"id": f"n{i}", "network_layers": [f"leaf-{i // 2}", "spine"],
         "labels": {"accelerator.topograph.run/domain": f"d{i // 2}"}}
        for i in range(4)
    ]  # fmt: skip
    text = json.dumps({"instances": instances})

    tree = read_tree(text, "graph.json", source_of(text, "graph.json"))
    found = import_tree(tree, MACHINE, name="g").topology

    assert found.places(Level.LEAF) == {"leaf-0": ("n0", "n1"), "leaf-1": ("n2", "n3")}
    assert found.places(Level.SPINE) == {"spine": ("n0", "n1", "n2", "n3")}
    assert found.places(Level.NVLINK) == {"d0": ("n0", "n1"), "d1": ("n2", "n3")}


def test_racks_of_a_size_stay_within_a_leaf() -> None:
    """The last one of a leaf is smaller; the report says that they are assumed."""
    found = import_tree(
        read_tree("SwitchName=a Nodes=n[1-5]\nSwitchName=b Nodes=m[1-2]", "t", "slurm"),
        MACHINE,
        name="t",
        rack_size=2,
    )

    racks = [rack.nodes for rack in found.topology.racks]
    assert racks == [("n1", "n2"), ("n3", "n4"), ("n5",), ("m1", "m2")]
    assert any("racks of 2" in line for line in found.lines)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SwitchName=a Switches=b", "t.conf:1: Switches: 'a' has the child 'b'"),
        ("SwitchName=a Nodes=n1\n\nSwitchName=b Nodes=n[1-2]",
         "t.conf:3: node 'n1' is on switch 'b' and, at t.conf:1, on 'a'"),
        ("SwitchName=a Switches=b\nSwitchName=b Switches=a\nSwitchName=c Nodes=n",
         "t.conf:1: Switches: a below b below a: a tree is needed"),
        ("SwitchName=a Switches=c\nSwitchName=b Switches=c\nSwitchName=c Nodes=n",
         "t.conf:2: Switches: 'c' is below 'b' and, at t.conf:1, below 'a'"),
        ("SwitchName=a Nodes=n1\nSwitchName=a Nodes=n2", "t.conf:2: switch 'a' is def"),
        ("SwitchName=a Nodes=n[1-", "t.conf:1: Nodes: hostlist 'n[1-'"),
        ("SwitchName=a", "t.conf:1: SwitchName=a needs either Switches or Nodes"),
        ("SwitchName=a Nodes=n Speed=4", "t.conf:1: there is no parameter 'Speed'"),
        ("SwitchName=a Nodes=n nodes=m", "t.conf:1: nodes is given twice"),
        ("SwitchName=a Nodes=n oops", "t.conf:1: 'oops' is no parameter"),
        ("Nodes=n", "t.conf:1: 'Nodes=n' defines neither"),
        ("Include other.conf", "t.conf:1: Include is not followed"),
        ("# nothing\n", "t.conf has neither SwitchName nor BlockName"),
        ("BlockSizes=2\nBlockName=a", "names no nodes"),
        ("\n".join(f"SwitchName=s{i} Switches=s{i + 1}" for i in range(5))
         + "\nSwitchName=s5 Nodes=n", "at most 3 are possible"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_conf_is_shown_with_its_line(text: str, says: str) -> None:
    """No switch, node or parameter is passed over."""
    with pytest.raises(BadInput) as refused:
        read_tree(text, "t.conf", "slurm")

    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- topology: a\n  tree:\n    switches:\n    - switch: s\n      node: n\n",
         "t.yaml:5: [0].tree.switches[0].node: there is no field"),
        ("- topology: a\n  tree:\n    switches:\n    - switch: s\n",
         "t.yaml:4: [0].tree.switches[0]: switch 's' needs either children or nodes"),
        ("- topology: a\n  tree:\n    switches:\n    - {switch: s, nodes: 'n['}\n",
         "t.yaml:4: [0].tree.switches[0].nodes: hostlist"),
        ("- topology: a\n  flat: true\n", "t.yaml:2: [0].flat: a flat topology"),
        ("- topology: a\n", "t.yaml:1: [0] needs just one of tree, block, flat"),
        ("- topology: a\n  tree: 5\n", "t.yaml:2: [0].tree is a text"),
        ("- topology: a\n  tree: [\n", "t.yaml:3: no YAML"),
        ("- topology: a\n  topology: b\n", "t.yaml:2: [0]: 'topology' is there twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_yaml_is_shown_with_line_and_field(
    text: str, says: str
) -> None:
    """As a person finds it in the file."""
    with pytest.raises(BadInput) as refused:
        read_tree(text, "t.yaml", "slurm")

    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("blocks:\n- switch: s\n  nodes: [a]\n", "m:2: blocks[0].switch: switch 's'"),
        ("blocks:\n- switch: s\n", "m:2: blocks[0]: the field 'nodes' is missing"),
        ("switches: {a: {switches: [b]}, b: {switches: [a]}}\nblocks: [{nodes: [n]}]",
         "a tree is needed"),
        (TWO_ABOVE, "m:3: instances[1]: switch 'l' is below 't'"),
        ("instances:\n- id: a\n- id: a\n", "m:3: instances[1]: the instance 'a'"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_topographs_files_is_shown(text: str, says: str) -> None:
    """With file, line and field."""
    with pytest.raises(BadInput) as refused:
        read_tree(text, "m", "topograph")

    assert says in str(refused.value)


def test_names_that_kubernetes_refuses_are_changed_or_refused() -> None:
    """Capitals become small, and what cannot be told apart then is an error."""
    tree = read_tree("SwitchName=s Nodes=Node[1-2]", "t", "slurm")
    both = read_tree("SwitchName=s Nodes=Node1,node1", "t", "slurm")

    found = import_tree(tree, MACHINE, name="t")

    assert [node.name for node in found.topology.nodes] == ["node1", "node2"]
    assert any("lower case" in line for line in found.lines)
    with pytest.raises(BadInput, match="both be called 'node1'"):
        import_tree(both, MACHINE, name="t")


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (CONF, "slurm"),
        ("- topology: a\n  flat: true\n", "slurm"),
        (MODEL, "topograph"),
        ('{\n  "instances": []}', "topograph"),
        ("apiVersion: v1\nitems: []\nkind: List\n", "nodes"),
        ('{"apiVersion": "v1", "items": [], "kind": "List"}', "nodes"),
    ],
)
def test_the_kind_of_file_is_seen_by_its_content(text: str, source: str) -> None:
    """Nobody has to say it."""
    assert source_of(text, "file") == source


def test_a_file_of_no_known_kind_is_refused() -> None:
    """The message says what can be imported."""
    with pytest.raises(BadInput, match=r"kubectl get nodes.*topology\.conf.*Topograph"):
        source_of("hello: world", "file")
