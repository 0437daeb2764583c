"""
Fault plans: what breaks when, as data.

A plan says nothing about a cluster: it keeps target *expressions*, so it can be saved,
run again, run on another scheduler, and cut down until only what matters is left.

```python
plan = sequence(
    for_("30s", NodeCrash(node_of(gang))),
    together(NodeCordon(rack_of(gang)), after("5s", ComponentKill("scheduler"))),
)
```
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput
from pytest_knav.faults.base import Fault
from pytest_knav.faults.catalogue import fault_from_data


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STEPS_MAX = 10_000
PLAN_VERSION = 1

Part: TypeAlias = "Fault | Timed | Repeated | Together | Sequence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    One event of a plan.

    Attributes:
        at_s: When, in seconds from the plan's beginning.
        number: Which injection of the plan it begins or ends, from 0.

    """

    at_s: float
    verb: Literal["inject", "clear"]
    number: int
    fault: Fault


@dataclass(frozen=True, slots=True)
class Timed:
    """A part that begins later, or is taken back after a time."""

    word: Literal["after", "for"]
    duration_s: float
    part: Part

    def __str__(self) -> str:
        name = {"after": "after", "for": "for_"}[self.word]
        return f'{name}("{self.duration_s:g}s", {self.part})'


@dataclass(frozen=True, slots=True)
class Repeated:
    """A part that comes again and again."""

    period_s: float
    times: int
    part: Part

    def __str__(self) -> str:
        return f'every("{self.period_s:g}s", {self.part}, times={self.times})'


@dataclass(frozen=True, slots=True)
class Together:
    """Parts that begin at the same time."""

    parts: tuple[Part, ...]

    def __str__(self) -> str:
        return f"together({', '.join(map(str, self.parts))})"


@dataclass(frozen=True, slots=True)
class Sequence:
    """Parts of which each begins when the one before it has ended."""

    parts: tuple[Part, ...]

    def __str__(self) -> str:
        return f"sequence({', '.join(map(str, self.parts))})"


def together(*parts: Part) -> Together:
    """Return a plan whose parts begin at the same time."""
    return Together(_checked("together", parts))


def sequence(*parts: Part) -> Sequence:
    """
    Return a plan whose parts follow each other.

    A fault without `for_` has no end of its own: the next part begins at once, and the
    fault stays until the plan's end.
    """
    return Sequence(_checked("sequence", parts))


def after(delay: Duration, part: Part) -> Timed:
    """Return a part that begins after a delay."""
    _checked("after", (part,))
    return Timed("after", seconds(delay, name="after"), part)


def for_(duration: Duration, part: Part) -> Timed:
    """
    Return a part that is taken back after a time.

    Raises:
        BadInput: The part itself takes longer.

    """
    _checked("for_", (part,))
    duration_s = seconds(duration, name="for_")
    if length_s(part) > duration_s:
        raise BadInput(
            f"for_({duration!r}, {part}): the part takes {length_s(part):g}s"
        )
    return Timed("for", duration_s, part)


def every(period: Duration, part: Part, *, times: int) -> Repeated:
    """
    Return a part that comes again and again: a flapping node, a crash loop.

    Args:
        period: From one beginning to the next.
        part: What comes; it must be over within the period, so give it `for_`.
        times: How often.

    Raises:
        BadInput: It is not over by the next time.

    """
    _checked("every", (part,))
    period_s = seconds(period, name="every")
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise BadInput(f"every(…, times={times!r}): give a whole number from 1")
    steps = list(_unrolled(part, 0.0))
    if len({s.number for s in steps}) * 2 != len(steps) or length_s(part) > period_s:
        raise BadInput(
            f"every({period!r}, {part}): it is not over when it comes again: give it "
            "for_ with less than the period"
        )
    return Repeated(period_s, times, part)


def schedule(plan: Part) -> tuple[Step, ...]:
    """
    Return everything that a plan does, in order; what ends comes before what begins.

    Raises:
        BadInput: It is no plan, or longer than 10,000 steps.

    """
    _checked("the plan", (plan,))
    steps = []
    for step in _unrolled(plan, 0.0):
        steps.append(step)
        if len(steps) > STEPS_MAX:
            raise BadInput(f"the plan has more than {STEPS_MAX} steps: {plan}")
    return tuple(sorted(steps, key=lambda s: (s.at_s, s.verb == "inject", s.number)))


