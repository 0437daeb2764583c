"""What a preset is: a name, a source, and how to build it at a size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav.topology.model import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """
    A topology that can be made at any size.

    Attributes:
        title: One line that says what it is.
        source: Where its figures come from.
        default_nodes: How many nodes it has when nobody says.
        make: Builds it for a number of nodes, without the labels of any dialect.

    """

    name: str
    title: str
    source: str
    default_nodes: int
    make: Callable[[int], Topology]
