"""The page: figures of both sides, targets met and missed, CPU and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane.kwokctl import COMPONENTS
from pytest_knav.selfbench import cases
from pytest_knav.selfbench.measures import OURSELVES, TOOL
from pytest_knav.selfbench.targets import judge


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_knav.selfbench.results import Report, Result

SIDES: Final = {
    cases.PLAIN: "plain kwokctl",
    cases.FAST: "pytest-knav",
    cases.OURS_PLAIN: "pytest-knav, `--knav-control-plane plain`",
    cases.UNRECORDED: "pytest-knav, recorder off",
    cases.PROXIED: "pytest-knav, `network=True`",
    cases.WITHOUT: "without knav (`-p no:knav`)",
    cases.WITH: "with knav",
    cases.BARE: "pytest without any plugin",
}
# Case by case: what is measured, with the numbers of the run filled in.
TITLES: Final = {
    "cluster": "a cluster, until it is ready",
    "nodes": "{nodes} nodes, until all are Ready",
    "pods": "{pods} pods, until all are Running",
    "save": "saving all of it",
    "restore": "restoring all of it, until the API shows it complete",
    "reset": "reset of {small}, until a new Job's pod is bound",
    "reset-large": "reset of all of it, until a new Job's pod is bound",
    "crash": "crash of {objects} nodes at once, until the last renewal of a lease",
    "crash-writes": "a count: writes of each crashed node's object, by everybody, "
    "until it is Unknown and tainted",
    "recorder": "the same pods with the recorder off",
    "network": "a cluster with a proxy in every link, until it is ready",
    "network-pods": "the same pods with a proxy in every link",
    "collect": "CPU of `pytest --co` in an empty folder",
    "topology": "a topology of {objects} nodes, and their Node objects",
    "blast-radius": "{objects} questions for a blast radius among 10,000 nodes",
    "gpu-series": "a scrape of {objects} GPUs of 1,000 nodes, all values new",
    "stream": "{objects} changes said in ten seconds, until all are recorded",
    "timeline": "the timeline of a run of {objects} records, as a page",
    "checks": "{objects} records judged by all standing invariants",
    "exclusion": "`knav exclusion`: {objects} pods finish on 1,000 nodes, 200 a second",
}
HOW: Final = """\
Both sides run in turns on the same binaries, after a cluster that does not count; \
figures are medians with least and greatest, a ratio is the median of ratios within a \
round.

The plain side is kwokctl by its own commands and with its own defaults (`create \
cluster --wait 60s`, `scale node`, `scale pod`, `snapshot save --format k8s`; a reset \
is a new cluster with new nodes), with every component on loopback. The pods are made \
by `kwokctl scale pod` on both sides. `kwokctl` is the tool itself, `knav` is this \
process with its recorder, which records all the while.

A reset has to undo pods, a CRD, a webhook that refuses every Job, and a crashed node. \
A crash comes right after a renewal of a lease, and is read from the recorded history.

Ready and Running are counted alike on both sides: by lists of one object and a table \
of the nodes' status, asked for at most a twentieth of the time."""


def page(reports: Sequence[Report], plot: str = "") -> str:
    """
    Return the whole page.

    Args:
        reports: One for each size.
        plot: Where the plot is, as a link from the page; empty when there is none.

    """
    lines = ["# Benchmarks", "", "<!-- Written by `make bench`. -->", "", HOW, ""]
    for report in reports:
        lines += [*section(report), ""]
    if plot:
        lines += ["## Cost against size", "", f"![Cost for each object]({plot})", ""]
    return "\n".join(lines)


def section(report: Report) -> list[str]:
    """Return the lines about one run."""
    facts = report.machine
    measured_on = (
        f"Measured on {report.taken}: {facts['system']} on {facts['architecture']}, "
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory']}; "
        + ", ".join(f"{name} {number}" for name, number in report.versions.items())
        + f". Median of {report.rounds}."
    )
    title = f"## {report.size}: {report.nodes:,} nodes, {report.pods:,} pods"
    lines = [title, "", measured_on, "", "### Targets", "", *_targets(report)]
    lines += ["", "### Seconds", "", *_seconds(report)]
    measured = [r for r in report.results if r.case not in cases.WITHOUT_CLUSTER]
    lines += ["", "### CPU seconds of each component", "", *_cpu(measured)]
    lines += ["", "### Peak memory of each component, MiB", "", *_memory(measured)]
    if report.failures:
        lines += ["", "### Failed", "", *_failures(report)]
    return lines


def _targets(report: Report) -> list[str]:
    rows = []
    for verdict in judge(report):
        bad = verdict.state in {"missed", "not measured"}
        state = f"**{verdict.state}**" if bad else verdict.state
        rows.append(
            (verdict.case, verdict.figure_text, verdict.what, verdict.target, state)
        )
    return _table(("case", "figure", "what it is", "target", ""), rows)


def _seconds(report: Report) -> list[str]:
    rows = []
    for result in _sorted(report.results):
        values = [sample.seconds for sample in result.samples]
        figures = [result.seconds, min(values), max(values)]
        title = TITLES[result.case].format(
            nodes=f"{report.nodes:,}",
            pods=f"{report.pods:,}",
            small=f"{report.reset_nodes} nodes and {report.reset_pods} pods",
            objects=f"{result.objects:,}",
        )
        rows.append(
            (result.case, title, SIDES[result.side], *(f"{f:.2f}" for f in figures))
        )
    header = ("case", "what", "side", "median s", "min s", "max s")
    return _table(header, rows)


def _cpu(results: Iterable[Result]) -> list[str]:
    results = _sorted(results)
    names = _components(result.cpu_s for result in results)
    rows = [
        (
            result.case,
            SIDES[result.side],
            f"{result.all_cpu_s:.2f}",
            *(_figure(result.cpu_s.get(name), 2) for name in names),
        )
        for result in results
    ]
    return _table(("case", "side", "all", *names), rows)


def _memory(results: Iterable[Result]) -> list[str]:
    """Return the largest that each component had in any case, side by side."""
    peaks: dict[str, dict[str, float]] = {}
    for result in results:
        side = peaks.setdefault(result.side, {})
        for name, mib in result.peak_mib.items():
            side[name] = max(side.get(name, 0.0), mib)
    names = _components(peaks.values())
    rows = [
        (SIDES[side], *(_figure(peaks[side].get(name), 0) for name in names))
        for side in SIDES
        if side in peaks
    ]
    return _table(("side", *names), rows)


def _failures(report: Report) -> list[str]:
    return [
        f"- {f.case}, {SIDES[f.side]}, round {f.round}: {' '.join(f.error.split())}"
        for f in report.failures
    ]


def _sorted(results: Iterable[Result]) -> list[Result]:
    order, sides = list(cases.CASES), list(SIDES)
    return sorted(results, key=lambda r: (order.index(r.case), sides.index(r.side)))


def _components(uses: Iterable[Mapping[str, float]]) -> list[str]:
    used = {name for use in uses for name in use}
    return [name for name in (*COMPONENTS, TOOL, OURSELVES) if name in used]


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
