"""Amounts of a load as users give them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from pytest_knav.errors import BadInput
from pytest_knav.topology.importers.quantities import amount


if TYPE_CHECKING:
    from collections.abc import Mapping

# A number, a Kubernetes quantity such as "500m" or "6Gi", or a share such as "80%".
Amount: TypeAlias = float | str


def amounts(given: Mapping[str, object]) -> tuple[tuple[float, ...], bool]:
    """
    Return amounts as numbers, and whether they are shares.

    Raises:
        BadInput: One is negative or no amount, or some are shares and others not.

    """
    read = {what: _amount(value, what) for what, value in given.items()}
    shares = {share for _, share in read.values()}
    if len(shares) > 1:
        shown = ", ".join(f"{what}={value!r}" for what, value in given.items())
        raise BadInput(f"{shown}: give all of them in percent, or none")
    return tuple(value for value, _ in read.values()), shares.pop()


def _amount(value: object, what: str) -> tuple[float, bool]:
    share = isinstance(value, str) and value.endswith("%")
    text = str(value).removesuffix("%") if share else value
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise _no_amount(value, what)
    if isinstance(value, float):
        found = value
    else:
        try:
            found = float(amount(text, what))
        except BadInput as error:
            raise _no_amount(value, what) from error
    if not math.isfinite(found):
        raise _no_amount(value, what)
    if found < 0:
        raise BadInput(f"{what}={value!r}: a load cannot be negative")
    return found, share


def _no_amount(value: object, what: str) -> BadInput:
    return BadInput(
        f"{what}={value!r} is no amount: give a number, a quantity such as "
        '"500m" or "6Gi", a share such as "80%", or a profile'
    )
