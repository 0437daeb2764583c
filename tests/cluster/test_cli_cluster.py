"""The command `knav` with real control planes, run as a user runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_knav.control_plane import processes, retrying
from pytest_knav.control_plane.assets import CONTROL_PLANE, AssetStore


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KNAV = [sys.executable, "-m", "pytest_knav"]
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
TIMEOUT_S = 180
CHAOS_TEST = """
import pytest
from pytest_knav import Gang, node_of
from pytest_knav.faults import NodeCrash

@pytest.mark.knav(topology="dgx-h100", nodes=4)
def test_survives(cluster, chaos):
    gang = cluster.submit(Gang("llama", replicas=2, gpus_per_pod=8))
    cluster.wait_for(gang.running, timeout="60s")
    with chaos.inject(NodeCrash(node_of(gang))) as fault:
        chaos.expect.recovered(gang, since=fault, within="60s")
"""

CLEAN_TEST = """
import pytest

@pytest.mark.knav(topology="dgx-h100", nodes=4)
def test_is_clean(cluster):
    assert [node.name for node in cluster.nodes if not node.usable] == []
    assert cluster.core.list_namespaced_pod("default").items == []
"""
LARGE_TEST = CLEAN_TEST.replace("nodes=4", "nodes=5")


class Shell:
    """A folder and a state directory of its own, to run commands in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        self.state = folder / "state"
        # This test may itself run in an xdist worker; the runs it starts do not.
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        self.env = {**kept, "XDG_STATE_HOME": str(self.state)}

    @property
    def clusters(self) -> Path:
        """Return where the clusters are."""
        return self.state / "pytest-knav" / "clusters"

    def run(self, *command: str, timeout_s: float = TIMEOUT_S) -> tuple[int, str, str]:
        """Run a command to its end; return exit code, output and errors."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def nothing_is_left(self) -> bool:
        """Return whether neither a process nor a file of a cluster is there."""
        files = [p.name for p in self.clusters.glob("*") if p.name != ".lock"]
        ports = [p.name for p in (self.clusters.parent / "ports").glob("[0-9]*")]
        return not files and not ports and not processes.of_directory(self.clusters)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Return a shell; whatever a failed test leaves is removed."""
    shell = Shell(tmp_path)
    yield shell
    if not shell.nothing_is_left():
        shell.run(*KNAV, "cluster", "down", "--all")


@pytest.fixture(scope="module")
def binaries() -> dict[str, Path]:
    """Return the real binaries."""
    return AssetStore.from_environment().paths(*CONTROL_PLANE)


def until(question: Callable[[], bool]) -> None:
    """Return when the answer is yes; fail when it does not become yes."""
    assert retrying.until(question, timeout_s=60), "it did not happen"


def test_a_kept_cluster_serves_kubectl_and_pytest_and_stays(
    shell: Shell, binaries: dict[str, Path]
) -> None:
    """From `up` to `down`: what is printed works, and tests leave it as it was."""
    code, out, err = shell.run(*KNAV, "cluster", "up", "--nodes", "4")
    assert (code, len(out.splitlines())) == (0, 2), err
    kubeconfig, export = out.splitlines()
    assert export == f"export KUBECONFIG={kubeconfig}"

    def kubectl(*arguments: str) -> str:
        command = [str(binaries["kubectl"]), f"--kubeconfig={kubeconfig}", *arguments]
        return shell.run(*command)[1]

    nodes = kubectl("get", "nodes", "--no-headers").splitlines()
    assert [line.split()[1] for line in nodes] == ["Ready"] * 4
    row = shell.run(*KNAV, "cluster", "list")[1].splitlines()[1]
    assert re.match(
        r"knav +\d+s +running +4 +dgx-h100 +https://127\.0\.0\.1:\d+ +kept$", row
    )
    assert shell.run(*KNAV, "cluster", "kubeconfig")[1] == f"{kubeconfig}\n"

    (shell.folder / "test_it.py").write_text(CHAOS_TEST)
    code, out, _ = shell.run(*PYTEST, "-m", "chaos", "--knav-kubeconfig", kubeconfig)

    assert code == 0, out
    assert kubectl("get", "pods,jobs", "-A", "--no-headers") == ""
    nodes = kubectl("get", "nodes", "--no-headers").splitlines()
    assert [line.split()[1] for line in nodes] == ["Ready"] * 4

    kubectl("cordon", "dgx-h100-0002")
    render = (*KNAV, "topology", "render", "dgx-h100", "-o", "-", "--kubeconfig")
    for which in ("knav", kubeconfig):
        picture = shell.run(*render, which)[1]
        assert "4 of 4 nodes ready, 1 cordoned, 0 of 32 GPUs allocated" in picture

    code, out, _ = shell.run(*KNAV, "cluster", "down", "knav")

    assert (code, out) == (0, "removed knav\n")
    assert shell.nothing_is_left()


