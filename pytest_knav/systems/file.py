"""Systems in YAML files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic

from pytest_knav.errors import BadInput
from pytest_knav.systems.model import System, SystemProcess
from pytest_knav.systems.running import ASSET, IMAGE
from pytest_knav.systems.schema import SystemFile
from pytest_knav.topology.lines import Lines


if TYPE_CHECKING:
    from pathlib import Path


def load_system(path: Path) -> System:
    """
    Return the system that a file holds.

    Raises:
        BadInput: Something in it is wrong: with the line and the field.

    """
    try:
        lines = Lines(path, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"system {path}: {error}") from error
    try:
        file = SystemFile.model_validate(lines.data)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        lines.fail(lines.place_of(first["loc"]), first["msg"])
    values: dict[str, Any] = file.model_dump()
    values["binary"] = _beside(path, file.binary)
    values["manifests"] = [
        m if isinstance(m, dict) else _beside(path, m) for m in file.manifests
    ]
    try:
        values["processes"] = [
            SystemProcess(
                process.name,
                _beside(path, process.binary),
                **process.model_dump(exclude={"name", "binary"}),
            )
            for process in file.processes
        ]
        return System(values.pop("name"), **values)
    except BadInput as error:
        lines.fail((1, ""), str(error))


def _beside(path: Path, text: str) -> str:
    """Return a path that is relative to a file as an absolute one; others stay."""
    if not text or text.startswith((ASSET, IMAGE, "http://", "https://")):
        return text
    return str(path.parent / text)
