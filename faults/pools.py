"""What there is of each kind that a fault can hit."""

from __future__ import annotations

import difflib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.control_plane.network.links import OF_COMPONENTS
from pytest_knav.errors import BadInput
from pytest_knav.topology.components import Kind as Part


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_knav.faults.base import World
    from pytest_knav.faults.targets import Kind
    from pytest_knav.topology.model import NodeSpec

_NAMES_SHOWN: Final = 3
_ON_NVLINK: Final = frozenset({Part.GPU, Part.NVSWITCH})


def pool(world: World, kind: Kind) -> list[str]:
    """
    Return the names of all there are of a kind.

    Raises:
        BadInput: The topology has none, or the kind has no pool.

    """
    topology = world.topology
    pools: Mapping[str, Callable[[], list[str]]] = {
        "node": lambda: [node.name for node in topology.nodes],
        "gpu": lambda: [g.name for node in topology.nodes for g in gpus_on(node)],
        "nic": lambda: [c.name for c in topology.graph.components(Part.NIC)],
        # Of the parts that hang on NVLink these are chosen from; all can be named.
        "nvlink": lambda: [c.name for c in topology.graph.components(Part.DOMAIN)],
        "switch": lambda: [switch.name for switch in topology.switches],
        "place": lambda: list(
            dict.fromkeys(p for at in topology.levels for p in topology.places(at))
        ),
        "connection": lambda: [link.name for link in OF_COMPONENTS],
        "feed": lambda: list(
            dict.fromkeys(f for node in topology.nodes for f in node.power_feeds)
        ),
    }
    names = pools[kind]() if kind in pools else []
    if not names:
        raise BadInput(f"{topology.name} has no {kind} to choose from")
    return names


def gpus_on(node: NodeSpec) -> list[Any]:
    """Return the GPUs of a node."""
    return [node.gpu(index) for index in range(node.gpus)]


def enough(text: str, count: int, there_are: int, kind: Kind) -> None:
    """Refuse a number that is more than there are."""
    if count > there_are:
        raise BadInput(f"{text}: there are {there_are} {kind}s")


def fitting(world: World, pattern: str, kind: Kind) -> list[str]:
    """Return the names that a pattern fits; refuse one that fits none."""
    names = pool(world, kind)
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise BadInput(
            f"no {kind} of {world.topology.name} fits {pattern!r}: it has "
            f"{_shown(names)}"
        )
    return found


def known(world: World, name: str, kind: Kind) -> None:
    """Refuse a name that there is not, with what comes close."""
    names = pool(world, kind)
    if name in names:
        return
    if kind == "nvlink" and world.topology.component(name).kind in _ON_NVLINK:
        return
    close = [one for one in names if one.startswith(f"{name}/")][:_NAMES_SHOWN]
    close = close or difflib.get_close_matches(name, names, n=_NAMES_SHOWN)
    hint = f"did you mean {', '.join(close)}?" if close else ""
    if "(" in name:
        word = name.partition("(")[0]
        hint = (
            "an expression is no text: import it from pytest_knav and call it, such as "
            f"{word}(handle) with what cluster.submit returned"
        )
    raise BadInput(
        f"no {kind} {name!r} in {world.topology.name}: it has {_shown(names)}"
        f"{'; ' + hint if hint else ''}"
    )


def _shown(names: Sequence[str]) -> str:
    return " … ".join(dict.fromkeys((names[0], names[-1])))
