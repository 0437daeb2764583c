"""The runs that a gate judges, and those that it compares with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.reports.record import (
    RECORDS_FILE,
    TestRecord,
    read_records,
    write_records,
)
from pytest_knav.reports.tally import OTHERS_FILE


if TYPE_CHECKING:
    from collections.abc import Sequence

BASELINES: Final = Path(".knav/baselines")


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """A test that did not pass and has no record: its worker died, or it had none."""

    test: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is judged: the records of one run, or of several that count together."""

    records: tuple[TestRecord, ...]
    others: tuple[Other, ...] = ()


def read_run(directories: Sequence[Path]) -> Run:
    """
    Return what runs have left.

    Raises:
        BadInput: One is no run that has ended.

    """
    records: list[TestRecord] = []
    others: list[Other] = []
    for directory in directories:
        records += read_records(directory)
        others += _read_others(directory)
    return Run(records=tuple(records), others=tuple(others))


def save_baseline(run: Run, name: str) -> Path:
    """
    Keep the records of a run under a name, and return where.

    Raises:
        BadInput: The name is none.

    """
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise BadInput(f"--save {name!r}: give a name of letters, digits, -, _ and .")
    directory = BASELINES / name
    directory.mkdir(parents=True, exist_ok=True)
    write_records(directory, run.records)
    return directory / RECORDS_FILE


def read_baseline(vs: str) -> tuple[TestRecord, ...] | None:
    """
    Return the records of a baseline; None where there is none of that name yet.

    Raises:
        BadInput: It is a path and cannot be read.

    """
    if (BASELINES / vs / RECORDS_FILE).is_file():
        return tuple(read_records(BASELINES / vs))
    path = Path(vs)
    if path.is_file():
        return tuple(read_records(path.parent, path.name))
    if path.is_dir() or "/" in vs:
        return tuple(read_records(path))
    return None


def _read_others(directory: Path) -> list[Other]:
    path = directory / OTHERS_FILE
    if not path.is_file():
        return []
    try:
        return [Other(**json.loads(line)) for line in path.read_text().splitlines()]
    except (ValueError, TypeError) as error:
        raise BadInput(f"{path} is of another pytest-knav: {error}") from error
