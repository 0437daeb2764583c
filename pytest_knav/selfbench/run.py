"""The rounds: every course in turn, so that a busy machine slows all sides alike."""

from __future__ import annotations

import os
import re
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane import registry
from pytest_knav.control_plane.assets.progress import duration
from pytest_knav.errors import HarnessError, KnavAssertionError
from pytest_knav.selfbench import machine
from pytest_knav.selfbench.cases import WITHOUT_CLUSTER
from pytest_knav.selfbench.course import Kit
from pytest_knav.selfbench.courses import courses
from pytest_knav.selfbench.measures import Meter
from pytest_knav.selfbench.results import Failure, Report, Result, Sample


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_knav.control_plane.plane import Binaries
    from pytest_knav.selfbench.course import Course, Step
    from pytest_knav.selfbench.progress import Progress
    from pytest_knav.selfbench.sizes import Size

# What a measurement may fail with and the others go on.
_FAILURES: Final = (HarnessError, KnavAssertionError, OSError)
_PATH: Final = re.compile(r"(?<![\w.])/(?:[^\s/:'\"]+/)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    What shall be measured.

    Attributes:
        cases: With everything that they need; see `cases.chosen`.
        warm: Whether a first cluster is made that does not count, so that the binaries
            have been read from disk.

    """

    size: Size
    rounds: int
    cases: tuple[str, ...]
    plain: bool
    warm: bool = True


def measure(
    plan: Plan,
    binaries: Binaries,
    progress: Progress,
    keep: Callable[[Report], None] = lambda _: None,
) -> Report:
    """
    Return what was measured; what failed is in it with its error.

    Args:
        plan: What to measure.
        binaries: What both sides run.
        progress: Told of every step.
        keep: Given what there is after each round, for runs that do not see their end.

    """
    registry.prune()
    with (
        tempfile.TemporaryDirectory(prefix="knav-selfbench-") as folder,
        _private_cache(Path(folder) / "cache"),
    ):
        kit = Kit(
            name=f"selfbench-{os.getpid()}",
            binaries=binaries,
            folder=Path(folder),
            size=plan.size,
            tick=progress.tick,
        )
        run = _Run(plan, kit, progress)
        report = run.report(binaries)
        if plan.warm and not set(plan.cases) <= WITHOUT_CLUSTER:
            run.warm_up()
        for number in range(1, plan.rounds + 1):
            run.round(number)
            report = run.report(binaries)
            keep(report)
    return report


@dataclass(slots=True)
class _Run:
    """The measurements of one run, as they come in."""

    plan: Plan
    kit: Kit
    progress: Progress
    _samples: dict[tuple[str, str, int], list[Sample]] = field(default_factory=dict)
    _failures: list[Failure] = field(default_factory=list)
    _index: int = 0

    def warm_up(self) -> None:
        """Make a cluster and remove it."""
        cluster = self.kit.ours(1)
        self.progress.begin("warming up", 0, self._count)
        began = time.monotonic()
        try:
            cluster.create()
        finally:
            cluster.close()
        self.progress.end(f"done in {duration(time.monotonic() - began)}")

    def round(self, number: int) -> None:
        """Measure every course once."""
        for course in self._courses():
            self._course(course, number)

    def report(self, binaries: Binaries) -> Report:
        """Return what was measured so far."""
        plan = self.plan
        results = tuple(
            Result(
                case=case,
                side=side,
                size=plan.size.name,
                objects=objects,
                samples=tuple(samples),
            )
            for (case, side, objects), samples in self._samples.items()
        )
        return Report(
            size=plan.size.name,
            nodes=plan.size.nodes,
            pods=plan.size.pods,
            reset_nodes=plan.size.reset_nodes,
            reset_pods=plan.size.reset_pods,
            rounds=plan.rounds,
            cases=plan.cases,
            taken=machine.today(),
            machine=machine.facts(),
            versions=machine.versions(binaries.versions),
            results=results,
            failures=tuple(self._failures),
        )

    @property
    def _count(self) -> int:
        return self.plan.rounds * sum(len(c.steps) for c in self._courses())

    def _courses(self) -> list[Course]:
        plan = self.plan
        return list(courses(self.kit, plan.cases, plain=plan.plain))

    def _course(self, course: Course, number: int) -> None:
        meter = Meter(course.workdir)
        failed: set[str] = set()
        try:
            for step in course.steps:
                self._index += 1
                title = f"round {number}, {step.case}, {course.side}"
                self.progress.begin(title, self._index, self._count)
                need = step.failed_need(failed)
                if need is not None:
                    error = f"not tried: {need} failed before it"
                else:
                    error = self._step(step, course.side, number, meter)
                if error:
                    failed.add(step.case)
                    self._fail(step.case, course.side, number, error)
        finally:
            try:
                course.close()
            except _FAILURES as error:
                text = f"removing the cluster: {error}"
                self._fail(course.steps[-1].case, course.side, number, text)

    def _step(self, step: Step, side: str, number: int, meter: Meter) -> str:
        """Measure one step; return why it failed, or nothing."""
        try:
            step.prepare()
            with meter.measure(tool=step.tool) as usage:
                began = time.monotonic()
                figure = step.act()
                took_s = time.monotonic() - began
        except _FAILURES as error:
            return str(error) or type(error).__name__
        seconds = took_s if figure is None else figure
        sample = Sample(
            round=number,
            seconds=round(seconds, 4),
            cpu_s={name: round(s, 3) for name, s in usage.cpu_s.items()},
            peak_mib={name: round(mib, 1) for name, mib in usage.peak_mib.items()},
        )
        self._samples.setdefault((step.case, side, step.objects), []).append(sample)
        self.progress.end(f"{seconds:.2f} s")
        return ""

    def _fail(self, case: str, side: str, number: int, error: str) -> None:
        text = without_paths(error)
        self._failures.append(Failure(case=case, side=side, round=number, error=text))
        self.progress.end(f"FAILED: {error}")


def without_paths(text: str) -> str:
    """Return a message that says nothing of where things lie on this machine."""
    return _PATH.sub("…/", text)


@contextmanager
def _private_cache(directory: Path) -> Iterator[None]:
    """
    Keep states that are made meanwhile apart from the user's.

    The binaries, which the cache holds as well, have been found by then.
    """
    name = "XDG_CACHE_HOME"
    before = os.environ.get(name)
    os.environ[name] = str(directory)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
