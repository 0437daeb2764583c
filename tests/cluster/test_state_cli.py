"""``knav cluster save``, ``restore``, ``wake``, ``up --from``, as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.control_plane import processes, retrying
from pytest_knav.control_plane.assets import CONTROL_PLANE, AssetStore
from pytest_knav.control_plane.state.model import State


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KNAV = [sys.executable, "-m", "pytest_knav"]
TIMEOUT_S = 120
FIRST, SECOND = "first", "second"
SNAPSHOT = "snapshot.yaml"
WORKLOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 6
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
"""
TEST = """
import pytest

@pytest.mark.knav(topology="dgx-h100", nodes=4)
def test_it(cluster):
    assert len(cluster.nodes) == 4
"""


class Machine:
    """A folder, a state directory of its own, and a cluster with a workload."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.binaries = AssetStore.from_environment().paths(*CONTROL_PLANE)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        self.env = {**kept, "XDG_STATE_HOME": str(folder / "state")}

    def directory(self, name: str) -> Path:
        """Return the directory of a cluster."""
        return self.folder / "state" / "pytest-knav" / "clusters" / name

    def run(self, *command: str, **env: str) -> tuple[int, str, str]:
        """Run a command to its end; return exit code, output and errors."""
        done = subprocess.run(
            command, cwd=self.folder, env={**self.env, **env}, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=TIMEOUT_S,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def knav(self, *arguments: str) -> tuple[int, str, str]:
        """Run `knav cluster`."""
        return self.run(*KNAV, "cluster", *arguments)

    def pytest(self, name: str) -> tuple[int, str, str]:
        """Run a test on a cluster that stays."""
        kubeconfig = f"--knav-kubeconfig={self.directory(name) / 'kubeconfig'}"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
        return self.run(*command, kubeconfig)

    def kubectl(self, name: str, *arguments: str) -> str:
        """Run kubectl on a cluster; return what it printed."""
        kubeconfig = f"--kubeconfig={self.directory(name) / 'kubeconfig'}"
        code, out, err = self.run(str(self.binaries["kubectl"]), kubeconfig, *arguments)
        assert code == 0, err
        return out

    def objects(self, name: str) -> dict[str, Any]:
        """Return nodes, pods and their owners without what each cluster says itself."""
        text = self.kubectl(name, "get", "no,po,deploy,rs", "-A", "-o", "json")
        found = {}
        for item in json.loads(text)["items"]:
            for own in ("resourceVersion", "managedFields"):
                item["metadata"].pop(own, None)
            found[f"{item['kind']}/{item['metadata']['name']}"] = item
        return found

    def listed(self) -> dict[str, str]:
        """Return the state of each cluster as `knav cluster list` shows it."""
        rows = self.knav("list")[1].splitlines()[1:]
        return {row.split()[0]: " ".join(row.split()[2:4]) for row in rows}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return a machine with a cluster of 4 nodes and 6 running pods."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    (machine.folder / "test_it.py").write_text(TEST)
    (machine.folder / "workload.yaml").write_text(WORKLOAD)
    code, _, err = machine.knav("up", "--name", FIRST, "--nodes", "4")
    assert code == 0, err
    machine.kubectl(FIRST, "apply", "-f", "workload.yaml")
    # Available holds from 5 of 6 on (maxUnavailable is a quarter): all must be up, or
    # the controllers still write while the state is saved.
    for status in ("availableReplicas", "readyReplicas"):
        machine.kubectl(
            FIRST, "wait", f"--for=jsonpath={{.status.{status}}}=6", "deploy/web",
            "--timeout=60s",
        )  # fmt: skip
    yield machine
    machine.knav("down", "--all")
    assert not processes.of_directory(machine.directory(FIRST).parent)


@pytest.fixture(scope="module")
def saved(machine: Machine) -> Path:
    """Return the file of the first cluster's state."""
    path = machine.folder / "saved.knavstate"
    code, out, err = machine.knav("save", FIRST, "--to", str(path))
    assert (code, err) == (0, "")
    assert out.startswith(f"{path}: ")
    assert "MiB, 4 nodes, 6 pods, " in out
    return path


def test_a_restored_cluster_is_held_until_it_is_woken(
    machine: Machine, saved: Path
) -> None:
    """Nothing drifts meanwhile, pytest says so, and afterwards all works."""
    before = machine.objects(FIRST)
    machine.kubectl(FIRST, "delete", "deploy/web", "--cascade=foreground")
    machine.kubectl(FIRST, "label", "nodes", "--all", "broken=yes")

    code, out, err = machine.knav("restore", FIRST, "--from", str(saved))

    assert (code, err) == (0, "")
    assert "keys written; it has 4 nodes and 6 pods\n" in out
    assert f"`knav cluster wake {FIRST}` starts them" in out
    assert machine.listed()[FIRST] == "held 4"
    assert machine.objects(FIRST) == before
    code, out, _ = machine.pytest(FIRST)
    assert code != 0
    assert f"cluster '{FIRST}' is held: kube-controller-manager and" in out

    assert machine.knav("wake", FIRST)[:2] == (0, f"cluster '{FIRST}' goes on\n")

    assert machine.knav("wake", FIRST)[1] == f"cluster '{FIRST}' is not held\n"
    assert machine.listed()[FIRST] == "running 4"
    machine.kubectl(FIRST, "scale", "deploy/web", "--replicas=7")
    machine.kubectl(
        FIRST, "wait", "--for=jsonpath={.status.readyReplicas}=7", "deploy/web",
        "--timeout=60s",
    )  # fmt: skip
    assert machine.objects(FIRST).keys() > before.keys()


