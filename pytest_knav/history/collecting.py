"""Python's collector of cycles, held while a whole history is gone through."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def collector_held() -> Iterator[None]:
    """
    Hold the collector of cycles until the block, or the function, is left.

    Whoever goes through a history makes millions of objects that stay, and with each
    few of them the collector looks through all the others: a third of the time of a
    million records. What is made here has no cycles to be found, and counting
    references goes on. Blocks may overlap, also in several threads: then it is held
    until the first of them is left.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
