"""Topologies in files: short for people, whole for importers, precise when wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_knav.errors import BadInput
from pytest_knav.topology import PRESETS, Level, make_topology
from pytest_knav.topology.file import dump_topology, json_schema, load_topology


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav.topology import Topology

ROOT = Path(__file__).parent.parent.parent
POOLS = """\
name: mine
machines:
  big:
    like: dgx-h100
    cpus: 96
  small: {cpus: 8, memory_gib: 32, nics: 1}
pools:
  - name: gpu
    machine: big
    count: 4
    nodes_per_rack: 2
    places: {zone: z1, leaf: l1}
    uplinks: leaf-1
  - {name: web, machine: small, count: 3, places: {zone: z1}}
switches:
  - {name: leaf-1, level: leaf, uplinks: {spine-1: 800}}
  - {name: spine-1, level: spine}
"""
NODES = """\
name: listed
nodes:
  - name: a
    machine: hgx-h100
    places: {leaf: l1, rack: r1}
    power_feeds: [f1, f2]
    gpu_uuids: [G0, G1, G2, G3, G4, G5, G6, G7]
  - name: b
    machine: hgx-h100
    places: {leaf: l1, rack: r2}
"""

EXAMPLES = re.findall(
    r"```(yaml|python)\n(.*?)```",
    (ROOT / "docs" / "explanation" / "topologies.md").read_text(),
    re.DOTALL,
)


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Topology]:
    """Return a function that reads a text as a file."""

    def read(text: str, nodes: int | None = None) -> Topology:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return load_topology(path, nodes)

    return read


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_what_is_written_is_read_again(name: str, load: Any) -> None:
    """Every preset, with all that it has."""
    topology = make_topology(name, 7)

    again = load(dump_topology(topology))

    assert again == topology
    assert again.fingerprint == topology.fingerprint


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["a/b", "c", "on", "1"]), st.sampled_from(["", "x", "no", "07"])
    ),
    st.lists(
        st.tuples(
            st.sampled_from(["k", "nvidia.com/gpu"]),
            st.sampled_from(["", "true"]),
            st.sampled_from(["NoSchedule", "NoExecute"]),
        ),
        unique=True,
    ),
    st.dictionaries(
        st.sampled_from(["cpu", "x.com/y"]), st.sampled_from(["7910m", ""])
    ),
)
def test_what_a_node_carries_is_read_again(
    load: Any,
    labels: dict[str, str],
    taints: list[tuple[str, str, str]],
    amounts: dict[str, str],
) -> None:
    """Texts that YAML would take for something else stay texts."""
    made = make_topology("tree-12", 2)
    first = replace(
        made.nodes[0],
        labels=tuple(sorted(labels.items())),
        annotations=tuple(sorted(labels.items())),
        taints=tuple(taints),
        capacity=tuple(amounts.items()),
        allocatable=tuple(amounts.items()),
        power_feeds=("f", "g"),
        power_needed=2,
    )
    topology = replace(made, nodes=(first, made.nodes[1]), notes=("a note",))

    assert load(dump_topology(topology)) == topology


def test_a_preset_with_changes(load: Any) -> None:
    """At a size, with more labels and taints; a number that is asked for wins."""
    text = (
        "name: mine\npreset: dgx-h100\nnodes: 8\nlabels: {team: a}\n"
        "taints: [{key: nvidia.com/gpu}]\n"
    )

    made, more = load(text), load(text, 16)

    assert made.name == "mine"
    assert (len(made.nodes), len(more.nodes)) == (8, 16)
    assert dict(made.nodes[0].labels)["team"] == "a"
    assert dict(made.nodes[0].labels)["nvidia.com/gpu.count"] == "8"
    assert made.nodes[0].taints == (("nvidia.com/gpu", "", "NoSchedule"),)


def test_pools_of_machines(load: Any) -> None:
    """Named and counted, in racks of a size, hung on a switch."""
    made = load(POOLS)

    names = [(node.name, node.cpus, node.gpus, node.rack) for node in made.nodes]
    assert names[:3] == [
        ("gpu-0000", 96, 8, "gpu-rack-000"),
        ("gpu-0001", 96, 8, "gpu-rack-000"),
        ("gpu-0002", 96, 8, "gpu-rack-001"),
    ]
    assert names[4:] == [(f"web-000{i}", 8, 0, "") for i in range(3)]
    assert made.nodes[0].uplinks == ("leaf-1",) * 8
    assert made.blast_radius("leaf-1").cut_off == {f"gpu-000{i}" for i in range(4)}
    assert dict(made.nodes[0].labels)["topology.kubernetes.io/zone"] == "z1"
    assert made.nodes[0].place(Level.LEAF) == "l1"


def test_amounts_may_be_numbers(load: Any) -> None:
    """As in Kubernetes; in the Node object they are texts."""
    made = load(NODES.replace("name: b", "name: b\n    capacity: {example.com/w: 3}"))

    assert made.node("b").capacity == (("example.com/w", "3"),)


def test_nodes_one_by_one(load: Any) -> None:
    """With the UUIDs of their GPUs, where they are known."""
    made = load(NODES)

    assert made.gpu("a/gpu-3").uuid == "G3"
    assert made.gpu("b/gpu-3").uuid.startswith("GPU-")
    assert made.node("a").power_feeds == ("f1", "f2")


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("spine-1: 800", "spine-9: 800", "line 16: switches[0]: leaf-1 has a link to"),
        ("spine-1: 800", "spine-1: -8", "line 16: switches[0].uplinks.spine-1: input"),
        ("level: spine}", "level: leaf}", "never in a circle"),
        (
            "machine: small",
            "machine: smal",
            "line 14: pools[1].machine: machine 'smal'",
        ),
        ("like: dgx-h100", "like: dgx", "line 4: machines.big.like: machine 'dgx'"),
        ("count: 3", "count: -3", "line 14: pools[1].count: input should be greater"),
        ("cpus: 8", "cpuss: 8", "line 6: machines.small.cpuss: extra inputs"),
        ("cpus: 8, ", "", "line 6: machines.small.cpus: give it"),
        ("name: web", "name: gpu", "node 'gpu-0000' is there twice"),
        ("name: web", "name: Web", "line 14: pools[1].name: string should match"),
        ("uplinks: leaf-1", "uplinks: leaf-7", "has a link to 'leaf-7'"),
        ("uplinks: leaf-1", f"uplinks: {['leaf-1'] * 9}", "9 uplinks, and big has 8"),
        ("zone: z1, leaf", "zone: z 1, leaf", "pools[0].places.zone: string should"),
        ("zone: z1, leaf", "zoo: z1, leaf", "pools[0].places"),
        ("name: mine", "name: mine\nname: again", "line 2: name: the key stands there"),
        ("name: mine", "name: mine\nnodes: 4", "a number of nodes is for a preset"),
        ("name: mine", "name: mine\npreset: cpu", "pools: a preset brings its own"),
        ("name: mine", "name: mine\nload: no.yaml", "load: "),
        ("name: mine", "name: mine\ndialects: [klingon]", "line 2: dialects: "),
        ("name: mine", "name: mine\nlabels: {a: b c}", "line 2: labels.a: string"),
        ("name: mine", "name: mine\nlabels: {A.B/c: d}", "line 2: labels"),
        ("name: web", "name: a..b", "line 14: pools[1].name: string should match"),
        ("count: 3", "count: 3, capacity: {cpu: -3}", "pools[1].capacity.cpu: "),
        ("nics: 1}", "nics: [{numa: 1}]}", "small.nics[0].numa: NUMA node 1, and numa"),
        (
            "nics: 1}",
            "nics: 1, gpu: NVIDIA-GB200, gpus: [{nic: 1}]}",
            "line 6: machines.small.gpus[0].nic: NIC 1, and there are 1",
        ),
    ],
)
def test_what_is_wrong_is_named(load: Any, old: str, new: str, shown: str) -> None:
    """With file, line and field, when it is read."""
    assert old in POOLS

    with pytest.raises(BadInput) as error:
        load(POOLS.replace(old, new, 1))

    assert shown in str(error.value)
    assert "mine.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("name: b", "name: a", "line 8: nodes[1]: node 'a' is there twice"),
        (
            "rack: r2}",
            "rack: r2}\n    gpu_uuids: [H0, H1, H2, G3, H4, H5, H6, H7]",
            "GPU G3 is on a and on b",
        ),
        (
            "{leaf: l1, rack: r2}",
            "{leaf: l2, rack: r1}",
            "rack 'r1' lies in leaf 'l1' with a, and in leaf 'l2' with b",
        ),
        (", G7]", "]", "a has 8 GPUs and 7 UUIDs"),
        ("[f1, f2]", "[f1, f2]\n    power_needed: 3", "needs 3 power feeds and has 2"),
    ],
)
def test_what_cannot_be_is_named(load: Any, old: str, new: str, shown: str) -> None:
    """Nodes and GPUs that are there twice, places that are no tree."""
    assert old in NODES

    with pytest.raises(BadInput) as error:
        load(NODES.replace(old, new, 1))

    assert shown in str(error.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a: [", "is not YAML"),
        ("- a", "holds no fields"),
        ("name: x", "line 1: it has no nodes"),
        ("name: x\npreset: foo", "line 2: preset: 'foo' is unknown: use one of cpu"),
        ("name: x\npreset: cpu\nnodes: 99999", "nodes=99999 is out of range"),
    ],
)
def test_what_is_no_topology_is_refused(load: Any, text: str, shown: str) -> None:
    """The message says why."""
    with pytest.raises(BadInput) as error:
        load(text)

    assert shown in str(error.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """So is a size for one that says itself which nodes there are."""
    with pytest.raises(BadInput, match="No such file"):
        make_topology(str(tmp_path / "none.yaml"))
    (tmp_path / "listed.yaml").write_text(NODES)
    with pytest.raises(BadInput, match=r"nodes=4.*says itself which nodes"):
        make_topology(str(tmp_path / "listed.yaml"), 4)


def test_editors_have_a_schema() -> None:
    """With every field of a file."""
    schema = json_schema()

    assert {"name", "preset", "pools", "nodes", "machines"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(("language", "text"), EXAMPLES)
def test_the_examples_of_the_page_are_right(
    language: str, text: str, load: Any
) -> None:
    """Files are read, and what the code says holds."""
    if language == "yaml":
        assert load(text).nodes
    else:
        exec(text, {})  # noqa: S102 - our own page
