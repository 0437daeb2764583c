"""One cluster's life as a value: a course of steps, some of them measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_knav.selfbench.cases import CASES, FAST
from pytest_knav.selfbench.ours import OurCluster


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pytest_knav.control_plane.plane import Binaries
    from pytest_knav.selfbench.sizes import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    One measurement within a course.

    Attributes:
        objects: How many objects it is about, for cost per object.
        act: What is measured. It may return the figure itself, else its time counts.
        prepare: What comes before it and is not measured.
        tool: Whether kwokctl runs as a child of this process meanwhile.

    """

    case: str
    objects: int
    act: Callable[[], float | None]
    prepare: Callable[[], object] = lambda: None
    tool: bool = False

    def failed_need(self, failed: Iterable[str]) -> str | None:
        """Return a case that failed and without which this one makes no sense."""
        return next((need for need in CASES[self.case] if need in failed), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One cluster's life, or none: its side, its pid files, its steps, its end."""

    side: str
    workdir: Path
    steps: tuple[Step, ...]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """
    What every course needs.

    Attributes:
        name: What its cluster is called on this machine; there is one at a time.
        folder: An empty directory that is removed in the end.
        tick: Told how many objects of how many are there.

    """

    name: str
    binaries: Binaries
    folder: Path
    size: Size
    tick: Callable[[int, int], None]

    def ours(
        self, nodes: int, control_plane: str = FAST, *, network: bool = False
    ) -> OurCluster:
        """Return a cluster of ours that is still to be made."""
        return OurCluster(
            self.name,
            self.binaries,
            nodes=nodes,
            control_plane=control_plane,
            network=network,
            folder=self.folder,
        )
