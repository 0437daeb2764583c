"""Durations: ``"45s"`` or a number of seconds at the edge, `float` seconds inside."""

from __future__ import annotations

import math
import re
from typing import TypeAlias

from pytest_knav.errors import BadInput


_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")

Duration: TypeAlias = str | float


def seconds(value: Duration, *, name: str = "duration") -> float:
    """
    Return a duration in seconds.

    Args:
        value: A number of seconds, or a text: ``"45s"``, ``"1m30s"``, ``"250ms"``.
        name: What the value is called in the error.

    Raises:
        BadInput: The value is neither, is negative, or is not finite.

    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _bad(value, name)
    if isinstance(value, str):
        parts = _PART.findall(value)
        if not parts or "".join(n + u for n, u in parts) != value.strip():
            raise _bad(value, name)
        return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if not math.isfinite(value) or value < 0:
        raise _bad(value, name)
    return float(value)


def _bad(value: object, name: str) -> BadInput:
    return BadInput(
        f"{name}={value!r} is not a duration: "
        'give seconds as a number, or a text such as "45s", "1m30s", "250ms"'
    )