def length_s(plan: Part) -> float:
    """Return how long a plan takes, in seconds; a fault without `for_` takes none."""
    if isinstance(plan, Timed):
        rest = length_s(plan.part) if plan.word == "after" else 0.0
        return plan.duration_s + rest
    if isinstance(plan, Repeated):
        return (plan.times - 1) * plan.period_s + length_s(plan.part)
    if isinstance(plan, Together):
        return max(map(length_s, plan.parts))
    if isinstance(plan, Sequence):
        return sum(map(length_s, plan.parts))
    return 0.0


def as_data(plan: Part) -> dict[str, Any]:
    """Return a plan as JSON can hold it."""
    if isinstance(plan, Timed):
        return {plan.word: plan.duration_s, "part": as_data(plan.part)}
    if isinstance(plan, Repeated):
        part = as_data(plan.part)
        return {"every": plan.period_s, "times": plan.times, "part": part}
    if isinstance(plan, Together):
        return {"together": [as_data(part) for part in plan.parts]}
    if isinstance(plan, Sequence):
        return {"sequence": [as_data(part) for part in plan.parts]}
    return plan.describe()


def from_data(data: Mapping[str, Any]) -> Part:
    """
    Return what `as_data` made.

    Raises:
        BadInput: It is no plan, or has a fault that is not known here.

    """
    if "fault" in data:
        return fault_from_data(data)
    if "together" in data:
        return together(*map(from_data, data["together"]))
    if "sequence" in data:
        return sequence(*map(from_data, data["sequence"]))
    if "part" in data:
        part = from_data(data["part"])
        if "after" in data:
            return after(data["after"], part)
        if "for" in data:
            return for_(data["for"], part)
        if "every" in data:
            return every(data["every"], part, times=data.get("times", 1))
    raise BadInput(
        f"{dict(data)} is no part of a plan: it has none of fault, together, "
        "sequence, after, for, every"
    )


def save_plan(plan: Part, path: Path) -> None:
    """Write a plan into a file, as JSON."""
    text = json.dumps({"version": PLAN_VERSION, "plan": as_data(plan)}, indent=2)
    path.write_text(text + "\n")


def load_plan(path: Path) -> Part:
    """
    Return the plan that a file holds.

    Raises:
        BadInput: There is no such file, it is not JSON, or holds no plan.

    """
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise BadInput(f"plan {path}: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"plan {path} is not JSON: {error}") from error
    if not isinstance(found, dict) or found.get("version") != PLAN_VERSION:
        version = found.get("version") if isinstance(found, dict) else None
        raise BadInput(
            f"plan {path} has format version {version!r}, this pytest-knav reads "
            f"{PLAN_VERSION}"
        )
    return from_data(found.get("plan", {}))


def _unrolled(plan: Part, from_s: float, first: int = 0) -> Iterator[Step]:
    """Yield the steps of a part; injections are numbered from `first`."""
    if isinstance(plan, Fault):
        yield Step(at_s=from_s, verb="inject", number=first, fault=plan)
    elif isinstance(plan, Timed) and plan.word == "after":
        yield from _unrolled(plan.part, from_s + plan.duration_s, first)
    elif isinstance(plan, Timed):
        begun: dict[int, Fault] = {}
        for step in _unrolled(plan.part, from_s, first):
            yield step
            if step.verb == "inject":
                begun[step.number] = step.fault
            else:
                begun.pop(step.number)
        end_s = from_s + plan.duration_s
        for number, fault in begun.items():
            yield Step(at_s=end_s, verb="clear", number=number, fault=fault)
    else:
        for part, at_s in _placed(plan, from_s):
            steps = list(_unrolled(part, at_s, first))
            yield from steps
            first = max(step.number for step in steps) + 1


def _placed(
    plan: Repeated | Together | Sequence, from_s: float
) -> Iterator[tuple[Part, float]]:
    """Yield the parts of a part with the time at which each begins."""
    if isinstance(plan, Repeated):
        for turn in range(plan.times):
            yield plan.part, from_s + turn * plan.period_s
    else:
        for part in plan.parts:
            yield part, from_s
            if isinstance(plan, Sequence):
                from_s += length_s(part)


def _checked(word: str, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    if not parts:
        raise BadInput(f"{word}() has no parts: give faults or plans")
    for part in parts:
        if not isinstance(part, Fault | Timed | Repeated | Together | Sequence):
            raise BadInput(
                f"{word}(… {part!r} …): give faults, or what together, sequence, "
                "after, every or for_ return"
            )
    return parts
