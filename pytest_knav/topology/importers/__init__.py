"""Real clusters as topologies: from Node objects, SLURM's files and Topograph's."""

from __future__ import annotations

from pytest_knav.topology.importers.anonymise import Anonymiser
from pytest_knav.topology.importers.gpus import machine_named
from pytest_knav.topology.importers.guess import SOURCES, read_tree, source_of
from pytest_knav.topology.importers.imported import Imported
from pytest_knav.topology.importers.load import load_of
from pytest_knav.topology.importers.nodes import import_nodes
from pytest_knav.topology.importers.tree import import_tree


__all__ = [
    "SOURCES",
    "Anonymiser",
    "Imported",
    "import_nodes",
    "import_tree",
    "load_of",
    "machine_named",
    "read_tree",
    "source_of",
]
