"""
SLURM's `topology.conf`: switches, blocks, and the nodes on them.

After topology.conf(5) of SLURM 25.05: parameter names are case-insensitive, `#` begins
a comment, a backslash at the end continues a line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.importers.hostlist import expand
from pytest_knav.topology.importers.tree import Entry, SwitchTree, check


if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE: Final = "SLURM topology.conf"
_PARAMETER: Final = re.compile(r"(\w+)\s*=\s*(\"[^\"]*\"|'[^']*'|\S+)")
_OF_SWITCHES: Final = {"switchname", "switches", "nodes", "linkspeed"}
_OF_BLOCKS: Final = {"blockname", "nodes"}
_NOT_CARRIED: Final = {"blocksizes": "BlockSizes"}
_KNOWN: Final = "SwitchName, Switches, Nodes, LinkSpeed, BlockName, BlockSizes"


def read(text: str, path: str) -> SwitchTree:
    """
    Return what a `topology.conf` says.

    Args:
        text: What is in it.
        path: What messages call it.

    Raises:
        BadInput: It is wrong; with file, line and parameter.

    """
    switches: list[Entry] = []
    blocks: list[Entry] = []
    dropped: dict[str, None] = {}
    for number, line in _lines(text):
        at = f"{path}:{number}"
        given = _parameters(line, at)
        if "switchname" in given:
            switches.append(_switch(given, at))
            if "linkspeed" in given:
                dropped["LinkSpeed: SLURM gives it no unit and does not use it"] = None
        elif "blockname" in given:
            blocks.append(_block(given, at))
        elif set(given) <= set(_NOT_CARRIED):
            dropped["BlockSizes: how SLURM's scheduler groups blocks"] = None
        else:
            raise BadInput(
                f"{at}: {line[:60]!r} defines neither SwitchName nor BlockName"
            )
    if not switches and not blocks:
        raise BadInput(f"{path} has neither SwitchName nor BlockName")
    tree = SwitchTree(
        source=SOURCE,
        switches=tuple(switches),
        blocks=tuple(blocks),
        dropped=tuple(dropped),
    )
    return check(tree)


def names_at(expression: str, at: str, parameter: str) -> tuple[str, ...]:
    """
    Return the names of a hostlist.

    Raises:
        BadInput: It is wrong; with where it stands.

    """
    try:
        return tuple(expand(expression))
    except BadInput as error:
        raise BadInput(f"{at}: {parameter}: {error}") from None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number of each line's beginning, and what is on it."""
    begun, parts = 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.partition("#")[0].rstrip()
        begun = begun or number
        parts.append(bare.removesuffix("\\"))
        if bare.endswith("\\"):
            continue
        whole = "".join(parts).strip()
        if whole:
            yield begun, whole
        begun, parts = 0, []
    rest = "".join(parts).strip()
    if rest:
        yield begun, rest


def _parameters(line: str, at: str) -> dict[str, str]:
    if line.lower().startswith("include"):
        raise BadInput(f"{at}: Include is not followed: put the files together")
    given: dict[str, str] = {}
    rest = _PARAMETER.sub("", line).strip()
    if rest:
        raise BadInput(f"{at}: {rest[:60]!r} is no parameter: write Name=value")
    for name, value in _PARAMETER.findall(line):
        if name.lower() in given:
            raise BadInput(f"{at}: {name} is given twice")
        if name.lower() not in _OF_SWITCHES | _OF_BLOCKS | set(_NOT_CARRIED):
            raise BadInput(f"{at}: there is no parameter {name!r}: use {_KNOWN}")
        given[name.lower()] = value.strip("\"'")
    return given


def _switch(given: dict[str, str], at: str) -> Entry:
    name = given["switchname"]
    if len({"switches", "nodes"} & set(given)) != 1:
        raise BadInput(f"{at}: SwitchName={name} needs either Switches or Nodes")
    extra = sorted(set(given) - _OF_SWITCHES)
    if extra:
        raise BadInput(f"{at}: SwitchName={name} has no parameter {extra[0]}")
    return Entry(
        name=name,
        at=at,
        nodes=names_at(given["nodes"], at, "Nodes") if "nodes" in given else (),
        switches=(
            names_at(given["switches"], at, "Switches") if "switches" in given else ()
        ),
    )


def _block(given: dict[str, str], at: str) -> Entry:
    name = given["blockname"]
    extra = sorted(set(given) - _OF_BLOCKS)
    if extra:
        raise BadInput(f"{at}: BlockName={name} has no parameter {extra[0]}")
    # Topograph fills gaps of the plan with blocks that have no nodes yet.
    nodes = names_at(given["nodes"], at, "Nodes") if "nodes" in given else ()
    return Entry(name=name, at=at, nodes=nodes)
