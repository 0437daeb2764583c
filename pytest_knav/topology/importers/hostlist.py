"""SLURM's hostlist expressions: `rack[0-1]n[001-032,040],login`."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Iterator

# As many as a topology can have, and some: a typing error must not fill the memory.
NAMES_MAX: Final = 100_000
_RANGE: Final = re.compile(r"(\d+)(?:-(\d+))?")
_BARE: Final = re.compile(r"[^\s\[\],]*")


def expand(expression: str) -> list[str]:
    """
    Return the names that a hostlist stands for, in its order.

    Raises:
        BadInput: It is empty, its brackets do not match, a range runs backwards, or it
            stands for more than 100,000 names.

    """
    names: list[str] = []
    for part in _parts(expression):
        pieces = [_piece(piece, part) for piece in re.split(r"(\[[^\[\]]*\])", part)]
        count = 1
        for piece in pieces:
            count *= len(piece)
        if count + len(names) > NAMES_MAX:
            raise BadInput(
                f"hostlist {expression!r} stands for more than {NAMES_MAX} names"
            )
        names += ["".join(one) for one in itertools.product(*pieces)]
    return names


def _parts(expression: str) -> Iterator[str]:
    """Yield what commas outside of brackets divide."""
    # The comma at the end closes the last part like any other.
    depth, begin = 0, 0
    for at, character in enumerate(f"{expression},"):
        depth += (character == "[") - (character == "]")
        if depth not in {0, 1}:
            raise BadInput(f"hostlist {expression!r}: its brackets do not match")
        if character == "," and not depth:
            part = expression[begin:at].strip()
            if not part:
                raise BadInput(f"hostlist {expression!r}: a name is empty")
            yield part
            begin = at + 1
    if depth:
        raise BadInput(f"hostlist {expression!r}: a bracket is not closed")


def _piece(piece: str, part: str) -> list[str]:
    if not piece.startswith("["):
        if not _BARE.fullmatch(piece):
            raise BadInput(f"hostlist {part!r}: {piece!r} is no part of a name")
        return [piece]
    found = []
    for span in piece[1:-1].split(","):
        match = _RANGE.fullmatch(span.strip())
        if match is None:
            raise BadInput(f"hostlist {part!r}: {span!r} is no number or range")
        first, last = match[1], match[2] or match[1]
        size = int(last) - int(first) + 1
        if size < 1:
            raise BadInput(f"hostlist {part!r}: the range {span!r} runs backwards")
        if size > NAMES_MAX:
            raise BadInput(f"hostlist {part!r}: {span!r} has {size} names")
        # The zeros of the first number are those of all.
        found += [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
    return found
