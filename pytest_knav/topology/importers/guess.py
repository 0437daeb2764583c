"""Which kind of file it is that is to be imported."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.importers import slurm, slurm_yaml, topograph
from pytest_knav.topology.importers.marked import parse


if TYPE_CHECKING:
    from pytest_knav.topology.importers.tree import SwitchTree

SOURCES: Final = ("nodes", "slurm", "topograph")
# How much of a file says what it is: a list of nodes can have a hundred megabytes.
_HEAD_CHARACTERS: Final = 64 * 1024
_CONF: Final = re.compile(
    r"^\s*(switchname|blockname|blocksizes)\s*=", re.IGNORECASE | re.MULTILINE
)
_SLURM_YAML: Final = re.compile(
    r"^\s*-\s+[\"']?(topology|cluster_default)\b", re.MULTILINE
)
_OBJECTS: Final = re.compile(r"[\"']?\b(kind|apiVersion)[\"']?\s*:", re.MULTILINE)
_TOPOGRAPH: Final = re.compile(
    r"^[{\s]*[\"']?(instances|switches|blocks)[\"']?\s*:", re.MULTILINE
)


def source_of(text: str, path: str) -> str:
    """
    Return what a file is, of `SOURCES`.

    Args:
        text: What is in it, or how it begins.
        path: What the message calls it.

    Raises:
        BadInput: It is none of them.

    """
    head = text[:_HEAD_CHARACTERS]
    if _OBJECTS.search(head):
        return "nodes"
    if _CONF.search(head) or _SLURM_YAML.search(head):
        return "slurm"
    if _TOPOGRAPH.search(head):
        return "topograph"
    raise BadInput(
        f"{path} is none of what can be imported: Node objects (`kubectl get nodes -o "
        "yaml`), SLURM's topology.conf or topology.yaml, a model or graph of "
        "Topograph; say which with --from"
    )


def read_tree(text: str, path: str, source: str) -> SwitchTree:
    """
    Return what a file of SLURM or Topograph says.

    Args:
        text: What is in it.
        path: What messages call it.
        source: `slurm` or `topograph`.

    Raises:
        BadInput: It is wrong; with file, line and field.

    """
    if source == "topograph":
        # Its engine for SLURM writes SLURM's files.
        if _CONF.search(text[:_HEAD_CHARACTERS]):
            return slurm.read(text, path)
        document = parse(text, path)
        if isinstance(document.value, list):
            return slurm_yaml.read(document)
        return topograph.read(document)
    if _SLURM_YAML.search(text[:_HEAD_CHARACTERS]):
        return slurm_yaml.read(parse(text, path))
    return slurm.read(text, path)
