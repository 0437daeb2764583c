"""
What is refused before anything changes: overlapping faults, and more than was asked.

Two faults overlap when both break the same thing: a node whose work is lost, a target,
or one value of the cluster, such as the allocatable GPUs of a node. Taken back in
another order than they were made, one would put back what the other has broken.
Everything else may come together: a GPU's XID on a node that is cordoned and then
crashes is three faults of one machine, and each can be taken back by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pytest_knav.control_plane.changes import Change
    from pytest_knav.control_plane.changes.base import Claim
    from pytest_knav.faults.base import Fault, World

#: Pairs as `Change.claims` has them.
Claims: TypeAlias = "frozenset[Claim]"
_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_NAMES_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """
    How many nodes may be touched at the same time, as it was given.

    Attributes:
        given: A number of nodes, or a share such as `10%`.

    """

    given: int | str

    def allows(self, touched: int, there_are: int) -> bool:
        """Return whether so many of all nodes are within it."""
        if isinstance(self.given, int):
            return touched <= self.given
        found = _SHARE.fullmatch(self.given)
        return found is not None and touched * 100 <= float(found[1]) * there_are

    def __str__(self) -> str:
        return f"{self.given} nodes" if isinstance(self.given, int) else self.given


def limit_of(at_most: int | str | None) -> Limit | None:
    """
    Return the limit that a number or a share is; None is no limit.

    Raises:
        BadInput: It is neither.

    """
    if at_most is None:
        return None
    text = str(at_most).strip()
    share = _SHARE.fullmatch(text)
    if share is not None and 0 < float(share[1]) <= 100:
        return Limit(given=text)
    if not isinstance(at_most, bool) and text.isdecimal() and int(text) > 0:
        return Limit(given=int(text))
    raise BadInput(
        f"at_most={at_most!r}: give a number of nodes from 1, or a share such as '10%'"
    )


def claims_of(
    fault: Fault, world: World, targets: Sequence[str], changes: Iterable[Change]
) -> Claims:
    """Return everything that a fault alone may break while it lasts."""
    values = (change.claims for change in changes)
    return fault.claims(world, targets).union(*values)


def check_overlap(
    fault: Fault, claims: Claims, others: Iterable[tuple[str, Claims]]
) -> None:
    """
    Return when nothing of what a fault breaks is broken already.

    Raises:
        BadInput: Another fault has broken some of it.

    """
    for name, taken in others:
        both = sorted(_shared(claims, taken))
        if not both:
            continue
        shown = ", ".join(f"{what} {way}".strip() for what, way in both[:_NAMES_SHOWN])
        more = f" and {len(both) - _NAMES_SHOWN} more" if both[_NAMES_SHOWN:] else ""
        raise BadInput(
            f"{fault.name} and another fault that is not cleared, {name}, both break "
            f"{shown}{more}: clear that one first, or give one fault all targets"
        )


def check_reach(
    fault: Fault,
    touched: Collection[str],
    already: Collection[str],
    there_are: int,
    limits: Iterable[Limit | None],
) -> None:
    """
    Return when a fault, with all that is broken already, touches no more than allowed.

    Raises:
        BadInput: It would touch more nodes; the message has both numbers.

    """
    together = len({*touched, *already})
    for limit in limits:
        if limit is None or limit.allows(together, there_are):
            continue
        besides = len(set(already) - set(touched))
        with_them = f", {besides} of them by faults that last," if besides else ""
        raise BadInput(
            f"{fault.name}: {together} of {there_are} nodes would be touched"
            f"{with_them} ({together / there_are:.3g} of all), and at most {limit} "
            "may be: nothing was changed; aim at fewer, or allow more"
        )


def _shared(new: Claims, taken: Claims) -> set[Claim]:
    """Return the claims that meet: the same value, or all of what it belongs to."""
    whole_new = {what for what, way in new if not way}
    whole_taken = {what for what, way in taken if not way}
    inside = {claim for claim in taken if claim[0] in whole_new}
    return set(new & taken) | inside | {c for c in new if c[0] in whole_taken}
