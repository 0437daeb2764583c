"""Targets by word: a share, a number, a minority, the busiest; chosen by the seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_knav.errors import BadInput
from pytest_knav.faults.pools import enough, pool
from pytest_knav.faults.targets import Kind, Target


if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from pytest_knav.faults.base import World


def percent(share: float) -> Target:
    """Return a share of all there are, at least one, chosen by the seed."""
    if isinstance(share, bool) or not isinstance(share, int | float):
        raise BadInput(f"percent({share!r}): give a number above 0, at most 100")
    if not 0 < share <= 100:
        raise BadInput(f"percent({share!r}): give a number above 0, at most 100")
    return _sample(
        f"percent({share:g})", lambda count: max(1, round(count * share / 100))
    )


def one() -> Target:
    """Return one, chosen by the seed."""
    return some(1)


def some(count: int) -> Target:
    """Return a number of them, chosen by the seed."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise BadInput(f"some({count!r}): give a whole number from 1")
    return _sample("one()" if count == 1 else f"some({count})", lambda _: count)


def minority() -> Target:
    """Return the largest number that is less than half, by the seed."""
    return _sample("minority()", lambda count: (count - 1) // 2)


def majority() -> Target:
    """Return the smallest number that is more than half, by the seed."""
    return _sample("majority()", lambda count: count // 2 + 1)


def everything() -> Target:
    """Return all there are."""
    return _sample("everything()", lambda count: count)


def busiest(count: int = 1) -> Target:
    """Return the nodes with most pods on them; among equals the seed chooses."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise BadInput(f"busiest({count!r}): give a whole number from 1")

    def resolver(world: World, choose: random.Random, kind: Kind) -> Sequence[str]:
        names = pool(world, kind)
        enough(f"busiest({count})", count, len(names), kind)
        pods = dict.fromkeys(names, 0)
        for pod in world.history.latest("Pod").values():
            node = pod.get("spec", {}).get("nodeName")
            alive = pod.get("status", {}).get("phase") in {"Pending", "Running"}
            if alive and node in pods:
                pods[node] += 1
        shuffled = choose.sample(names, len(names))
        return sorted(shuffled, key=lambda name: -pods[name])[:count]

    return Target(text=f"busiest({count})", kind="node", resolver=resolver)


def _sample(text: str, number: Callable[[int], int]) -> Target:
    def resolver(world: World, choose: random.Random, kind: Kind) -> Sequence[str]:
        names = pool(world, kind)
        count = number(len(names))
        enough(text, count, len(names), kind)
        return choose.sample(names, count)

    return Target(text=text, resolver=resolver)
