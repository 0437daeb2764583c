"""Runs of pytest on real clusters: in processes of their own, with their own state."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.state import served


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_knav.control_plane.plane import ControlPlane

RUN_TIMEOUT_S = 180.0
APPEAR_TIMEOUT_S = 60.0
CONFIGURATION = '[pytest]\nstrict = true\nfilterwarnings = ["error"]\n'


@pytest.hookimpl(trylast=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Take the mark `chaos` back: at the root it stands for the suites."""
    item.own_markers = [mark for mark in item.own_markers if mark.name != "chaos"]


@dataclass(slots=True)
class Project:
    """A folder with tests, and a state directory that no other run shares."""

    path: Path
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def clusters(self) -> Path:
        """Return where its runs keep clusters."""
        return self.path / "state" / "pytest-knav" / "clusters"

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of its runs."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        return {**kept, "XDG_STATE_HOME": str(self.path / "state"), "COLUMNS": "140"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start pytest in a process group of its own."""
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run pytest; return its exit code and all that it printed."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=RUN_TIMEOUT_S)
        return process.returncode, output

    def await_file(self, name: str) -> str:
        """Return the text of a file once it is there and not empty."""
        path = self.path / name
        appeared = retrying.until(
            lambda: path.exists() and bool(path.read_text()),
            timeout_s=APPEAR_TIMEOUT_S,
        )
        assert appeared, f"{name} did not appear"
        return path.read_text()

    def processes(self) -> list[str]:
        """Return the commands of processes whose program is in the state directory."""
        marker = f"{self.path}/state/".encode()
        commands = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes()
            except OSError:
                continue
            if command.startswith(marker):
                commands.append(command.replace(b"\0", b" ").decode())
        return commands

    def left(self) -> list[str]:
        """Return the names of the clusters that are still there."""
        return [path.parent.name for path in self.clusters.glob("*/cluster.json")]

    def results(self, directory: str = "results") -> dict[str, dict[str, object]]:
        """Return the Allure results by the name of the test."""
        found = (self.path / directory).glob("*-result.json")
        parsed = [json.loads(path.read_text()) for path in found]
        return {result["name"]: result for result in parsed}

    def close(self) -> None:
        """End what still runs, and remove its clusters."""
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        code = (
            "from pytest_knav.control_plane import registry as r; "
            "[r.remove(entry) for entry in r.entries()]; r.prune()"
        )
        subprocess.run(
            [sys.executable, "-c", code], env=self.environment, check=True, timeout=60
        )


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Project]]:
    """Return a function that makes a project of files by name."""
    made = []

    def make(at: Path | None = None, **files: str) -> Project:
        if at is not None:
            # Made by another worker, which looks after it.
            return Project(at)
        path = tmp_path_factory.mktemp("project")
        (path / "pytest.toml").write_text(CONFIGURATION)
        for name, text in files.items():
            (path / f"{name}.py").write_text(text)
        made.append(Project(path))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Return a function that does something long in one worker, for all of them."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def do(name: str, work: Callable[[], Any]) -> Any:
        path = shared / f"{name}.json"
        with (shared / f"{name}.lock").open("w") as lock:
            # Let go of when the block ends, or with the process.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                path.write_text(json.dumps(work()))
            return json.loads(path.read_text())

    return do


@pytest.fixture(scope="session")
def allure_command(pytestconfig: pytest.Config) -> Path:
    """Return the Allure 3 command line, installed into `.knav/node` when absent."""
    home = pytestconfig.rootpath / ".knav" / "node"
    command = home / "node_modules" / ".bin" / "allure"
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        pytest.skip("needs node and npm, which are not on PATH")
    if not command.exists():
        home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [npm, "install", "--prefix", str(home), "--no-audit", "--no-fund",
             "allure@3"],
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"npm cannot install allure@3: {done.stderr[-300:]}")
    return command


# Whatever the running control plane renews by itself, and what no restore touches.
_NOT_COMPARED = frozenset({"events", "leases", "endpointslices", "componentstatuses"})


def read_everything(plane: ControlPlane) -> dict[str, dict[str, Any]]:
    """Return every object of every kind by its path, without resource versions."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(set(served.list_paths(plane.api).values())):
        plural = path.rpartition("/")[2]
        if plural in _NOT_COMPARED:
            continue
        for item in (plane.api.get_or_none(path) or {"items": []})["items"]:
            metadata = item["metadata"]
            metadata.pop("resourceVersion", None)
            # Served by several versions of a group, each with its own notes.
            metadata.pop("managedFields", None)
            where = metadata.get("namespace", "")
            found[f"{path} {where}/{metadata['name']}"] = item
    return found


def compare(
    before: dict[str, dict[str, Any]],
    after: dict[str, dict[str, Any]],
    *,
    ignoring: Iterable[str] = (),
) -> list[str]:
    """Return in words how two readings differ; empty when they are equal."""
    skipped = tuple(ignoring)
    lines = [f"gone: {path}" for path in sorted(before.keys() - after.keys())]
    lines += [f"new: {path}" for path in sorted(after.keys() - before.keys())]
    lines += [
        f"changed: {path}: {_fields(before[path], after[path])}"
        for path in sorted(before.keys() & after.keys())
        if before[path] != after[path]
    ]
    return [line for line in lines if not any(part in line for part in skipped)]


def _fields(before: Any, after: Any, at: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [
            line
            for key in keys
            if before.get(key) != after.get(key)
            for line in _fields(before.get(key), after.get(key), f"{at}.{key}")
        ]
    return [f"{at}: {before!r:.120} != {after!r:.120}"]


@pytest.fixture
def everything() -> Callable[[ControlPlane], dict[str, dict[str, Any]]]:
    """Return what reads every object of a cluster through the API."""
    return read_everything


@pytest.fixture
def differences() -> Callable[..., list[str]]:
    """Return what says how two such readings differ."""
    return compare
