"""Boxes in rows, so that the whole comes near to a wanted shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Beyond so many, not every number of columns is tried.
_ALL_TRIED: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """
    Where each box goes.

    Attributes:
        places: Left upper corners, in the order of the boxes.
        rows: The upper edge of each row.
        columns: How many boxes a row has.

    """

    width: float
    height: float
    places: tuple[tuple[float, float], ...]
    rows: tuple[float, ...]
    columns: int


def pack(
    sizes: Sequence[tuple[float, float]],
    *,
    aspect: float,
    gap: float,
    row_gap: float | None = None,
    columns: int | None = None,
) -> Packed:
    """
    Return boxes in rows, in order.

    Args:
        sizes: Width and height of each.
        aspect: The width to come near to, as a multiple of the height.
        gap: Between boxes.
        row_gap: Between rows, where that is another one.
        columns: How many a row has; by default what fits the aspect best.

    """
    between = gap if row_gap is None else row_gap
    if not sizes:
        return Packed(width=0, height=0, places=(), rows=(), columns=1)
    if columns is not None:
        return _grid(sizes, columns, gap, between)
    tried = (_grid(sizes, count, gap, between) for count in _candidates(len(sizes)))
    return min(tried, key=lambda p: abs(math.log(p.width / p.height / aspect)))


def _candidates(number: int) -> Iterator[int]:
    count = 1
    while count < number:
        yield count
        count = max(count + 1, count * (_ALL_TRIED + 1) // _ALL_TRIED)
    yield number


def _grid(
    sizes: Sequence[tuple[float, float]], columns: int, gap: float, row_gap: float
) -> Packed:
    places: list[tuple[float, float]] = []
    rows: list[float] = []
    y = width = 0.0
    for start in range(0, len(sizes), columns):
        row = sizes[start : start + columns]
        rows.append(y)
        x = 0.0
        for box_width, _ in row:
            places.append((x, y))
            x += box_width + gap
        width = max(width, x - gap)
        y += max(height for _, height in row) + row_gap
    return Packed(
        width=width,
        height=y - row_gap,
        places=tuple(places),
        rows=tuple(rows),
        columns=columns,
    )
