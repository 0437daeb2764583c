"""
The standing invariants: what must hold in every chaos test, by name, in one pass.

What is judged stands in the history, so a stored run can be judged again: with the same
limits, with others, or with rules that are newer than the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pytest_knav.checks.crew import promises_of
from pytest_knav.checks.rules.capacity import CapacityRule
from pytest_knav.checks.rules.collateral import CollateralRule
from pytest_knav.checks.rules.devices import DevicesRule
from pytest_knav.checks.rules.eviction import EvictionRule
from pytest_knav.checks.rules.gang import GangRule
from pytest_knav.checks.rules.once import OnceRule
from pytest_knav.checks.rules.placement import PlacementRule
from pytest_knav.checks.rules.priority import PriorityRule
from pytest_knav.checks.rules.recovery import RecoveryRule
from pytest_knav.checks.rules.settled import SettledRule
from pytest_knav.checks.rules.topology import TopologyRule
from pytest_knav.checks.verdict import Verdict
from pytest_knav.checks.world import World
from pytest_knav.durations import seconds
from pytest_knav.errors import BadInput
from pytest_knav.history.collecting import collector_held
from pytest_knav.history.record import STEP


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_knav.checks.rules.base import Rule
    from pytest_knav.history import History

# The step that says which invariants were judged, with which limits, until when.
JUDGED: Final = "JUDGED"
# Pod GC has a period of 20 s, a Job waits 10 s after a failure, a pod up to 10 s in the
# scheduler's back-off (control_plane/profiles.py, FIXED_CONSTANTS).
_SETTLE_S: Final = 40.0
_EVICTION_S: Final = 20.0

Limit = float | None
Asked = dict[str, Limit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    One invariant.

    Attributes:
        argument: What its limit is called; empty where it has none.
        unit: What its limit is.
        usual: Whether every chaos test is held to it unless it says otherwise.

    """

    name: str
    rule: type[Rule]
    argument: str = ""
    unit: Literal["duration", "count"] = "duration"
    usual: bool = True

    def limit(self, value: object) -> Limit:
        """
        Return a limit that a user has written.

        Raises:
            BadInput: It is none, or there is nothing to limit.

        """
        if not self.argument:
            raise BadInput(
                f"{self.name}={value!r}: there is no limit to this invariant"
            )
        if self.unit == "duration":
            return seconds(value, name=self.name)  # type: ignore[arg-type]
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise BadInput(f"{self.name}={value!r}: give a whole number of at least 0")
        return float(value)

    def made(self, world: World, limit: Limit) -> Rule:
        """Return the rule with a limit, or with its usual one."""
        if limit is None or not self.argument:
            return self.rule(world)
        suffix = "_s" if self.unit == "duration" else ""
        return self.rule(world, **{f"{self.argument}{suffix}": limit})


STANDING: Final[dict[str, Standing]] = {
    one.name: one
    for one in (
        Standing(name="gang", rule=GangRule, argument="longer_than"),
        Standing(name="placement", rule=PlacementRule, argument="after"),
        Standing(name="devices", rule=DevicesRule),
        Standing(name="capacity", rule=CapacityRule, argument="after"),
        Standing(name="topology", rule=TopologyRule),
        Standing(name="once", rule=OnceRule, argument="overlap"),
        Standing(name="eviction", rule=EvictionRule, argument="late"),
        Standing(name="priority", rule=PriorityRule, argument="after"),
        Standing(
            name="collateral", rule=CollateralRule, argument="at_most", unit="count"
        ),
        Standing(name="settled", rule=SettledRule, argument="within"),
        Standing(name="recovery", rule=RecoveryRule, argument="within", usual=False),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    What one invariant came to.

    Attributes:
        looked_at: How many things it has judged; 0: the history has nothing for it.

    """

    name: str
    verdict: Verdict
    looked_at: int

    def as_asked(self) -> Verdict:
        """Return the verdict for who asked for it by name: nothing seen is no pass."""
        if self.looked_at or self.verdict.status != "pass":
            return self.verdict
        return Verdict(
            check=self.verdict.check,
            status="inconclusive",
            reasons=("the history holds nothing that it could be judged on",),
        )


def usual() -> Asked:
    """Return the invariants that every chaos test is held to, with no own limits."""
    return {name: None for name, one in STANDING.items() if one.usual}


def named(name: str) -> Standing:
    """
    Return an invariant by name.

    Raises:
        BadInput: There is none of that name.

    """
    if name not in STANDING:
        raise BadInput(
            f"there is no invariant {name!r}: use one of {', '.join(STANDING)}"
        )
    return STANDING[name]


@collector_held()
def judge_standing(
    history: History, asked: Mapping[str, Limit], *, until_s: float | None = None
) -> list[Finding]:
    """
    Return what each invariant came to, in one pass over a history.

    Args:
        history: What was recorded.
        asked: The invariants with their limits; None: the usual one.
        until_s: Until when the history is known to be complete, on its clock; by
            default until its last record.

    """
    world = World(promises_of(history))
    limits = {**asked}
    if "settled" in limits and limits["settled"] is None:
        limits["settled"] = settle_s(history)
    rules = [named(name).made(world, limit) for name, limit in limits.items()]
    world.run(history, rules)
    gaps = history.gaps()
    end_s = world.now_s if until_s is None else max(until_s, world.now_s)
    return [
        Finding(
            name=rule.name,
            verdict=rule.verdict(history, gaps, end_s),
            looked_at=rule.looked_at,
        )
        for rule in rules
    ]


def settle_s(history: History) -> float:
    """Return how long work may take to settle, by the run's time profile."""
    for step in steps(history, "BEGIN"):
        found = step.get("profile", {}).get("eviction_s")
        if found is not None:
            return float(found) + _SETTLE_S
    return _EVICTION_S + _SETTLE_S


def judged_before(history: History) -> tuple[Asked, float | None]:
    """Return which invariants a run was held to, and until when; else the usual."""
    for data in reversed(list(steps(history, JUDGED))):
        return dict(data.get("asked") or usual()), data.get("until_s")
    return usual(), None


def steps(history: History, verb: str) -> Iterable[Mapping[str, Any]]:
    """Yield what steps of the test with one verb say."""
    for record in history.records(STEP):
        if record.verb == verb:
            yield record.data or {}
