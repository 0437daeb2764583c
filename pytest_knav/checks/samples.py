"""What a metric threshold is judged on, as values that a history can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal


if TYPE_CHECKING:
    from collections.abc import Mapping

Point = tuple[float, float]
Mode = Literal["value", "whole", "increase"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of time that a check belongs to, in seconds since the epoch."""

    name: str
    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """Return how long it is."""
        return self.end_s - self.start_s

    def __str__(self) -> str:
        """Return its name and length."""
        return f"{self.name} ({self.seconds:.1f}s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series: its labels, and its points as pairs of time and value."""

    labels: Mapping[str, str]
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """Return it as PromQL writes it."""
        rest = {k: v for k, v in self.labels.items() if k != "__name__"}
        inside = ", ".join(f'{k}="{v}"' for k, v in sorted(rest.items()))
        return f"{self.labels.get('__name__', '')}{{{inside}}}"

    @property
    def target(self) -> tuple[str, str]:
        """Return the job and the instance that it was scraped from."""
        return self.labels.get("job", ""), self.labels.get("instance", "")

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Series:
        """Return what the history holds."""
        return cls(
            labels=data["labels"],
            points=tuple((float(at), float(value)) for at, value in data["points"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    How much one selector of the expression found in the window.

    Attributes:
        selector: The selector.
        samples: The most samples that any series of it has, by job and instance.

    """

    selector: str
    samples: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SloSamples:
    """
    What is judged, as it is stored.

    Attributes:
        promql: The expression as it was written.
        mode: `value`: its value at each step of the window; `whole`: one value for
            the whole window; `increase`: the samples of a counter, whose increase in
            the window is judged.
        interval_s: The seconds between two scrapes.
        reach_s: How far back the expression looks by durations of its own.
        series: What it gave.
        scrapes: For each target whether it was up, scrape by scrape.
        found: What its selectors found.
        problem: Why there are no samples; empty when there are.

    """

    promql: str
    at_most: float | None
    at_least: float | None
    window: Window
    mode: Mode
    interval_s: float
    reach_s: float = 0.0
    series: tuple[Series, ...] = ()
    scrapes: tuple[Series, ...] = ()
    found: tuple[Found, ...] = ()
    problem: str = ""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> SloSamples:
        """Return what a record of the history holds."""
        return cls(
            promql=data["promql"],
            at_most=data.get("at_most"),
            at_least=data.get("at_least"),
            window=Window(**data["window"]),
            mode=data["mode"],
            interval_s=data["interval_s"],
            reach_s=data.get("reach_s", 0.0),
            series=tuple(Series.of(one) for one in data.get("series", ())),
            scrapes=tuple(Series.of(one) for one in data.get("scrapes", ())),
            found=tuple(
                Found(
                    selector=one["selector"],
                    samples={(j, i): int(n) for j, i, n in one["samples"]},
                )
                for one in data.get("found", ())
            ),
            problem=data.get("problem", ""),
        )

    @property
    def name(self) -> str:
        """Return the check in words."""
        limits = []
        if self.at_least is not None:
            limits.append(f"at least {self.at_least:g}")
        if self.at_most is not None:
            limits.append(f"at most {self.at_most:g}")
        what = "the increase of " if self.mode == "increase" else ""
        limit = " and ".join(limits)
        return f"{what}{self.promql} is {limit} in the window {self.window}"
