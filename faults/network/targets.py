"""Targets that are connections between components."""

from __future__ import annotations

from pytest_knav.control_plane.network.links import link_between
from pytest_knav.errors import BadInput
from pytest_knav.faults.targets import Submitted, Target


def between(one: str, other: str) -> Target:
    """
    Return the connections between two components, in either order.

    For a cluster of a test that is marked `knav(network=True)`. There are those of
    `scheduler`, `kcm` and `kwok` to `apiserver`, and of `apiserver` to `etcd`.

    Raises:
        BadInput: One is no component, or they do not speak to each other.

    """
    # What a saved plan holds are names as well.
    names = [n.name if isinstance(n, Submitted) else n for n in (one, other)]
    for name in names:
        if not isinstance(name, str):
            raise BadInput(f"between({one!r}, {other!r}): give two names")
    link = link_between(*names)
    return Target(
        text=f"between({', '.join(names)})",
        kind="connection",
        resolver=lambda _world, _choose, _kind: (link.name,),
    )
