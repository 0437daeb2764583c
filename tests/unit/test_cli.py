"""The command `knav`: what it says, how it exits, and that it leaves nothing behind."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pytest_knav import __version__, cli
from pytest_knav.commands import inventory
from pytest_knav.commands.init import template
from pytest_knav.control_plane import kwokctl, plane, registry
from pytest_knav.control_plane.assets import ALL, AssetStore
from pytest_knav.control_plane.config import make_config
from pytest_knav.control_plane.state.model import State
from pytest_knav.control_plane.usage import alone
from pytest_knav.errors import NotRecovered


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Said(NamedTuple):
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


class Knav:
    """Runs the command in this process."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Said:
        """Return what `knav` with these arguments said."""
        self._monkeypatch.setattr(sys, "argv", ["knav", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = self._capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)


@pytest.fixture
def knav(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Knav]:
    """Return the command, with a state directory and binaries of its own."""
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in ALL:
        (assets / name).write_text("")
        (assets / name).chmod(0o755)
    for name in ("NODES", "TOPOLOGY", "TIME_PROFILE", "CONTROL_PLANE", "KUBE_VERSION"):
        monkeypatch.delenv(f"KNAV_{name}", raising=False)
    monkeypatch.setenv("KNAV_ASSETS", str(assets))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    handler = signal.getsignal(signal.SIGTERM)
    yield Knav(monkeypatch, capsys)
    signal.signal(signal.SIGTERM, handler)


def claim_dead(name: str) -> registry.ClusterEntry:
    """Return a cluster whose owner is gone."""
    entry = registry.claim(name, owned=True)
    assert entry.owner is not None
    gone = replace(entry.owner, started=entry.owner.started - 1)
    registry._write(replace(entry, owner=gone))
    return entry


def test_help_names_every_command(knav: Knav) -> None:
    """Somebody who knows nothing finds everything."""
    said = knav("--help")

    assert said.code == 0
    for command in ("init", "doctor", "assets", "cluster", "topology", "faults"):
        assert f"\n  {command} " in said.out


def test_version_is_the_packages(knav: Knav) -> None:
    """`--version` says what `pytest_knav.__version__` says."""
    assert knav("--version") == (0, f"pytest-knav {__version__}\n", "")


def test_help_loads_nothing_heavy() -> None:
    """The Kubernetes client, YAML and pytest are for the commands that need them."""
    code = (
        "import sys, pytest_knav.cli; "
        "print([m for m in ('kubernetes', 'yaml', 'pytest', 'rich', 'urllib3') "
        "if m in sys.modules])"
    )

    loaded = subprocess.check_output([sys.executable, "-c", code], text=True)

    assert loaded.strip() == "[]"


class TestClusterUpRefuses:
    """What cannot work is said at once, and nothing is left of the attempt."""

    @pytest.fixture(autouse=True)
    def nothing_is_left(self, knav: Knav) -> Iterator[None]:
        """Hold that there are no clusters and no reserved ports afterwards."""
        yield
        del knav
        assert registry.entries() == []
        assert [p.name for p in registry.clusters_home().glob("*")] in ([], [".lock"])
        ports = registry.clusters_home().parent / "ports"
        assert [p.name for p in ports.glob("*") if p.name != "lock"] == []

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (
                ["--topology", "dgx"],
                "topology 'dgx' is unknown: use one of cpu, dgx-a100",
            ),
            (["--nodes", "0"], "nodes=0 is out of range: use 1 to 20000"),
            (["--nodes", "20001"], "nodes=20001 is out of range"),
            (["--nodes", "many"], "'many' is not a whole number"),
            (["--time-profile", "slow"], "use one of fast, real"),
            (["--control-plane", "x"], "use one of plain, fast"),
            (["--name", "A_b"], "cluster name 'A_b': use 1 to 40 lower-case"),
            (["--assets", "/nowhere"], "'/nowhere' does not exist"),
            (["--port", "0"], "0 is out of range: use 1 to 65535"),
            (["--kube-version", "one"], "'one'"),
            (["--live"], "--live is for --from"),
            (["--nodse", "3"], "No such option: --nodse"),
        ],
    )
    def test_what_is_wrong_by_itself(
        self, knav: Knav, arguments: list[str], says: str
    ) -> None:
        """The message shows the value and what is allowed; the exit code is 2."""
        said = knav("cluster", "up", *arguments)

        assert (said.code, said.out) == (2, "")
        assert says in said.err

    def test_a_port_in_use(self, knav: Knav) -> None:
        """Another program listens there."""
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", 0))
            busy.listen()
            port = busy.getsockname()[1]
            said = knav("cluster", "up", "--port", str(port))

        assert said.code == 1
        assert f"knav: port {port} is in use on 127.0.0.1" in said.err

    def test_too_little_disk(self, knav: Knav, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is said how much there is, how much is needed, and what to do."""
        monkeypatch.setattr(plane, "FREE_SPACE_BYTES", 2**60)

        said = knav("cluster", "up")

        assert said.code == 1
        assert "make room, or set XDG_STATE_HOME" in said.err

    def test_ctrl_c(self, knav: Knav, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whenever it comes."""

        def interrupted(*_arguments: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(kwokctl.Kwokctl, "check_version", interrupted)

        said = knav("cluster", "up")

        assert (said.code, said.out) == (130, "")


def test_up_refuses_a_name_that_is_taken(knav: Knav) -> None:
    """The cluster that has it stays."""
    registry.claim("mine", owned=False)

    said = knav("cluster", "up", "--name", "mine")

    assert said.code == 1
    assert "cluster 'mine' exists already: `knav cluster down mine`" in said.err
    assert [entry.name for entry in registry.entries()] == ["mine"]


class TestStates:
    """`up --from`, `save`, `restore` and `wake` refuse before anything is touched."""

    @pytest.fixture
    def state(self, tmp_path: Path) -> Path:
        """Return the file of a state of four nodes."""
        config = make_config(
            versions=AssetStore().versions(), nodes=4, control_plane="fast"
        )
        values = {f"/registry/minions/n{i}": b"" for i in range(4)}
        path = tmp_path / "saved"
        State(
            key=config.key,
            config=config.as_data(),
            fingerprint="f",
            description="dgx-h100",
            revision=1,
            taken=0.0,
            values=values,
        ).write(path)
        return path

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--topology", "gb300"], "--topology gb300: {} has dgx-h100; leave"),
            (["--nodes", "5"], "--nodes 5: {} has 4; leave --nodes"),
            (["--time-profile", "real"], "--time-profile real: {} has fast; leave"),
            (["--control-plane", "plain"], "--control-plane plain: {} has fast"),
            (["--name", "A_b"], "cluster name 'A_b'"),
            (
                ["--kube-version", "1.35.0"],
                "kube-apiserver 1.36.3, here is 1.35.0; kube-controller-manager 1.36.3",
            ),
            (["--kube-version", "1.35.0"], "give --kube-version 1.36.3 (pytest: "),
        ],
    )
    def test_options_that_say_something_else(
        self, knav: Knav, state: Path, arguments: list[str], says: str
    ) -> None:
        """With both values, and what to do."""
        said = knav("cluster", "up", "--from", str(state), *arguments)

        assert (said.code, said.out) == (2, "")
        assert says.format(state) in said.err
        assert registry.entries() == []

    def test_an_environment_that_says_something_else(
        self, knav: Knav, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is named too, for nobody remembers it."""
        monkeypatch.setenv("KNAV_NODES", "5")

        said = knav("cluster", "up", "--from", str(state))

        assert said.code == 2
        assert "leave --nodes (and its environment variable) away" in said.err

    def test_other_binaries_than_those_of_the_state(
        self, knav: Knav, state: Path
    ) -> None:
        """Those that no option chooses."""
        saved = State.read(state)
        versions = {**dict(saved.config["versions"]), "kwok": "0.7.0"}
        config = {**saved.config, "versions": list(versions.items())}
        replace(saved, config=config).write(state)

        said = knav("cluster", "up", "--from", str(state))

        assert said.code == 2
        assert "kwok 0.7.0, here is 0.8.0: use the pytest-knav that" in said.err

    def test_objects_have_no_topology(self, knav: Knav, tmp_path: Path) -> None:
        """So that none can be asked for, and the number of nodes is theirs."""
        path = tmp_path / "nodes.yaml"
        path.write_text("{apiVersion: v1, kind: Node, metadata: {name: n}}\n")

        topology = knav("cluster", "up", "--from", str(path), "--topology", "dgx-h100")
        nodes = knav("cluster", "up", "--from", str(path), "--nodes", "2")

        assert f"{path} has nodes of no topology" in topology.err
        assert f"--nodes 2: {path} has 1" in nodes.err

    @pytest.mark.parametrize("content", [None, b"", b"hello: world", b"\x00\x01"])
    def test_a_file_that_is_none(
        self, knav: Knav, tmp_path: Path, content: bytes | None
    ) -> None:
        """Missing, empty, or something else."""
        path = tmp_path / "file"
        if content is not None:
            path.write_bytes(content)
        registry.claim("mine", owned=False)

        up = knav("cluster", "up", "--from", str(path))
        restored = knav("cluster", "restore", "mine", "--from", str(path))

        assert (up.code, restored.code) == (2, 2)
        assert str(path) in up.err
        assert up.err == restored.err

    def test_a_damaged_state(self, knav: Knav, state: Path) -> None:
        """A copy that ended early."""
        state.write_bytes(state.read_bytes()[:-1])

        said = knav("cluster", "up", "--from", str(state))

        assert said.code == 2
        assert "is damaged or cut short" in said.err

    def test_save_spares_files_that_are_no_states(
        self, knav: Knav, tmp_path: Path
    ) -> None:
        """A typing error costs no work."""
        registry.claim("mine", owned=False)
        target = tmp_path / "thesis.txt"
        target.write_text("precious")

        said = knav("cluster", "save", "mine", "--to", str(target))
        folder = knav("cluster", "save", "mine", "--to", str(tmp_path))

        assert (said.code, folder.code) == (2, 2)
        assert "a file that is no state is there" in said.err
        assert "that is a directory" in folder.err
        assert target.read_text() == "precious"

    @pytest.mark.parametrize("verb", ["save", "restore", "wake"])
    def test_clusters_that_are_not_there_or_not_free(
        self, knav: Knav, state: Path, verb: str
    ) -> None:
        """Of a running test, of a dead one, unfinished, or in use."""
        options = {"save": ["--to", f"{state}-2"], "restore": ["--from", str(state)]}
        registry.claim("busy", owned=True)
        claim_dead("lost")
        claimed = registry.claim("mine", owned=False)

        def said(name: str) -> str:
            answer = knav("cluster", verb, name, *options.get(verb, ()))
            assert (answer.code, answer.out) == (1, "")
            return answer.err

        assert "no cluster 'none' here; there are: busy, lost, mine" in said("none")
        assert "'busy' is in use by a test run (process " in said("busy")
        assert "'lost' is of a test run that died: `knav cluster prune`" in said("lost")
        assert "'mine' was never finished" in said("mine")
        with alone(claimed):
            assert "'mine' is in use by another test run, xdist" in said("mine")


def test_list_says_that_there_is_nothing(knav: Knav) -> None:
    """An empty list is a sentence, not a header."""
    assert knav("cluster", "list").out == "no clusters; `knav cluster up` makes one\n"


def test_list_tells_the_states_apart(knav: Knav) -> None:
    """A cluster without processes is stopped, one without owner is dead."""
    registry.claim("kept", owned=False)
    claim_dead("lost")

    header, *rows = [line.split() for line in knav("cluster", "list").out.splitlines()]

    assert header[:4] == ["NAME", "AGE", "STATE", "NODES"]
    assert [(row[0], row[2]) for row in rows] == [("kept", "stopped"), ("lost", "dead")]
    assert rows[0][-1] == "kept"


def test_prune_removes_the_dead_alone(knav: Knav) -> None:
    """Kept clusters and those of running tests stay, and it says what went."""
    registry.claim("kept", owned=False)
    registry.claim("busy", owned=True)
    claim_dead("lost")

    said = knav("cluster", "prune")

    assert said.out == "removed lost\n"
    assert {entry.name for entry in registry.entries()} == {"kept", "busy"}
    assert knav("cluster", "prune").out == "nothing to remove\n"


def test_doctor_tells_of_dead_clusters(knav: Knav) -> None:
    """And how to be rid of them; no test is stopped by them."""
    claim_dead("lost")

    said = knav("doctor")

    assert ".." in said.out
    assert "left by test runs that died: lost; knav cluster prune" in said.out


def test_down_all_spares_running_tests(knav: Knav) -> None:
    """A cluster whose owner lives goes only by name."""
    registry.claim("kept", owned=False)
    registry.claim("busy", owned=True)
    claim_dead("lost")

    said = knav("cluster", "down", "--all")

    assert said.out == "removed kept\nremoved lost\n"
    assert [entry.name for entry in registry.entries()] == ["busy"]
    assert knav("cluster", "down", "busy").out == "removed busy\n"


@pytest.mark.parametrize("arguments", [[], ["a", "--all"]])
def test_down_wants_names_or_all(knav: Knav, arguments: list[str]) -> None:
    """Neither and both are refused, with exit code 2."""
    said = knav("cluster", "down", *arguments)

    assert said.code == 2
    assert "name the clusters to end, or give --all" in said.err


@pytest.mark.parametrize("command", ["down", "kubeconfig"])
def test_an_unknown_cluster_is_named_with_those_that_exist(
    knav: Knav, command: str
) -> None:
    """Typing errors are seen at once."""
    registry.claim("mine", owned=False)

    said = knav("cluster", command, "yours")

    assert (said.code, said.out) == (1, "")
    assert said.err == "knav: no cluster 'yours' here; there are: mine\n"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59.9, "59s"), (61, "1m1s"), (3_600, "1h0m"), (90_061, "1d1h")],
)
def test_ages_have_two_units(seconds: float, shown: str) -> None:
    """Enough to tell clusters apart."""
    assert inventory.age(seconds) == shown


def test_topology_show_takes_a_size(knav: Knav) -> None:
    """And says what a node has and where it stands."""
    said = knav("topology", "show", "dgx-h100", "--nodes", "6")

    assert said.out.startswith("dgx-h100: 6 nodes in 2 racks, 48 GPUs\n")
    assert "└─ rack-001: 2 nodes, 16 GPUs" in said.out


def test_topology_list_shows_the_preset(knav: Knav) -> None:
    """With its own size."""
    rows = [line.split() for line in knav("topology", "list").out.splitlines()]

    assert ["dgx-h100", "32", "8", "256"] in [row[:4] for row in rows]


def test_topology_render_writes_an_svg(knav: Knav, tmp_path: Path) -> None:
    """Where it was asked to, and says where that is."""
    path = tmp_path / "picture.svg"

    said = knav("topology", "render", "cpu", "--nodes", "3", "-o", str(path))

    assert said.out == f"{path}\n"
    assert path.read_text().startswith("<svg ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["render", "dgx-h100", "--run", "."], "--run . has no history: give"),
        (["render", "cpu", "--run", ".", "--kubeconfig", "x"], "give one of them"),
        (["render", "cpu", "--kubeconfig", "gone"], "gone"),
        (["show", "cpu", "--depth", "gpu"], "--depth gpu: use one of region, zone"),
        (["show", "cpu", "--node", "x"], "it has 20, cpu-0000 to cpu-0019"),
    ],
)
def test_topology_refuses_what_it_cannot_show(
    knav: Knav,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    complaint: str,
) -> None:
    """With the value and what would be right; nothing is written."""
    monkeypatch.chdir(tmp_path)

    said = knav("topology", *arguments)

    assert said.code != 0
    assert complaint in said.err
    assert not list(tmp_path.glob("*.svg"))


def test_topology_schema_is_json(knav: Knav) -> None:
    """With the fields of a file, and no others."""
    schema = json.loads(knav("topology", "schema").out)

    assert {"preset", "pools", "nodes"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_faults_list_and_show(knav: Knav) -> None:
    """Each fault says what a green test with it does not certify."""
    assert re.search(r"NodeCrash +node", knav("faults", "list").out)

    said = knav("faults", "show", "NodeCrash")

    assert said.out.startswith("NodeCrash(target, signals)\n")
    assert "Does not certify:" in said.out


def test_an_unknown_fault_is_told_the_known_ones(knav: Knav) -> None:
    """With exit code 2."""
    said = knav("faults", "show", "Fire")

    assert said.code == 2
    assert said.err.startswith("knav: fault 'Fire' is unknown: use one of ")


def test_init_writes_a_test_file_and_says_how_to_run_it(
    knav: Knav, tmp_path: Path
) -> None:
    """The folder is made, and the file compiles."""
    target = tmp_path / "new" / "test_chaos.py"

    said = knav("init", str(target.parent))

    compile(target.read_text(), str(target), "exec")
    assert f"run it:  cd {target.parent} && pytest -m chaos" in said.out


def test_init_overwrites_only_when_told_to(knav: Knav, tmp_path: Path) -> None:
    """A file of the user is worth more than ours."""
    target = tmp_path / "test_chaos.py"
    target.write_text("mine")

    said = knav("init", str(tmp_path))

    assert (said.code, target.read_text()) == (2, "mine")
    assert "overwrite it with --force" in said.err
    assert knav("init", str(tmp_path), "--force").code == 0
    assert target.read_text() == template()


def test_a_file_error_is_one_line(knav: Knav, tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "file").write_text("")

    said = knav("init", str(tmp_path / "file" / "sub"))

    assert said.code == 1
    assert said.err.count("\n") == 1
    assert "Not a directory" in said.err


def test_the_template_names_the_error_that_it_promises() -> None:
    """The red example tells what will be seen."""
    assert f"`{NotRecovered.__name__}`" in template()
