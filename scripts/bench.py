"""
Measure what pytest-knav adds: to the start of a cluster, and to every pytest run.

Runs of the two sides alternate, on the same binaries: a busy machine slows both.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_knav.control_plane import registry
from pytest_knav.control_plane.assets import AssetStore, StreamProgress
from pytest_knav.control_plane.config import make_config
from pytest_knav.control_plane.plane import Binaries, ControlPlane


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CLUSTER_ROUNDS = 5
COLLECT_ROUNDS = 10
CLUSTER_TARGET = 1.3
COLLECT_TARGET = 1.1
# The extra `dev` brings Hypothesis, whose own plugin costs twice all of the rest.
NO_HYPOTHESIS = ("-pno:hypothesispytest",)
ASSET_FLAGS = {
    "etcd": "--etcd-binary",
    "kube-apiserver": "--kube-apiserver-binary",
    "kube-controller-manager": "--kube-controller-manager-binary",
    "kube-scheduler": "--kube-scheduler-binary",
    "kwok": "--kwok-controller-binary",
}


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def alternate(
    rounds: int, sides: dict[str, Callable[[], float]], say: str
) -> dict[str, list[float]]:
    """Return the times of each side, measured in turns; the first turn warms up."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, measure in sides.items():
            took = measure()
            if turn:
                times[name].append(took)
        print(f"{say}: {turn} of {rounds}", file=sys.stderr, flush=True)
    return times


def plain_kwokctl(binaries: Binaries, workdir: Path) -> float:
    """Return the seconds that `kwokctl create cluster --wait` takes by itself."""
    path = os.pathsep.join([str(binaries.paths["kubectl"].parent), os.environ["PATH"]])
    env = {**os.environ, "KWOK_WORKDIR": str(workdir), "PATH": path}
    tool = str(binaries.paths["kwokctl"])
    flags = [f"{flag}={binaries.paths[name]}" for name, flag in ASSET_FLAGS.items()]
    kubeconfig = f"--kubeconfig={workdir / 'kubeconfig'}"

    def run(*arguments: str) -> None:
        subprocess.run(
            [tool, *arguments, "--name=knav-bench", kubeconfig],
            env=env, check=True, capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    try:
        return timed(
            lambda: run("create", "cluster", "--runtime=binary", "--wait=60s", *flags)
        )
    finally:
        run("delete", "cluster")


def ours(binaries: Binaries, control_plane: str) -> float:
    """Return the seconds until a control plane of ours is healthy."""
    config = make_config(
        versions=dict(binaries.versions), nodes=32, control_plane=control_plane
    )
    planes = []

    def create() -> None:
        name = f"knav-bench-{os.getpid()}"
        planes.append(ControlPlane.create(name, config, binaries, owned=True))

    try:
        return timed(create)
    finally:
        for plane in planes:
            plane.delete()


def collect(folder: Path, *options: str, **variables: str) -> float:
    """
    Return the CPU seconds that pytest takes to find no tests in an empty folder.

    CPU, because a tenth of a third of a second is less than what other programs do to
    the wall clock; the run waits for nothing, so on an idle machine the two are equal.
    """
    command = [sys.executable, "-m", "pytest", "--co", "-q", *options]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def bench_clusters() -> list[str]:
    """Return the table of cluster starts."""
    store = AssetStore.from_environment(progress=StreamProgress(sys.stderr))
    binaries = Binaries.of(store)
    with tempfile.TemporaryDirectory(prefix="knav-bench-") as directory:
        workdir = Path(directory)
        times = alternate(
            CLUSTER_ROUNDS,
            {
                "`kwokctl create cluster --wait 60s`": lambda: plain_kwokctl(
                    binaries, workdir
                ),
                "pytest-knav, `--knav-control-plane plain`": lambda: ours(
                    binaries, "plain"
                ),
                "pytest-knav, `--knav-control-plane fast`": lambda: ours(
                    binaries, "fast"
                ),
            },
            "clusters",
        )
    return table(times, "s", 1, CLUSTER_TARGET)


def bench_collection() -> list[str]:
    """Return the table of empty pytest runs."""
    folder = Path(tempfile.mkdtemp(prefix="knav-bench-"))
    try:
        times = alternate(
            COLLECT_ROUNDS,
            {
                "without knav (`-p no:knav`)": lambda: collect(
                    folder, *NO_HYPOTHESIS, "-pno:knav"
                ),
                "with knav": lambda: collect(folder, *NO_HYPOTHESIS),
                "pytest without any plugin": lambda: collect(
                    folder, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"
                ),
            },
            "collections",
        )
    finally:
        shutil.rmtree(folder)
    return table(times, "ms", 1000, COLLECT_TARGET)


def table(
    times: dict[str, list[float]], unit: str, factor: float, target: float
) -> list[str]:
    """Return a Markdown table; the first side is what the others are held against."""
    base = next(iter(times.values()))
    header = [
        "",
        *(f"{what} {unit}" for what in ("min", "median", "max")),
        *(f"ratio {what}" for what in ("min", "median", "max")),
        "target",
    ]
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for name, values in times.items():
        cells = [f"{at * factor:.{0 if factor > 1 else 2}f}" for at in three(values)]
        if values is base:
            cells += ["1", "1", "1", ""]
        else:
            # Neighbours in time are compared: both met the same machine.
            ratios = [mine / other for mine, other in zip(values, base, strict=True)]
            cells += [f"{ratio:.2f}" for ratio in three(ratios)]
            cells.append(f"≤ {target:g}" if "knav" in name else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def three(values: Sequence[float]) -> tuple[float, float, float]:
    """Return least, median and greatest."""
    return min(values), statistics.median(values), max(values)


def machine() -> str:
    """Return what the figures were measured on."""
    versions = AssetStore.from_environment().versions()
    shown = {
        "Kubernetes": versions["kube-apiserver"],
        "etcd": versions["etcd"],
        "KWOK": versions["kwok"],
        "Python": platform.python_version(),
        "pytest": metadata.version("pytest"),
    }
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {platform.system()} "
        f"{platform.release()} on {platform.machine()}, {os.cpu_count()} cores, "
        f"{memory_gib:.0f} GiB; "
        + ", ".join(f"{name} {version}" for name, version in shown.items())
        + "."
    )


def page() -> str:
    """Return the whole page."""
    how = (
        "Both sides run in turns on the same binaries, after one turn to warm up; "
        "a ratio is that of two neighbours in time."
    )
    others = (
        "knav needs allure-pytest and pytest-xdist, which are pytest plugins too: "
        "the last row shows what those two cost."
    )
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "<!-- Written by `make bench`. -->",
            "",
            machine(),
            how,
            "",
            f"## A control plane until it is healthy ({CLUSTER_ROUNDS} rounds)",
            "",
            *bench_clusters(),
            "",
            f"## CPU of `pytest --co` in an empty folder ({COLLECT_ROUNDS} rounds)",
            "",
            others,
            "",
            *bench_collection(),
            "",
        ]
    )


def main() -> None:
    """Measure, print, and write when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE")
    target = parser.parse_args().write
    registry.prune()
    text = page()
    print(text)
    if target is not None:
        target.write_text(text)


if __name__ == "__main__":
    main()
