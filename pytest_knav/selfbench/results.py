"""What was measured, as values, and the JSON that they become."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FORMAT: Final = "pytest-knav-selfbench"
VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    One measurement.

    Attributes:
        round: In which round; those of one round are neighbours in time.
        seconds: How long it took; for the case `collect` how much CPU.
        cpu_s: CPU seconds by component, processes that ended meanwhile included.
        peak_mib: The largest resident memory by component during it.

    """

    round: int
    seconds: float
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    peak_mib: Mapping[str, float] = field(default_factory=dict)

    @property
    def all_cpu_s(self) -> float:
        """Return the CPU seconds of all components together."""
        return sum(self.cpu_s.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The measurements of one case on one side."""

    case: str
    side: str
    size: str
    objects: int
    samples: tuple[Sample, ...]

    @property
    def seconds(self) -> float:
        """Return the median of the seconds."""
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def cpu_s(self) -> dict[str, float]:
        """Return the median CPU seconds of each component."""
        return _medians([sample.cpu_s for sample in self.samples])

    @property
    def peak_mib(self) -> dict[str, float]:
        """Return the median peak memory of each component."""
        return _medians([sample.peak_mib for sample in self.samples])

    @property
    def all_cpu_s(self) -> float:
        """Return the median of the CPU seconds of all components together."""
        return statistics.median(sample.all_cpu_s for sample in self.samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A measurement that did not succeed, and why."""

    case: str
    side: str
    round: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that one run measured; nothing in it says on whose machine."""

    size: str
    nodes: int
    pods: int
    reset_nodes: int
    reset_pods: int
    rounds: int
    cases: tuple[str, ...]
    taken: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    results: tuple[Result, ...] = ()
    failures: tuple[Failure, ...] = ()

    def result(self, case: str, side: str) -> Result | None:
        """Return what was measured of a case on a side, if it was."""
        for result in self.results:
            if (result.case, result.side) == (case, side):
                return result
        return None

    def to_json(self, **more: object) -> str:
        """Return it as JSON, together with more that a reader may like to have."""
        document = {"format": FORMAT, "version": VERSION, **asdict(self), **more}
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str) -> Report:
        """
        Return what `to_json` wrote.

        Args:
            text: The JSON.
            source: What it is called in messages.

        Raises:
            BadInput: It is no report, or of another version.

        """
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise BadInput(f"{source} is not JSON: {error}") from error
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise BadInput(f"{source} is no result of `knav selfbench --json`")
        if raw.get("version") != VERSION:
            raise BadInput(
                f"{source} has format version {raw.get('version')}, this pytest-knav "
                f"reads {VERSION}: measure again"
            )
        try:
            return cls(
                **{name: raw[name] for name in _PLAIN},
                cases=tuple(raw["cases"]),
                results=tuple(_result(item) for item in raw["results"]),
                failures=tuple(Failure(**item) for item in raw["failures"]),
            )
        except (KeyError, TypeError) as error:
            raise BadInput(f"{source} is damaged: {error}") from error

    @classmethod
    def read(cls, path: Path) -> Report:
        """
        Return the report in a file.

        Raises:
            BadInput: There is no such file, or it holds something else.

        """
        try:
            text = path.read_text()
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}") from error
        return cls.from_json(text, str(path))


_PLAIN = (
    "size", "nodes", "pods", "reset_nodes", "reset_pods", "rounds", "taken", "machine",
    "versions",
)  # fmt: skip


def pairs(first: Result, second: Result) -> list[tuple[Sample, Sample]]:
    """Return the measurements of two results that were made in the same round."""
    others = {sample.round: sample for sample in second.samples}
    return [(s, others[s.round]) for s in first.samples if s.round in others]


def _result(raw: Mapping[str, Any]) -> Result:
    samples = tuple(Sample(**sample) for sample in raw["samples"])
    return Result(**{**raw, "samples": samples})


def _medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in rounds for name in one)
    return {
        name: statistics.median(one.get(name, 0.0) for one in rounds) for name in names
    }
