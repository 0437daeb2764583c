"""What pytest-knav promises to reach, and whether it did."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pytest_knav.selfbench import cases
from pytest_knav.selfbench.measures import OURSELVES
from pytest_knav.selfbench.results import pairs


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav.selfbench.results import Report, Sample

APISERVER: Final = "kube-apiserver"
State = Literal["met", "missed", "not measured", "not promised here"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    One promise.

    Attributes:
        case: The case that it is about.
        what: What the figure is.
        figures: Returns it from a report, one for each round in which it was measured.
        limit: What it must reach.
        aim: What would be better still.
        more: Whether more is better.
        unit: What stands behind the figure.
        sizes: Where it is promised; by default at every size.

    """

    case: str
    what: str
    figures: Callable[[Report], list[float]]
    limit: float
    aim: float | None = None
    more: bool = False
    unit: str = ""
    sizes: tuple[str, ...] | None = None

    @property
    def text(self) -> str:
        """Return the promise in words."""
        aim = "" if self.aim is None else f", aim {self.aim:g}{self.unit}"
        return f"{'≥' if self.more else '≤'} {self.limit:g}{self.unit}{aim}"

    def judge(self, report: Report) -> Verdict:
        """Return what a report says about it: the median counts."""
        found = self.figures(report)
        figure = statistics.median(found) if found else None
        state: State = "not measured"
        if self.sizes is not None and report.size not in self.sizes:
            state = "not promised here"
        elif figure is not None:
            met = figure >= self.limit if self.more else figure <= self.limit
            state = "met" if met else "missed"
        return Verdict(
            case=self.case,
            what=self.what,
            figure=figure,
            rounds=tuple(round(one, 4) for one in found),
            unit=self.unit,
            target=self.text,
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a promise was kept, with the figure and that of each round."""

    case: str
    what: str
    figure: float | None
    rounds: tuple[float, ...]
    unit: str
    target: str
    state: State

    @property
    def figure_text(self) -> str:
        """Return the figure as the table shows it, with least and greatest."""
        if self.figure is None:
            return ""
        text = f"{_short(self.figure)}{self.unit}"
        if len(self.rounds) > 1:
            text += f" ({_short(min(self.rounds))} to {_short(max(self.rounds))})"
        return text


def judge(report: Report) -> list[Verdict]:
    """Return the verdict on every promise about a case that was to be measured."""
    return [target.judge(report) for target in TARGETS if target.case in report.cases]


def making_over_restore(report: Report) -> list[float]:
    """Return how much longer plain kwokctl makes what a restore puts back."""
    nodes = report.result("nodes", cases.PLAIN)
    pods = report.result("pods", cases.PLAIN)
    restore = report.result("restore", cases.FAST)
    if nodes is None or pods is None or restore is None:
        return []
    nodes_s = {one.round: one.seconds for one in nodes.samples}
    return [
        (nodes_s[made.round] + made.seconds) / restored.seconds
        for made, restored in pairs(pods, restore)
        if made.round in nodes_s
    ]


def recorder_share(report: Report) -> list[float]:
    """
    Return the percentage of all CPU seconds that recording costs.

    The same pods run with and without a recorder, in neighbouring clusters; what this
    process and the API server use more with it is the recorder's.
    """
    recorded = report.result("pods", cases.FAST)
    bare = report.result("recorder", cases.UNRECORDED)
    if recorded is None or bare is None:
        return []
    return [
        100 * (_recording(on) - _recording(off)) / on.all_cpu_s
        for on, off in pairs(recorded, bare)
    ]


def stream_share(report: Report) -> list[float]:
    """Return the percentage of one core that recording a steady stream takes."""
    result = report.result("stream", cases.FAST)
    samples = () if result is None else result.samples
    return [100 * one.cpu_s[OURSELVES] / one.seconds for one in samples]


def exclusion_share(report: Report) -> list[float]:
    """Return the percentage of one core that following finished pods takes."""
    result = report.result("exclusion", cases.FAST)
    samples = () if result is None else result.samples
    return [100 * one.cpu_s[OURSELVES] / one.seconds for one in samples]


def _recording(sample: Sample) -> float:
    return sample.cpu_s[OURSELVES] + sample.cpu_s[APISERVER]


def _seconds(sample: Sample) -> float:
    return sample.seconds


def _cpu(sample: Sample) -> float:
    return sample.all_cpu_s


def _ratio(
    case: str,
    over: str,
    under: str,
    of: Callable[[Sample], float] = _seconds,
    *,
    base: str = "",
) -> Callable[[Report], list[float]]:
    """Return what gives the ratios of two sides, of one case or of it and its base."""

    def figures(report: Report) -> list[float]:
        above, below = report.result(case, over), report.result(base or case, under)
        if above is None or below is None:
            return []
        return [of(a) / of(b) for a, b in pairs(above, below) if of(b)]

    return figures


def _each(case: str) -> Callable[[Report], list[float]]:
    """Return what gives our own seconds, round by round."""

    def figures(report: Report) -> list[float]:
        result = report.result(case, cases.FAST)
        return [] if result is None else [one.seconds for one in result.samples]

    return figures


def _short(figure: float) -> str:
    return f"{figure:.{1 if figure >= 10 else 2}f}"


TARGETS: Final = (
    Target(
        case="cluster",
        what="time of `kwokctl create cluster --wait`",
        figures=_ratio("cluster", cases.FAST, cases.PLAIN),
        limit=1.3,
        unit="x",
    ),
    Target(
        case="cluster",
        what="the same with `--knav-control-plane plain`",
        figures=_ratio("cluster", cases.OURS_PLAIN, cases.PLAIN),
        limit=1.3,
        unit="x",
    ),
    Target(
        case="nodes",
        what="faster than `kwokctl scale node`",
        figures=_ratio("nodes", cases.PLAIN, cases.FAST),
        limit=10,
        more=True,
        unit="x",
        sizes=("small", "1k"),
    ),
    Target(
        case="pods",
        what="faster than plain kwokctl",
        figures=_ratio("pods", cases.PLAIN, cases.FAST),
        limit=2,
        aim=2.5,
        more=True,
        unit="x",
        sizes=("1k",),
    ),
    Target(
        case="pods",
        what="CPU seconds of plain kwokctl",
        figures=_ratio("pods", cases.FAST, cases.PLAIN, _cpu),
        limit=0.55,
        unit="x",
        sizes=("1k",),
    ),
    Target(
        case="restore",
        what="faster than making it with plain kwokctl",
        figures=making_over_restore,
        limit=20,
        aim=50,
        more=True,
        unit="x",
        sizes=("1k",),
    ),
    Target(
        case="reset",
        what="until a new Job's pod is bound",
        figures=_each("reset"),
        limit=1.5,
        aim=0.7,
        unit=" s",
    ),
    Target(
        case="reset-large",
        what="until a new Job's pod is bound",
        figures=_each("reset-large"),
        limit=8,
        unit=" s",
        sizes=("1k",),
    ),
    Target(
        case="crash",
        what="until the last renewal of a lease",
        figures=_each("crash"),
        limit=1,
        unit=" s",
    ),
    Target(
        case="crash-writes",
        what="writes of the median crashed node until it is noticed",
        figures=_each("crash-writes"),
        limit=4,
    ),
    Target(
        case="recorder",
        what="of all CPU seconds",
        figures=recorder_share,
        limit=5,
        unit=" %",
    ),
    Target(
        case="network",
        what="time of a cluster without proxies",
        figures=_ratio("network", cases.PROXIED, cases.FAST, base="cluster"),
        limit=1.3,
        unit="x",
    ),
    Target(
        case="network-pods",
        what="time without proxies",
        figures=_ratio("network-pods", cases.PROXIED, cases.FAST, base="pods"),
        limit=1.5,
        unit="x",
    ),
    Target(
        case="network-pods",
        what="CPU seconds without proxies",
        figures=_ratio("network-pods", cases.PROXIED, cases.FAST, _cpu, base="pods"),
        limit=1.5,
        unit="x",
    ),
    Target(
        case="collect",
        what="CPU seconds of pytest without knav",
        figures=_ratio("collect", cases.WITH, cases.WITHOUT),
        limit=1.1,
        unit="x",
    ),
    Target(
        case="topology",
        what="until all are rendered",
        figures=_each("topology"),
        limit=5,
        unit=" s",
    ),
    Target(
        case="blast-radius",
        what="until all are answered",
        figures=_each("blast-radius"),
        limit=1,
        unit=" s",
    ),
    Target(
        case="gpu-series",
        what="until the scrape is served",
        figures=_each("gpu-series"),
        limit=1,
        unit=" s",
    ),
    Target(
        case="stream",
        what="until 20,000 changes of ten seconds are recorded",
        figures=_each("stream"),
        limit=11,
        unit=" s",
    ),
    Target(
        case="stream",
        what="of one core, for 2,000 changes a second",
        figures=stream_share,
        limit=100,
        aim=20,
        unit=" %",
    ),
    Target(
        case="timeline",
        what="until the page of 1,000,000 records is written",
        figures=_each("timeline"),
        limit=10,
        unit=" s",
    ),
    Target(
        case="checks",
        what="until 1,000,000 records are judged by all standing invariants",
        figures=_each("checks"),
        limit=10,
        unit=" s",
    ),
    Target(
        case="exclusion",
        what="of one core, for 1,000 nodes and 200 finished pods a second",
        figures=exclusion_share,
        limit=50,
        unit=" %",
    ),
)
