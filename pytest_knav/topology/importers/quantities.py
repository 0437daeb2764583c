"""Amounts as Kubernetes writes them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from pytest_knav.errors import BadInput


# apimachinery, pkg/api/resource/quantity.go.
_FORM: Final = re.compile(
    r"(?P<number>[+-]?(\d+\.?\d*|\.\d+))"
    r"(?P<suffix>[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?"
)
_DECIMAL: Final = {
    s: Decimal(10) ** e
    for s, e in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
}
_BINARY: Final = {f"{s}i": Decimal(1024) ** e for e, s in enumerate("KMGTPE", start=1)}


def amount(quantity: object, what: str) -> Decimal:
    """
    Return a quantity as a number.

    Args:
        quantity: Such as `64`, `1930m` or `2113553856Ki`; YAML may have made it a
            number.
        what: Whose it is, for the message.

    Raises:
        BadInput: It is none.

    """
    found = _FORM.fullmatch(str(quantity))
    if found is None:
        raise BadInput(f"{what}: {quantity!r} is no quantity, such as 64, 500m or 2Ti")
    suffix = found["suffix"] or ""
    if suffix[:1] in {"e", "E"} and len(suffix) > 1 and suffix != "Ei":
        factor = Decimal(10) ** int(suffix[1:])
    else:
        factor = {**_DECIMAL, **_BINARY}.get(suffix, Decimal(1))
    return Decimal(found["number"]) * factor
