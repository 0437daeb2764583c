"""Arguments that are something else than a user meant: told at the edge, in words."""

from __future__ import annotations

from pytest_knav.errors import BadInput


_SHOWN = 80


def check_has(value: object, attribute: str, *, name: str, hint: str) -> None:
    """
    Return when a value has what makes it the thing that is asked for.

    Args:
        value: What was given.
        attribute: What such a thing has.
        name: What the argument is called.
        hint: What to give.

    Raises:
        BadInput: It has not.

    """
    # Of the type, as an object may answer to any name with an explanation of its own.
    if hasattr(type(value), attribute) or attribute in getattr(value, "__dict__", ()):
        return
    shown = repr(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}…"
    raise BadInput(f"{name} is {shown}, {type(value).__name__}: give {hint}")
