"""The bench on real control planes, as small as can be: every figure, nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_knav.control_plane import processes, registry, retrying
from pytest_knav.control_plane.assets import AssetStore
from pytest_knav.control_plane.kwokctl import COMPONENTS
from pytest_knav.control_plane.plane import Binaries
from pytest_knav.selfbench.cases import FAST, PLAIN, chosen
from pytest_knav.selfbench.measures import OURSELVES, TOOL
from pytest_knav.selfbench.results import Report
from pytest_knav.selfbench.run import Plan, measure
from pytest_knav.selfbench.sizes import TINY


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TIMEOUT_S = 60.0


class Told:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.counted = 0

    def begin(self, title: str, index: int, count: int) -> None:
        """Keep the title."""
        del index, count
        self.steps.append(title)

    def tick(self, done: int, total: int) -> None:
        """Keep the largest number."""
        assert done <= total
        self.counted = max(self.counted, done)

    def end(self, text: str) -> None:
        """Keep what was said."""
        self.steps[-1] += f": {text}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of all that a run may write, its temporary files too."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def left(home: Path) -> Callable[[], list[object]]:
    """Return what says what has been left behind: clusters, processes, ports, files."""
    # The recorder of this worker's own cluster lives on between tests.
    before = set(threading.enumerate())

    def look() -> list[object]:
        clusters = registry.clusters_home()
        ports = (clusters.parent / "ports").glob("[!l]*")
        threads = set(threading.enumerate()) - before
        return [
            *(path.name for path in clusters.iterdir() if path.name != ".lock"),
            *processes.of_directory(clusters),
            *(path.name for path in ports),
            *(path.name for path in (home / "tmp").iterdir()),
            *(thread.name for thread in threads if thread.name.startswith("knav")),
        ]

    return look


def test_both_sides_are_measured_and_nothing_is_left(
    left: Callable[[], list[object]],
) -> None:
    """Time, CPU and memory of each component, for each case of a tiny cluster."""
    told = Told()
    plan = Plan(
        size=TINY,
        rounds=1,
        cases=chosen(["restore", "crash"], TINY),
        plain=True,
        warm=False,
    )

    report = measure(plan, Binaries.of(AssetStore.from_environment()), told)

    assert report.failures == (), told.steps
    measured = {(result.case, result.side): result for result in report.results}
    shared = {"cluster", "nodes", "pods", "save"}
    assert {case for case, side in measured if side == PLAIN} == shared
    assert {case for case, side in measured if side == FAST} == set(plan.cases)
    for (case, _), result in measured.items():
        if case != "crash":
            assert result.seconds > 0
        assert result.all_cpu_s > 0 or case == "save"
        assert all(figure >= 0 for figure in result.cpu_s.values())
        assert set(result.peak_mib) == {*COMPONENTS, OURSELVES}
        assert all(figure > 1 for figure in result.peak_mib.values())
    for side in (PLAIN, FAST):
        made = measured["cluster", side].cpu_s
        assert set(made) == {*COMPONENTS, TOOL, OURSELVES}
        assert all(figure > 0 for figure in made.values())
    assert told.counted == TINY.pods
    assert Report.from_json(report.to_json(), "it") == report
    assert left() == []


def test_ctrl_c_leaves_nothing_behind(left: Callable[[], list[object]]) -> None:
    """Also in the middle of making a cluster."""
    command = [sys.executable, "-m", "pytest_knav", "selfbench", "--only", "nodes"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    process = subprocess.Popen(
        command,
        env=kept,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    clusters = registry.clusters_home()
    begun = retrying.until(
        lambda: bool(processes.of_directory(clusters)), timeout_s=TIMEOUT_S
    )
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=TIMEOUT_S)

    assert begun, said
    assert process.returncode == 130, said
    assert left() == []
