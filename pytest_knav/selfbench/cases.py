"""What is measured: the cases, what each needs, and the sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_knav.selfbench.sizes import Size

PLAIN: Final = "plain"
FAST: Final = "fast"
OURS_PLAIN: Final = "ours-plain"
UNRECORDED: Final = "unrecorded"
PROXIED: Final = "proxied"
WITHOUT: Final = "without"
WITH: Final = "with"
BARE: Final = "bare"

# Every case in the order of the table, with the cases that lead to it.
CASES: Final[dict[str, tuple[str, ...]]] = {
    "cluster": (),
    "nodes": ("cluster",),
    "pods": ("nodes",),
    "save": ("pods",),
    "restore": ("save",),
    "reset": (),
    "reset-large": ("pods",),
    "crash": ("nodes",),
    "crash-writes": ("crash",),
    "recorder": ("pods",),
    "network": ("cluster",),
    "network-pods": ("network", "pods"),
    "collect": (),
    "topology": (),
    "blast-radius": (),
    "gpu-series": (),
    "stream": (),
    "timeline": (),
    "checks": (),
    "exclusion": (),
}
# What needs no cluster, and uses no component.
WITHOUT_CLUSTER: Final = frozenset(
    {
        "collect",
        "topology",
        "blast-radius",
        "gpu-series",
        "stream",
        "timeline",
        "checks",
        "exclusion",
    }
)


def chosen(wanted: Iterable[str], size: Size) -> tuple[str, ...]:
    """
    Return the cases to measure: those wanted, by default all, with what they need.

    Raises:
        BadInput: One is unknown, or is not part of the size.

    """
    names = list(wanted) or [n for n in CASES if n != "reset-large" or size.large_reset]
    for name in names:
        if name not in CASES:
            raise BadInput(f"--only {name!r} is unknown: use {', '.join(CASES)}")
        if name == "reset-large" and not size.large_reset:
            raise BadInput(f"--only reset-large: not part of --size {size.name}")
    for name in names:
        names.extend(need for need in CASES[name] if need not in names)
    return tuple(name for name in CASES if name in names)
