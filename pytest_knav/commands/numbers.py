"""Whole numbers on the command line, refused with the value that was given."""

from __future__ import annotations

import typer


LAST_PORT = 65_535


def whole(text: str) -> int:
    """Return a whole number; what range it must have is said by who uses it."""
    try:
        return int(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a whole number") from error


def port(text: str) -> int:
    """Return the number of a TCP port."""
    number = whole(text)
    if not 1 <= number <= LAST_PORT:
        raise typer.BadParameter(f"{text} is out of range: use 1 to {LAST_PORT}")
    return number
