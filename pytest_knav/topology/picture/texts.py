"""How wide text is, and which names fit into a box."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Sequence

# Monospaced, so that widths are known without a browser: DejaVu Sans Mono, Menlo and
# Liberation Mono advance 0.602 em, Consolas less.
ADVANCE_EM: Final = 0.61
FONT_FAMILY: Final = "ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace"
_HEAD: Final = re.compile(r".*[-._/]")


def width(text: str, size: float) -> float:
    """Return how wide a text is at most."""
    return len(text) * size * ADVANCE_EM


def fitting(text: str, room: float, size: float) -> str:
    """Return a text, or as much of its end as fits."""
    most = max(1, int(room / (size * ADVANCE_EM)))
    return text if len(text) <= most else f"…{text[len(text) - most + 1 :]}"


def short(names: Sequence[str], room: float, size: float) -> list[str]:
    """
    Return names that fit, told apart as long as there is room.

    Where some are too long, the domain that all have and the beginning that all have
    go first.
    """
    if all(width(name, size) <= room for name in names):
        return list(names)
    shared = _domain(names)
    shorter = [name[: len(name) - len(shared)] for name in names]
    begin = _shared_beginning(shorter)
    return [fitting(name[begin:] or name, room, size) for name in shorter]


def _shared_beginning(names: Sequence[str]) -> int:
    """Return how long the beginning is that all share, to the end of a part of it."""
    # What is between the least and the greatest begins as both do.
    least, greatest = min(names), max(names)
    same = 0
    while same < len(least) and least[same] == greatest[same]:
        same += 1
    head = _HEAD.match(least[:same]) if least != greatest else None
    return head.end() if head else 0


def _domain(names: Sequence[str]) -> str:
    """Return the DNS domain that all names end with: `.compute.internal`."""
    domains = {name[name.find(".") :] if "." in name else "" for name in names}
    return domains.pop() if len(domains) == 1 else ""