def test_a_restore_can_leave_everything_running(machine: Machine, saved: Path) -> None:
    """With `--live`, at once."""
    code, out, _ = machine.knav("restore", FIRST, "--from", str(saved), "--live")

    assert (code, len(out.splitlines())) == (0, 1)
    assert machine.listed()[FIRST] == "running 4"
    ready = machine.kubectl(FIRST, "get", "deploy/web", "-o", "jsonpath={.status}")
    assert json.loads(ready)["readyReplicas"] == 6


def test_a_killed_restore_is_seen_and_mended(machine: Machine, saved: Path) -> None:
    """The list, `save`, `wake` and pytest say so; another restore makes it whole."""
    (machine.directory(FIRST) / "restoring").touch()
    answers = [
        machine.knav("save", FIRST, "--to", "half"),
        machine.knav("wake", FIRST),
        machine.pytest(FIRST),
    ]
    listed = machine.listed()

    mended = machine.knav("restore", FIRST, "--from", str(saved), "--live")

    remedy = f"`knav cluster restore {FIRST} --from FILE`, or"
    assert listed[FIRST] == "half restored"
    assert all(code != 0 for code, _, _ in answers)
    assert all(remedy in out + err for _, out, err in answers)
    assert mended[0] == 0
    assert machine.listed()[FIRST] == "running 4"


def test_what_cannot_be_restored_harms_nothing(machine: Machine, saved: Path) -> None:
    """A state of other settings, a damaged one; and a disk without room for a save."""
    other = machine.folder / "other"
    replace(State.read(saved), key="0123456789ab").write(other)
    damaged = machine.folder / "damaged"
    damaged.write_bytes(saved.read_bytes()[:-100])
    before = machine.objects(FIRST)

    foreign = machine.knav("restore", FIRST, "--from", str(other))
    broken = machine.knav("restore", FIRST, "--from", str(damaged))
    full = machine.run(
        "bash",
        "-c",
        f'ulimit -f 4; exec "$@" cluster save {FIRST} --to full',
        "-",
        *KNAV,
    )

    assert (foreign[0], broken[0], full[0]) == (2, 2, 1)
    assert "with the key 0123456789ab" in foreign[2]
    assert "is damaged or cut short" in broken[2]
    assert "cannot be written to full: File too large" in full[2]
    assert not list(machine.folder.glob("*full*"))
    assert machine.listed()[FIRST] == "running 4"
    assert machine.objects(FIRST) == before


def test_a_snapshot_of_kwokctl_becomes_a_cluster(machine: Machine, saved: Path) -> None:
    """With the same uids, held; the same cluster takes a state of the other one."""
    code, _, err = machine.run(
        str(machine.binaries["kwokctl"]), "snapshot", "save", f"--name={FIRST}",
        "--format=k8s", f"--path={SNAPSHOT}",
        KWOK_WORKDIR=str(machine.directory(FIRST) / "kwok"),
    )  # fmt: skip
    assert code == 0, err
    original = machine.objects(FIRST)

    code, _, err = machine.knav("up", "--name", SECOND, "--from", SNAPSHOT)

    assert code == 0, err
    assert f"objects of {SNAPSHOT} put in, " in err
    assert machine.objects(SECOND) == original
    assert machine.listed()[SECOND] == "held 4"
    assert machine.knav("wake", SECOND)[0] == 0
    assert _leases_are_held(machine, SECOND)
    assert machine.objects(SECOND).keys() == original.keys()

    code, out, _ = machine.knav("restore", SECOND, "--from", str(saved))

    assert code == 0, out
    assert machine.objects(SECOND).keys() == original.keys()
    code, out, _ = machine.knav("restore", SECOND, "--from", SNAPSHOT, "--live")
    assert (code, len(out.splitlines())) == (0, 1)


def _leases_are_held(machine: Machine, name: str) -> bool:
    """Return whether KWOK renews the lease of every node."""

    def all_are() -> bool:
        path = "jsonpath={range .items[*]}[{.spec.holderIdentity}]{end}"
        holders = machine.kubectl(name, "get", "leases", "-n", "kube-node-lease",
                                  "-o", path)  # fmt: skip
        return holders.count("[") == 4 and "[]" not in holders

    return retrying.until(all_are, timeout_s=8.0, interval_s=0.2)
