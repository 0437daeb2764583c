"""How large a cluster is measured."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_knav.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """
    What one run of the bench is about.

    Attributes:
        nodes: How many nodes, with eight GPUs each.
        pods: How many pods run on them.
        reset_nodes: How many nodes the small reset between two tests has.
        reset_pods: How many pods it has to remove.
        large_reset: Whether the full cluster is reset as well.
        crashed: How many nodes crash at once.
        plain: Whether plain kwokctl is measured unless the user says otherwise.

    """

    name: str
    nodes: int
    pods: int
    reset_nodes: int = 32
    reset_pods: int = 100
    large_reset: bool
    crashed: int = 100
    plain: bool

    @property
    def summary(self) -> str:
        """Return it in words."""
        return f"{self.nodes:,} nodes, {self.pods:,} pods"


SIZES = {
    size.name: size
    for size in (
        Size(name="small", nodes=100, pods=1_000, large_reset=False, plain=True),
        Size(name="1k", nodes=1_000, pods=10_000, large_reset=True, plain=True),
        # Its own command makes 50 pods a second: 50,000 are a quarter of an hour.
        Size(name="5k", nodes=5_000, pods=50_000, large_reset=True, plain=False),
    )
}
# For pytest-knav's own tests: every path in seconds, no figure worth a look.
TINY = Size(
    name="tiny",
    nodes=4,
    pods=8,
    reset_nodes=2,
    reset_pods=2,
    large_reset=False,
    crashed=1,
    plain=True,
)


def size_named(name: str) -> Size:
    """
    Return a size by name.

    Raises:
        BadInput: There is none of that name.

    """
    if name not in SIZES:
        raise BadInput(f"--size {name!r} is unknown: use one of {', '.join(SIZES)}")
    return SIZES[name]