def test_a_kept_cluster_lets_in_one_run_that_fits_and_is_mended_for_it(
    shell: Shell,
) -> None:
    """A killed run's fault is undone and its workload removed; others stay outside."""
    kubeconfig = shell.run(*KNAV, "cluster", "up", "--nodes", "4")[1].splitlines()[0]
    for name, text in (
        ("chaos", CHAOS_TEST), ("clean", CLEAN_TEST), ("large", LARGE_TEST)
    ):  # fmt: skip
        (shell.folder / f"test_{name}.py").write_text(text)
    command = [*PYTEST, "--knav-kubeconfig", kubeconfig]
    journal = shell.clusters / "knav" / "journal.jsonl"

    size = shell.run(*command, "test_large.py")
    profile = shell.run(*command, "test_clean.py", "--knav-time-profile", "real")
    first = shell.start(*command, "test_chaos.py")
    until(lambda: journal.exists() and '"injected"' in journal.read_text())
    busy = shell.run(*command, "test_clean.py")
    first.kill()
    first.communicate()
    last = shell.run(*command, "test_clean.py")

    assert busy[0] != 0
    assert "is in use by another test run" in busy[1]
    assert last[0] == 0, last[1]
    assert size[0] != 0
    assert "cluster 'knav' has 4 nodes (dgx-h100)" in size[1]
    assert "knav cluster up --topology dgx-h100 --nodes 5" in size[1]
    assert profile[0] != 0
    assert "use --knav-time-profile fast" in profile[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_leaves_nothing(shell: Shell, number: signal.Signals) -> None:
    """Though half of the control plane runs already."""
    process = shell.start(*KNAV, "cluster", "up", "--nodes", "4")
    until(lambda: len(processes.of_directory(shell.clusters)) >= 2)

    process.send_signal(number)
    out = process.communicate(timeout=60)[0]

    assert process.returncode == 130, out
    assert shell.nothing_is_left()


def test_a_killed_up_is_pruned(shell: Shell) -> None:
    """An unfinished cluster belongs to nobody who could miss it."""
    process = shell.start(*KNAV, "cluster", "up", "--nodes", "4")
    until(lambda: len(processes.of_directory(shell.clusters)) >= 2)

    process.kill()
    process.communicate()
    out = shell.run(*KNAV, "cluster", "prune")[1]

    assert out == "removed knav\n"
    assert shell.nothing_is_left()


def with_script(
    tmp_path: Path, binaries: dict[str, Path], name: str, script: str
) -> Path:
    """Return an assets directory in which a shell script stands for one binary."""
    assets = tmp_path / "assets"
    assets.mkdir()
    for other in binaries.keys() - {name}:
        (assets / other).symlink_to(binaries[other])
    (assets / name).write_text(f"#!/bin/bash\n{script}\n")
    (assets / name).chmod(0o755)
    return assets


def test_an_old_kwokctl_is_refused(
    shell: Shell, binaries: dict[str, Path], tmp_path: Path
) -> None:
    """Its version and the oldest that works are said."""
    assets = with_script(tmp_path, binaries, "kwokctl", "echo kwokctl version v0.4.0")

    code, out, err = shell.run(*KNAV, "cluster", "up", "--assets", str(assets))

    assert (code, out) == (1, "")
    assert "is kwokctl v0.4.0, at least 0.7.0 is needed" in err
    assert shell.nothing_is_left()


def test_a_component_that_dies_at_start_is_named(
    shell: Shell, binaries: dict[str, Path], tmp_path: Path
) -> None:
    """With its own last words, and the rest is ended."""
    script = "echo no such luck\nexit 1"
    assets = with_script(tmp_path, binaries, "kube-scheduler", script)

    code, out, err = shell.run(*KNAV, "cluster", "up", "--assets", str(assets))

    assert (code, out) == (1, "")
    assert "kube-scheduler" in err
    assert "no such luck" in err
    assert shell.nothing_is_left()


def test_a_component_that_gives_up_while_others_start_is_restarted(
    shell: Shell, binaries: dict[str, Path], tmp_path: Path
) -> None:
    """On a busy machine kube-controller-manager waits too short for the API server."""
    name = "kube-controller-manager"
    mark = tmp_path / "gave-up"
    # kwokctl asks each binary for its version first.
    script = f"""
if [ $# -gt 2 ] && [ ! -e {mark} ]; then touch {mark}; echo no API server; exit 1; fi
exec -a "$0" {binaries[name]} "$@"
"""
    assets = with_script(tmp_path, binaries, name, script)

    code, _, err = shell.run(
        *KNAV, "cluster", "up", "--nodes", "1", "--assets", str(assets)
    )

    assert code == 0, err
    assert mark.exists()


def test_init_gives_a_test_that_passes_and_one_that_fails(shell: Shell) -> None:
    """In an empty folder, and the red one is red for the reason that it names."""
    assert shell.run(*KNAV, "init")[0] == 0

    code, out, _ = shell.run(*PYTEST, "-m", "chaos", "-n", "2", timeout_s=300)

    assert code == 1, out
    assert "1 failed, 1 passed" in out
    assert "NotRecovered: it did not come back within 30s" in out
    assert "31 of 32 up" in out
    assert shell.nothing_is_left()
