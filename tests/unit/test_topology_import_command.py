"""`knav topology import`: files in, files out, and what is said about them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pytest_knav.cli import app
from pytest_knav.errors import BadInput
from pytest_knav.topology import PRESETS, make_topology
from pytest_knav.topology.file import dump_topology, load_topology
from pytest_knav.topology.importers import (
    import_nodes,
    import_tree,
    machine_named,
    read_tree,
)
from pytest_knav.topology.manifests import node_manifest


if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parent.parent / "data" / "importing"
NODES, LOAD = DATA / "nodes.yaml", DATA / "load.yaml"
CONF = (
    "SwitchName=a Nodes=n[1-2]\nSwitchName=b Nodes=n[3-4]\nSwitchName=s Switches=a,b\n"
)


@pytest.fixture
def knav() -> Callable[..., str]:
    """Return a function that imports and returns what was printed."""

    def run(*arguments: object) -> str:
        words = ["topology", "import", *map(str, arguments)]
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_a_real_cluster_becomes_two_files(
    knav: Callable[..., str], tmp_path: Path
) -> None:
    """The topology, which names its load, and a report of both."""
    output = tmp_path / "prod.yaml"

    said = knav(NODES, "--load", LOAD, "-o", output)

    topology = load_topology(output)
    load = yaml.safe_load(topology.load)
    wanted = import_nodes(
        yaml.safe_load(NODES.read_text())["items"], name="prod"
    ).topology
    assert topology.nodes == wanted.nodes
    assert topology.switches == wanted.switches
    assert topology.notes == wanted.notes
    assert topology.name == "prod"
    assert [one["kind"] for one in load["items"]].count("Pod") == 8
    assert (tmp_path / "prod.load.yaml").read_text() == topology.load
    assert "level rack: 2 from the label" in said
    assert "left out: 1 Secret: no load" in said


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(PRESETS)), st.integers(1, 12), st.integers(0, 3))
def test_an_import_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory, preset: str, nodes: int, rack_size: int
) -> None:
    """Whatever the nodes are, and whether racks were assumed."""
    objects = [node_manifest(node, {}) for node in make_topology(preset, nodes).nodes]
    made = import_nodes(objects, name="again", rack_size=rack_size).topology
    path = tmp_path_factory.mktemp("file") / "again.yaml"

    path.write_text(dump_topology(made))

    assert load_topology(path) == made


def test_an_import_of_slurm_comes_back_from_its_file(tmp_path: Path) -> None:
    """As everything that an importer makes."""
    tree = read_tree(CONF, "topology.conf", "slurm")
    made = import_tree(tree, machine_named("dgx-h100"), name="s", rack_size=2).topology
    path = tmp_path / "s.yaml"

    path.write_text(dump_topology(made))

    assert load_topology(path) == made


def test_anonymised_files_hold_no_name(
    knav: Callable[..., str], tmp_path: Path
) -> None:
    """With the same salt they are the same; levels can be named as they are."""
    texts = []
    for name in ("one", "two"):
        output = tmp_path / name / "cluster.yaml"
        output.parent.mkdir()
        said = knav(
            NODES, "--load", LOAD, "--anonymise", "--salt", "s", "-o", output,
            "--levels", "acme.example.com/team",
        )  # fmt: skip
        written = [path.read_text() for path in sorted(output.parent.iterdir())]
        texts.append("".join(written))

    assert texts[0] == texts[1]
    assert not [n for n in ("acme", "us-east", "10-0-", "llama") if n in texts[0]]
    assert "kept: the values of beta.kubernetes.io/arch" in said


def test_a_random_salt_is_shown(knav: Callable[..., str], tmp_path: Path) -> None:
    """So that the same names can be had again."""
    said = knav(NODES, "--anonymise", "-o", tmp_path / "a.yaml")

    salt = said.split("--salt ")[1].split()[0]
    again = knav(
        NODES, "--anonymise", "--salt", salt, "-o", tmp_path / "b.yaml", "--name", "a"
    )
    assert "written" in again
    assert (tmp_path / "a.yaml").read_text() == (tmp_path / "b.yaml").read_text()


def test_slurm_is_imported_with_a_machine(
    knav: Callable[..., str], tmp_path: Path
) -> None:
    """The kind of file is seen by its content."""
    conf = tmp_path / "topology.conf"
    conf.write_text(CONF)

    knav(conf, "--machine", "dgx-h100", "-o", tmp_path / "s.yaml")

    topology = load_topology(tmp_path / "s.yaml")
    assert topology.gpus == 32
    assert [switch.name for switch in topology.switches] == ["a", "b", "s"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["conf", "-o", "out"], "does not say what its nodes are: give --machine"),
        (["conf", "-o", "out", "--machine", "abacus"], "machine 'abacus' is unknown"),
        (["conf", "-o", "out", "--levels", "a"], "--levels is for Node objects"),
        (["nodes", "-o", "out", "--machine", "dgx-h100"], "--machine is for SLURM"),
        (["nodes", "-o", "there"], "is there already: --force writes over it"),
        (["nodes", "-o", "nodes", "--force"], "is what is imported"),
        (["nodes", "-o", "out", "--salt", "s"], "--salt is for --anonymise"),
        (["nodes", "-o", "out", "--name", "a/b"], "--name 'a/b': letters"),
        (["nodes", "-o", "out", "--from", "excel"], "--from 'excel': use nodes, slurm"),
        (["load", "-o", "out"], "holds no Node objects"),
        (["there", "-o", "out"], "is none of what can be imported"),
    ],
)
def test_what_is_wrong_writes_nothing(
    arguments: list[str], says: str, tmp_path: Path
) -> None:
    """The message says what is allowed instead."""
    conf = tmp_path / "topology.conf"
    conf.write_text(CONF)
    nodes = tmp_path / "nodes.yaml"
    nodes.write_text(NODES.read_text())
    there = tmp_path / "there.yaml"
    there.write_text("precious: true")
    before = {path: path.read_text() for path in tmp_path.iterdir()}
    files = {"conf": conf, "nodes": nodes, "there": there, "load": LOAD}
    files["out"] = tmp_path / "out.yaml"
    words = [str(files.get(word, word)) for word in arguments]

    with pytest.raises(BadInput) as refused:
        CliRunner().invoke(app, ["topology", "import", *words], catch_exceptions=False)

    assert says in str(refused.value)
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before
